"""Known differences between findings and clients, each with its reason."""

from __future__ import annotations

from collections.abc import Mapping

_ONE_ADDRESS = "its table of names has one address for each"
_ANCHORS = "whether such a certificate may be an anchor is each client's own rule, not a fault of the server"
_NOT_HERE = "the name itself is what this client refuses, whatever the server does"
_NO_CODE = "there is no code for it"
_LISTS = "it carries the lists of the CAs that its maker knows, and fetches none"
_RARE = "seen in no certificate of the public web, and costly to tell apart"
_WORDS = "refused by a mainstream client in any case: only what this one says of it is predicted otherwise"
_GNUTLS = "GnuTLS is in no severity, and its parser has rules of its own"
_PYTHON = "Python's own list of suites is in no severity"

_LOCAL = "its roots are given to it as local ones, and it keeps this rule for public CAs"
_SCRIPTED = "its server is scripted and ends with an alert where a client that accepts goes on, which Chrome does not tell apart"

_LIBRARIES = ("curl", "openssl", "python", "node", "gnutls")

#: (server, client) -> why the finding and the client differ.
DIFFERENT: Mapping[tuple[str, str], str] = {
    **{("half-dead", client): _ONE_ADDRESS for client in ("chrome", "firefox")},
    **{("one-expired", client): _ONE_ADDRESS for client in ("chrome", "firefox")},
    **{("two-certificates", client): _ONE_ADDRESS for client in ("chrome", "firefox")},
    ("underscore_in_name", "java"): _NOT_HERE,
    **{
        (server, "java"): _NOT_HERE
        for server in (
            "underscore-under-wildcard",
            "underscore-leading-under-wildcard",
            "underscore-exact",
            "underscore-in-wildcard-parent",
        )
    },
    **{("hyphen-first-under-wildcard", client): _NOT_HERE for client in ("curl", "go", "java")},
    ("weak-signature", "java"): _LOCAL,
    **{
        (server, client): _LOCAL
        for server in ("no-scts", "too-few-scts", "sct-invalid")
        for client in ("chrome", "firefox")
    },
    **{
        (server, "firefox"): _LOCAL
        for server in ("revoked-ocsp", "revoked-crl", "revoked-intermediate", "revoked-staple")
    },
    **{
        (server, "chrome"): _SCRIPTED
        for server in (
            "staple-good",
            "staple-expired",
            "staple-of-another",
            "staple-badly-signed",
            "legacy-renegotiation",
            "warns-of-name",
        )
    },
    **{("one-path-intercepted", client): _ONE_ADDRESS for client in ("chrome", "firefox")},
    **{
        ("very-many-names", client): _NO_CODE
        for client in ("curl", "python", "java", "node", "chrome", "firefox", "openssl")
    },
    **{(server, "firefox"): _LISTS for server in ("revoked-crl", "revoked-intermediate")},
    **{
        (server, "java"): "Java 17 takes wildcards in any label, and newer ones in the first alone"
        for server in ("wildcard-in-second-label", "wildcard-twice")
    },
    **{
        (server, "java"): "Java 17 passes over a subjectAltName that it cannot read and that is not critical"
        for server in ("nc-odd-address", "nc-odd-address-excluded", "nc-odd-address-elsewhere")
    },
    ("bad-uri-in-san", "go"): _RARE,
    ("bad-uri-in-san", "java-newest"): _RARE,
    # Java 25 refuses it, Java 17 does not.
    ("bad-ip-san", "java"): _RARE,
    # Java before 24 offers the suite, and then refuses the key usage.
    ("signature-only-rsa-kx", "java"): _WORDS,
    ("valid-since-1950", "firefox"): _RARE,
    (
        "empty-subject-critical-san",
        "firefox",
    ): "Firefox compares it with another test's certificate of the same serial number",
    **{
        (server, client): _ANCHORS
        for server in (
            "intermediate-anchored",
            "intermediate-anchored-and-sent",
            "pinned-leaf",
            "trusted-self-signed",
            "trusted-self-signed-ca",
            "root-aki-of-another",
        )
        for client in ("openssl", "python", "node", "chrome", "firefox", "gnutls")
    },
    **{
        (server, "gnutls"): _GNUTLS
        for server in (
            "odd-san",
            "empty-san-entry",
            "critical-ski",
            "critical-aki",
            "critical-issuer-alt-name",
            "ca-gated-eku",
            "spelling-case",
            "spelling-spaces",
        )
    },
    **{("trailing-dot-san", client): _WORDS for client in ("curl", "node", "chrome")},
    ("time-with-offset", "java"): _WORDS,
    **{("time-without-seconds", client): _WORDS for client in ("go", "java", "gnutls")},
    **{("spelling-bmp", client): _WORDS for client in ("java",)},
    **{("spelling-t61", client): _WORDS for client in ("java", "chrome")},
    **{("subject-bad-printable", client): _WORDS for client in (*_LIBRARIES, "java", "firefox")},
    ("suite-ecdhe-rsa-aes128-sha", "python"): _PYTHON,
}

_ENDING = "how long a program waits, and how it puts the end of a connection, is its own"
_FLAW = "which rule of the syntax a parser names first is its own"

#: A code -> why clients put it in other words than those that are predicted.
OTHER_WORDS: Mapping[str, str] = {
    **dict.fromkeys(
        ("connection-refused", "connect-timeout", "reset-after-hello", "silent-after-hello", "sni-filtered"), _ENDING
    ),
    **dict.fromkeys(
        ("closed-during-handshake", "version-intolerant", "large-hello-dropped", "proxy-header-expected"), _ENDING
    ),
    **dict.fromkeys(("malformed-handshake", "malformed-certificate", "no-certificate"), _FLAW),
    "legacy-version-only": "which of its rules an OpenSSL meets first depends on what is built into it",
}
