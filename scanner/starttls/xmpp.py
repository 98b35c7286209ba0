"""XMPP streams with STARTTLS (RFC 6120 sections 4 and 5), of clients and between servers.

::

    C: <stream:stream to='host' version='1.0' ...>
    S: <stream:stream ...><stream:features><starttls/>...</stream:features>
    C: <starttls/>
    S: <proceed/>

The server's side is read tag by tag, without an XML parser: there is nothing in it to expand, and only names of
elements matter.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from scanner.starttls.base import (
    NEED_DATA,
    READY,
    DelimitedDialogue,
    DialogueError,
    NotOffered,
    Outcome,
    Recogniser,
    Refused,
    SessionRefused,
    peer_text,
)

STARTTLS: Final = b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
# text before it, a slash, an optional prefix, the local name, attributes, a slash
_TAG: Final = re.compile(rb"([^<]*)<(/?)(?:[A-Za-z_][\w.-]*:)?([A-Za-z_][\w.-]*)(?=[\s/>])(.*?)(/?)>\Z", re.DOTALL)
_DECLARATION: Final = re.compile(rb"\s*<\?xml\s[^<]*\?>\Z")
_VERSION: Final = re.compile(rb"\sversion\s*=\s*['\"]\s*(\d{1,4})\.\d{1,4}\s*['\"]")


class XmppClientDialogue(DelimitedDialogue):
    """RFC 6120 sections 4.7 (streams), 4.3.2 (features), 4.9 (stream errors) and 5.4.2 (STARTTLS)."""

    delimiter = b">"
    awaited = "stream header"
    namespace = "jabber:client"

    def __init__(self, host: str, recognise: Recogniser | None = None) -> None:
        super().__init__(host, recognise)
        self._outgoing = _header(host, self.namespace)
        self._awaiting = self._stream
        self._text = bytearray()  # what the server said since the last step
        self._collected = b""  # the element whose end is waited for
        self._offered = False

    def _message_untrusted(self, message: bytes) -> Outcome:
        if self._awaiting == self._stream and _DECLARATION.match(message):
            return NEED_DATA
        tag = _Tag.read_untrusted(message)
        self._text += message
        return self._awaiting(tag)

    def _stream(self, tag: _Tag) -> Outcome:
        if not (tag.opens and tag.name == b"stream"):
            raise DialogueError
        self._text.clear()
        version = _VERSION.search(tag.attributes)
        if version is None or int(version[1]) < 1:
            # a server from before XMPP 1.0 has no stream features (RFC 6120 section 4.7.5)
            return NotOffered(peer_text(tag.raw))
        self._awaiting = self._features
        return NEED_DATA

    def _features(self, tag: _Tag) -> Outcome:
        if self._is_end(tag):
            return self._refusal()
        if tag.name == b"error" and tag.opens:
            return self._collect(tag)
        if tag.name == b"starttls" and (tag.opens or tag.empty):
            self._offered = True
        elif tag.name == b"features" and (tag.closes or tag.empty):
            if not self._offered:
                return NotOffered(peer_text(bytes(self._text)))
            self._text.clear()
            return self._say(STARTTLS, self._answer, "STARTTLS")
        return NEED_DATA

    def _answer(self, tag: _Tag) -> Outcome:
        if self._is_end(tag):
            return self._refusal()
        if tag.closes or tag.name not in (b"proceed", b"failure", b"error"):
            raise DialogueError
        if tag.empty:
            return self._conclude(tag.name)
        return self._collect(tag)

    def _collect(self, tag: _Tag) -> Outcome:
        self._collected = tag.name
        self._awaiting = self._until_closed
        return NEED_DATA

    def _until_closed(self, tag: _Tag) -> Outcome:
        if tag.closes and tag.name == self._collected:
            return self._conclude(tag.name)
        return self._refusal() if self._is_end(tag) else NEED_DATA

    def _conclude(self, name: bytes) -> Outcome:
        return READY if name == b"proceed" else self._refusal()

    def _refusal(self) -> Outcome:
        text = peer_text(bytes(self._text))
        return Refused(text) if self.awaited == "STARTTLS" else SessionRefused(text)

    @staticmethod
    def _is_end(tag: _Tag) -> bool:
        return tag.name == b"stream" and tag.closes


class XmppServerDialogue(XmppClientDialogue):
    """Between servers the default namespace is another (RFC 6120 section 4.8.2)."""

    namespace = "jabber:server"


class _Tag(NamedTuple):
    """One tag, and the text before it."""

    raw: bytes
    name: bytes
    attributes: bytes
    opens: bool
    closes: bool
    empty: bool

    @classmethod
    def read_untrusted(cls, raw: bytes) -> _Tag:
        read = _TAG.match(raw)
        if read is None:
            raise DialogueError
        return cls(raw, read[3].lower(), read[4], not (read[2] or read[5]), bool(read[2]), bool(read[5]))


def _header(host: str, namespace: str) -> bytes:
    escaped = host.replace("&", "&amp;").replace("<", "&lt;").replace("'", "&apos;")
    return (
        f"<?xml version='1.0'?><stream:stream xmlns='{namespace}' xmlns:stream='http://etherx.jabber.org/streams' "
        f"to='{escaped}' version='1.0'>"
    ).encode()
