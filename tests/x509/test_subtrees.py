"""Tables of name constraints. What they allow is tested by ``test_constraints``; here, that one looks at little."""

from __future__ import annotations

from scanner.x509.distinguished import normalised
from scanner.x509.subtrees import EMAIL, URI, Subtrees
from tests.helpers.pki import name


def test_a_shorter_base_wins_over_a_longer_one_below_it() -> None:
    side = Subtrees()
    side.directories = [name(C="DE", O="X", CN="deep"), name(C="DE")]
    assert side.holds_directory(normalised(name(C="de", O="other")))
    assert not side.holds_directory(normalised(name(C="FR", O="X", CN="deep")))
    assert not side.holds_directory(None)


def test_an_unreadable_base_contains_nothing() -> None:
    side = Subtrees()
    side.directories = [b"nonsense"]
    assert not side.holds_directory(normalised(name(C="DE")))
    side = Subtrees()
    side.directories = [name()]
    assert side.holds_directory(normalised(name(C="DE")))


def test_texts_by_host_domain_and_mailbox() -> None:
    side = Subtrees()
    side.texts = {EMAIL: ["a@Host.example", ".example.org"], URI: [".b.example", "c.example"]}
    assert side.holds_text(EMAIL, "a@HOST.example")
    assert not side.holds_text(EMAIL, "A@host.example")
    assert side.holds_text(EMAIL, "x@mail.example.org")
    assert not side.holds_text(EMAIL, "x@example.org")
    assert side.holds_text(URI, "https://a.b.example/")
    assert side.holds_text(URI, "https://c.example:443")
    assert not side.holds_text(URI, "https://d.c.example")
    side = Subtrees()
    side.texts = {EMAIL: [""]}
    assert side.holds_text(EMAIL, "x@anything.example")
