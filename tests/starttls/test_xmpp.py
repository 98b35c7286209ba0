"""XMPP: RFC 6120."""

from __future__ import annotations

import pytest

from scanner.starttls import Malformed, NotOffered, Ready, Refused, SessionRefused, dialogue
from tests.starttls.playbook import answer, play

HEADER = b"<?xml version='1.0'?><stream:stream id='1' from='a.example' version='1.0' xmlns:stream='http://etherx.jabber.org/streams'>"
FEATURES = b"<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls><mechanisms/></stream:features>"
OPENING = ("C", b"<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' "
                b"to='a.example' version='1.0'>")  # fmt: skip
STARTTLS = ("C", b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")


@pytest.mark.parametrize(
    "proceed",
    [
        b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
        b"\n <proceed></proceed>",
        b"<tls:proceed\n xmlns:tls='x' />",
    ],
)
def test_ready(proceed: bytes) -> None:
    assert play("xmpp", OPENING, ("S", HEADER), ("S", FEATURES), STARTTLS, ("S", proceed)) == Ready()


def test_the_namespace_between_servers() -> None:
    talk = dialogue("xmpp-server", host="a.example")
    assert talk is not None
    assert b"xmlns='jabber:server'" in talk.data_to_send()


def test_the_host_is_escaped() -> None:
    talk = dialogue("xmpp", host="a'><b&")
    assert talk is not None
    assert b"to='a&apos;>&lt;b&amp;'" in talk.data_to_send()


def test_not_offered() -> None:
    features = b"<stream:features><mechanisms xmlns='x'><mechanism>PLAIN</mechanism></mechanisms></stream:features>"
    assert play("xmpp", OPENING, ("S", HEADER + features)) == NotOffered(features.decode())
    assert play("xmpp", OPENING, ("S", HEADER + b"<stream:features/>")) == NotOffered("<stream:features/>")


def test_a_server_from_before_xmpp_1_0() -> None:
    header = b"<stream:stream id='1' xmlns='jabber:client'>"
    assert play("xmpp", OPENING, ("S", header)) == NotOffered(header.decode())


def test_refused() -> None:
    error = b"<stream:error><host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/><text>who?</text></stream:error>"
    assert play("xmpp", OPENING, ("S", HEADER + error)) == SessionRefused(error.decode())
    failure = b"<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
    assert play("xmpp", OPENING, ("S", HEADER + FEATURES), STARTTLS, ("S", failure)) == Refused(failure.decode())
    failure = b"<failure><text>no key</text></failure>"
    assert play("xmpp", OPENING, ("S", HEADER + FEATURES), STARTTLS, ("S", failure)) == Refused(failure.decode())
    end = b"</stream:stream>"
    assert play("xmpp", OPENING, ("S", HEADER + end)) == SessionRefused(end.decode())
    assert play("xmpp", OPENING, ("S", HEADER + FEATURES), STARTTLS, ("S", end)) == Refused(end.decode())


def test_another_protocol() -> None:
    page = b"<html><head><title>400</title>"
    assert play("xmpp", OPENING, ("S", page[:6])) == Malformed("<html>", "http")
    assert answer("xmpp", [b"HTTP/1.1 400 Bad Request\r\n\r\n<html>"]) == Malformed(
        "HTTP/1.1 400 Bad Request\r\n\r\n<html>", "http"
    )
    assert isinstance(play("xmpp", OPENING, ("S", HEADER + FEATURES), STARTTLS, ("S", b"<message/>")), Malformed)


def test_entities_are_not_expanded() -> None:
    bomb = b"<?xml version='1.0'?><!DOCTYPE x [<!ENTITY a 'aaaa'>"
    assert isinstance(play("xmpp", OPENING, ("S", bomb)), Malformed)
