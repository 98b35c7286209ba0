"""What only some mainstream clients refuse in a chain that others, such as OpenSSL, verify.

Such a chain stays trusted; the problems are reported beside that verdict and name the clients that refuse it. Each
was seen with the versions that ``docs/clients.md`` names.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from scanner.trust.certificate_rules import usages
from scanner.trust.verdicts import Problem
from scanner.x509 import extensions
from scanner.x509.certificate import Certificate

if TYPE_CHECKING:
    from scanner.trust.paths import ChainContext, PathBuilder

# CA certificates between leaf and anchor: mozilla::pkix follows 6, Chromium 19.
FIREFOX_INTERMEDIATES: Final = 6
CHROME_INTERMEDIATES: Final = 19
# Certificates sent: Java's jdk.tls.maxCertificateChainLength, GnuTLS's DEFAULT_MAX_VERIFY_DEPTH.
JAVA_SENT: Final = 10
GNUTLS_SENT: Final = 16

# Bytes of the Certificate message: SSL_MAX_CERT_LIST_DEFAULT, and jdk.tls.maxHandshakeMessageSize. Go and GnuTLS take
# more.
OPENSSL_MESSAGE: Final = 102_400
JAVA_MESSAGE: Final = 32_768
# maxChainSignatureChecks in crypto/x509/verify.go
GO_SIGNATURE_CHECKS: Final = 100


def client_limit_problems(sent: int, path: Sequence[Certificate]) -> Iterator[Problem]:
    """Yield what some clients refuse in a valid ``path`` (leaf first, anchor last) of which ``sent`` certificates came."""
    between = max(0, len(path) - 2)
    needed = max(1, len(path) - 1)
    refusing = [
        client
        for client, most, count in (
            ("java", JAVA_SENT, sent),
            ("chrome", CHROME_INTERMEDIATES, between),
            ("firefox", FIREFOX_INTERMEDIATES, between),
            ("gnutls", GNUTLS_SENT, sent),
        )
        if count > most
    ]
    if refusing:
        evidence: dict[str, Any] = {"subject": path[0].subject, "sent": sent, "refused_by": refusing}
        if needed <= JAVA_SENT and between <= FIREFOX_INTERMEDIATES:  # what is too much is what no path needs
            evidence |= {"needed": needed, "extra_count": sent - needed, "most": JAVA_SENT}
        else:
            detail = f"{between} intermediates stand between the server's certificate and the root, and {sent} certificates are sent"
            evidence |= {"detail": detail, "intermediates": between}
        yield Problem("too-many-certificates", path[0].sha256, evidence)


def limits_exceeded(
    leaf: Certificate, sizes: Sequence[int], builder: PathBuilder, contexts: Sequence[ChainContext], at: float
) -> tuple[list[str], list[str]]:
    """Return the clients whose limits such a chain exceeds, and these limits; only signatures verified already count."""
    clients: list[str] = []
    limits: list[str] = []
    sent, message = len(sizes), sum(sizes) + 3 * len(sizes)
    if message > OPENSSL_MESSAGE:
        clients += ["openssl", "curl", "python"]
        limits.append(f"OpenSSL takes {OPENSSL_MESSAGE} bytes of certificates, {message} came")
    if all(_exceeds_go_limit(leaf, context, builder, at) for context in contexts):
        clients.append("go")
        limits.append(
            f"Go makes {GO_SIGNATURE_CHECKS} signature checks for a chain, and finds no path to a root by then"
        )
    if message > JAVA_MESSAGE:
        clients.append("java")
        limits.append(f"Java takes {JAVA_MESSAGE} bytes of certificates, {message} came")
    elif sent > JAVA_SENT:
        clients.append("java")
        limits.append(f"Java takes {JAVA_SENT} certificates, {sent} came")
    if sent > GNUTLS_SENT:
        clients.append("gnutls")
        limits.append(f"GnuTLS takes {GNUTLS_SENT} certificates, {sent} came")
    return clients, limits


def _exceeds_go_limit(leaf: Certificate, context: ChainContext, builder: PathBuilder, at: float) -> bool:
    """Return True if buildChains() of Go reaches its limit before it finds a root: depth first, without a memory."""
    checks = 0
    waiting: list[tuple[Certificate, ...]] = [(leaf,)]
    while waiting:
        path = waiting.pop()
        last = path[-1]
        above: list[tuple[Certificate, ...]] = []
        for issuer in (*context.store.with_subject(last.issuer_der), *context.sent.get(last.issuer_der, ())):
            checks += 1
            if checks > GO_SIGNATURE_CHECKS:
                return True
            if any(item.subject_der == issuer.subject_der and item.spki_der == issuer.spki_der for item in path):
                continue
            if builder.known_signature(last, issuer) is not True or not issuer.is_ca:
                continue
            if not issuer.not_before <= at <= issuer.not_after:
                continue
            if issuer in context.store:
                return False
            above.append((*path, issuer))
        waiting.extend(reversed(above))
    return False


def authority_as_server(leaf: Certificate) -> Problem | None:
    """Return ``not-for-server-auth`` for a CA certificate that a server sends as its own."""
    if not leaf.is_ca:
        return None
    reason = "it is a CA certificate (basicConstraints)"
    return Problem(
        "not-for-server-auth", leaf.sha256, {"subject": leaf.subject, "reason": reason, "refused_by": ["firefox"]}
    )


def no_digital_signature(leaf: Certificate) -> Problem | None:
    """Return ``wrong-key-usage`` for a leaf whose key usage leaves out digitalSignature."""
    # BoringSSL (Chrome), Java and GnuTLS want it for every key exchange with forward secrecy and all of TLS 1.3;
    # OpenSSL, NSS (Firefox) and Go take the certificate.
    if leaf.key_usage is None or leaf.key_usage & extensions.DIGITAL_SIGNATURE:
        return None
    evidence = {
        "subject": leaf.subject,
        "key_usage": usages(leaf),
        "missing": "digitalSignature",
        "refused_by": ["java", "chrome", "gnutls"],
    }
    return Problem("wrong-key-usage", leaf.sha256, evidence)
