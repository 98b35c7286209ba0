"""Sentences and commands for one host: shortened, harmless, and never with a hole."""

from __future__ import annotations

import shlex

from hypothesis import given
from hypothesis import strategies as st

from scanner.diagnosis.catalogue import CODES
from scanner.diagnosis.wording import MAX_LISTED, Wording, words
from tests.helpers.evidence import target


def test_values_are_shown_shortened_and_harmless() -> None:
    assert words(["a"]) == "a" and words(["a", "b"]) == "a and b" and words(["a", "b", "c"]) == "a, b and c"
    assert words(["a", "b", "c"], last=", ") == "a, b, c"
    assert words(list(range(8))) == "0, 1, 2, 3, 4 and 3 more"
    assert words({"x": ["a"], "y": 2}) == "x: a; y: 2"
    assert words(9.0) == "9" and words(0.5) == "0.5"
    assert words("\x1b[31mred\n") == "\\x1b[31mred\\n"
    assert len(words("x" * 10_000)) == 120
    assert words([]) == "" and MAX_LISTED == 5


def test_the_most_telling_sentence_wins() -> None:
    said = Wording(target()).summary
    assert said("servfail", {"status": "SERVFAIL", "extended_error": "filtered"}).endswith("SERVFAIL (filtered).")
    assert said("servfail", {"status": "SERVFAIL"}).endswith("with SERVFAIL.")
    assert said("servfail", {}) == f"{CODES['servfail'].title}."


def test_dates_are_days() -> None:
    text = Wording(target()).summary(
        "certificate-expired", {"subject": "CN=a", "not_after": "2026-11-14T16:44:05Z", "days": 9.1}
    )
    assert text == "The certificate for CN=a expired on 2026-11-14, 9.1 days ago."


def test_commands_reach_the_host_the_same_way() -> None:
    commands = Wording(target(), "2001:db8::1")
    assert commands.confirm("internal-error", {}) == (
        "openssl s_client -connect '[2001:db8::1]:443' -servername www.example.org </dev/null"
    )
    assert Wording(target("192.0.2.9")).confirm("expires-soon", {}) == (
        "openssl s_client -connect 192.0.2.9:443 -noservername </dev/null | openssl x509 -noout -dates"
    )
    mail = Wording(target("mx.example.org", protocol="smtp", port=25), "192.0.2.1").confirm("expires-soon", {})
    assert mail is not None and "-starttls smtp" in mail
    dig = Wording(target()).confirm("no-address", {})
    assert dig == "dig www.example.org A; dig www.example.org AAAA"


def test_commands_ask_the_same_resolver() -> None:
    def asked(resolver: str | None) -> str | None:
        return Wording(target(), resolver=resolver).confirm("nxdomain", {})

    assert asked("192.0.2.53:53") == "dig @192.0.2.53 www.example.org A"
    assert asked("[::1]:5353") == "dig @::1 -p 5353 www.example.org A"
    assert asked(None) == asked("unknown") == "dig www.example.org A"


def test_commands_trust_the_same_file() -> None:
    def trusting(*stores: str) -> bool:
        command = Wording(target()).confirm("untrusted-root", {"stores": list(stores)})
        assert command is not None and command.endswith(" -showcerts </dev/null")
        return "-CAfile '/etc/our ca.pem'" in command

    assert trusting("mozilla", "/etc/our ca.pem") and not trusting("mozilla", "system") and not trusting()


def test_one_is_not_many() -> None:
    said = Wording(target()).summary
    assert said("certificate-expired", {"subject": "CN=a", "not_after": "2026-11-14", "days": 1.0}).endswith(
        "1 day ago."
    )
    assert said("certificate-expired", {"subject": "CN=a", "not_after": "2026-11-14", "days": 11}).endswith(
        "11 days ago."
    )


@given(host=st.text(max_size=30), sni=st.none() | st.text(max_size=30), code=st.sampled_from(list(CODES)))
def test_a_command_is_safe_to_paste(host: str, sni: str | None, code: str) -> None:
    """Whatever a host is called, it stays one word of the command."""
    row = target(host or "x", sni=sni, host_is_ip=False)
    evidence = {"owner": host, "first": host, "url": host}
    command = Wording(row, "192.0.2.1").confirm(code, evidence)
    if command is not None:
        plain = Wording(target(), "192.0.2.1").confirm(code, {"owner": "a", "first": "a", "url": "a"})
        assert plain is not None
        if row.sni:
            assert len(shlex.split(command)) == len(shlex.split(plain)) or not host


@given(
    evidence=st.dictionaries(
        st.sampled_from(
            ["subject", "not_after", "days", "nearest", "alert", "versions", "cipher", "how", "sni", "words"]
        ),
        st.recursive(
            st.none() | st.text(max_size=200) | st.integers() | st.floats(allow_nan=True),
            lambda inner: st.lists(inner, max_size=7) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
            max_leaves=8,
        ),
    ),
    code=st.sampled_from(list(CODES)),
)
def test_any_evidence_makes_one_harmless_line(evidence: dict[str, object], code: str) -> None:
    said = Wording(target(), "192.0.2.1")
    for text in (said.summary(code, evidence), said.remedy(code, evidence)):
        assert text.isprintable() and len(text) < 5000


def test_sentences_in_chinese() -> None:
    """Facts stand as they are; lists, and words of ours, are Chinese."""
    words = Wording(target(), "192.0.2.1", language="zh")
    expired = words.summary("certificate-expired", {"subject": "CN=a", "not_after": "2026-01-02T00:00:00Z", "days": 3})
    assert expired == "CN=a 的证书已于 2026-01-02 过期，至今 3 天。"
    assert "a.example、b.example" in words.summary("name-not-in-san", {"nearest": ["a.example", "b.example"]})
    assert "（另有 2 项）" in words.summary("name-not-in-san", {"nearest": [str(number) for number in range(7)]})
    assert "重置" in words.summary("sni-filtered", {"how": "resets"})
    assert words.confirm("certificate-expired", {}) == Wording(target(), "192.0.2.1").confirm("certificate-expired", {})
    assert "\x1b" not in words.summary("malformed-handshake", {"detail": "\x1b[31m"})
