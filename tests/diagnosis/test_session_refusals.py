"""What servers mean when they refuse a session: words of real ones, by protocol."""

from __future__ import annotations

import pytest

from scanner.diagnosis.catalogue import translated
from scanner.diagnosis.session_refusals import MEANINGS, UNKNOWN, mask_in, meaning_of, readable
from scanner.diagnosis.wording import MAX_VALUE

WORDS = [
    # Postfix and postscreen
    ("smtp", "greeting", "554 5.7.1 <unknown[192.0.2.7]>: Client host rejected: Access denied", "client-refused"),
    ("smtp", "greeting", "554 5.7.1 Service unavailable; Client host [192.0.2.7] blocked using bl.spamcop.net; x", "client-blocklisted"),
    ("smtp", "greeting", "550 5.7.1 Service unavailable; client [192.0.2.7] blocked using zen.spamhaus.org", "client-blocklisted"),
    ("smtp", "greeting", "421 4.7.0 mx.example.org Error: too many connections from 192.0.2.7", "too-many-connections"),
    ("smtp", "greeting", "421 4.3.2 All server ports are busy", "too-many-connections"),
    ("smtp", "EHLO", "450 4.7.1 Client host rejected: cannot find your hostname, [192.0.2.7]", "client-without-name"),
    ("smtp", "EHLO", "504 5.5.2 <tlsweep.invalid>: Helo command rejected: need fully-qualified hostname", "client-name-refused"),
    # Exim
    ("smtp", "greeting", "421 Too many concurrent SMTP connections; please try again later.", "too-many-connections"),
    ("smtp", "greeting", "554 SMTP service not available", "unavailable"),
    ("smtp", "EHLO", "550 HELO name tlsweep.invalid is invalid", "client-name-refused"),
    ("smtp", "EHLO", "550 Administrative prohibition", "client-refused"),
    # Sendmail, Exchange, gateways
    ("smtp", "greeting", "554 mx.example.org ESMTP not accepting messages", "no-service"),
    ("smtp", "greeting", "554 No SMTP service here", "no-service"),
    ("smtp", "greeting", "521 mx.example.org", "no-service"),
    ("smtp", "greeting", "554 mx.example.org", "no-service"),
    ("smtp", "greeting", "421 4.3.2 The maximum number of concurrent connections has exceeded a limit", "too-many-connections"),
    ("smtp", "greeting", "421 4.3.2 Service not available, closing transmission channel", "unavailable"),
    ("smtp", "greeting", "554-mx\n554 Your access has been rejected due to the sending MTA's poor reputation.", "client-blocklisted"),
    ("smtp", "greeting", "421 mx.example.org", "unavailable"),
    ("smtp", "EHLO", "550 who?", "client-name-refused"),
    ("lmtp", "greeting", "421 4.3.0 Temporary failure", "unavailable"),
    # IMAP, POP3, Sieve, NNTP
    ("imap", "greeting", "* BYE Too many connections", "too-many-connections"),
    ("imap", "greeting", "* BYE Access denied for this host", "client-refused"),
    ("imap", "CAPABILITY", "* BYE Server shutting down.", "unavailable"),
    ("imap", "greeting", "* BYE bye", "refused"),
    ("pop3", "greeting", "-ERR [SYS/TEMP] Service not available", "unavailable"),
    ("pop3", "greeting", "-ERR Maximum number of connections exceeded", "too-many-connections"),
    ("sieve", "greeting", 'BYE "Too many connections"', "too-many-connections"),
    ("nntp", "greeting", "502 You have no permission to talk.  Goodbye.", "client-refused"),
    ("nntp", "greeting", "400 load at 16.5, try later", "unavailable"),
    # FTP
    ("ftp", "greeting", "421 There are too many connections from your internet address.", "too-many-connections"),
    ("ftp", "greeting", "500 OOPS: vsftpd: refusing to run with writable root inside chroot()", "unavailable"),
    ("ftp", "greeting", "530 Sorry, the maximum number of clients (1) from your host are already connected.", "too-many-connections"),
    ("ftp", "greeting", "550 No connections allowed from your IP", "client-refused"),
    # databases and directories
    ("mysql", "greeting", "1130 Host '192.0.2.7' is not allowed to connect to this MariaDB server", "client-refused"),
    ("mysql", "greeting", "1040 Too many connections", "too-many-connections"),
    ("mysql", "greeting", "1129 Host '192.0.2.7' is blocked because of many connection errors", "client-blocked-after-errors"),
    ("postgres", "SSLRequest", "FATAL 53300 sorry, too many clients already", "too-many-connections"),
    ("postgres", "SSLRequest", "FATAL 57P03 the database system is starting up", "unavailable"),
    ("mssql", "PRELOGIN", "17809 Could not connect because the maximum number of '5' user", "too-many-connections"),
    ("ldap", "StartTLS", "52 unavailable: going down", "unavailable"),
    ("ldap", "StartTLS", "51 busy", "too-many-connections"),
    # IRC
    ("irc", "CAP LS", "ERROR :Closing link: (unknown@192.0.2.7) [Z-lined: scanner]", "client-refused"),
    ("irc", "CAP LS", "ERROR :Trying to reconnect too fast.", "too-many-connections"),
    ("irc", "CAP LS", "ERROR :Closing link", "refused"),
    ("irc", "CAP LS", ":irc.example 465 * :You are banned from this server", "client-refused"),
    # XMPP
    ("xmpp", "stream header", "host-unknown: This server does not serve x", "domain-not-served"),
    ("xmpp-server", "stream header", "host-gone", "domain-not-served"),
    ("xmpp", "stream header", "policy-violation", "forbidden"),
    ("xmpp", "stream header", "see-other-host", "see-other-host"),
    ("xmpp", "stream header", "resource-constraint", "too-many-connections"),
    ("xmpp", "stream header", "system-shutdown", "unavailable"),
    ("xmpp", "stream header", "undefined-condition", "refused"),
]  # fmt: skip


@pytest.mark.parametrize(("protocol", "awaited", "words", "reason"), WORDS)
def test_words_of_real_servers_have_their_meaning(protocol: str, awaited: str, words: str, reason: str) -> None:
    assert meaning_of(protocol, words, awaited).reason == reason


def test_a_code_means_something_in_its_own_protocol_only() -> None:
    assert meaning_of("imap", "1130 x", "greeting") is UNKNOWN
    assert meaning_of("ftp", "521 x", "greeting") is UNKNOWN


@pytest.mark.parametrize("language", ["zh"])
@pytest.mark.parametrize("meaning", MEANINGS, ids=lambda meaning: meaning.reason)
def test_every_meaning_can_be_shown_whole_in_every_language(meaning: object, language: str) -> None:
    values = translated(language)["values"]
    for text in (meaning.meaning, meaning.advice):  # type: ignore[attr-defined]
        assert len(text) <= MAX_VALUE
        assert not text or values[text] != text


def test_every_reason_is_that_of_one_meaning() -> None:
    assert len({meaning.reason for meaning in MEANINGS}) == len(MEANINGS)
    assert {reason for *_, reason in WORDS} == {meaning.reason for meaning in MEANINGS}


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("<stream:error><host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>", "host-unknown"),
        (
            "<stream:error xmlns:stream='http://etherx.jabber.org/streams'><conflict xmlns='urn:x'/>"
            "<text xml:lang='en'> Replaced </text></stream:error>",
            "conflict: Replaced",
        ),
        ("<error><s:see-other-host xmlns:s='urn:x'>[2001:db8::1]:5222</s:see-other-host></error>", "see-other-host"),
        ("</stream:stream>", "</stream:stream>"),
        ("", ""),
    ],
)
def test_stream_errors_are_shown_by_condition_and_text(said: str, expected: str) -> None:
    assert readable("xmpp", said) == expected


def test_words_of_other_protocols_are_shown_as_they_are() -> None:
    assert readable("smtp", "554 <a> no") == "554 <a> no"


@pytest.mark.parametrize(
    ("words", "mask"),
    [
        ("250-mx\r\n250-XXXXXXXA\r\n250 XXB", "XXXXXXXA"),
        ("250-XXXXXXXX", "XXXXXXXX"),
        ('502 5.5.2 Error: command not recognized "XXXX"', "XXXX"),
        ("220 **************02*****2***", "**************"),
        ("220 *** mx *** ESMTP", None),
        ("250-XX\r\n250-XCLIENT\r\n250 XXXXLARGE", None),
        ("220 mx.xxxx.example", None),
    ],
)
def test_only_runs_of_one_letter_are_masks(words: str, mask: str | None) -> None:
    assert mask_in(words) == mask
