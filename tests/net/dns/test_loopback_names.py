"""Names that are this machine."""

from __future__ import annotations

import pytest

from scanner.net.dns.loopback_names import is_localhost, localhost


@pytest.mark.parametrize(
    ("name", "expected"), [("localhost", True), ("a.localhost", True), ("notlocalhost", False), ("localhost.a", False)]
)
def test_names_below_localhost_are_loopback(name: str, expected: bool) -> None:
    assert is_localhost(name) is expected


@pytest.mark.parametrize(
    ("ipv4", "ipv6", "expected"),
    [(True, True, ("127.0.0.1", "::1")), (True, False, ("127.0.0.1",)), (False, True, ("::1",))],
)
def test_only_the_wanted_families_are_returned(ipv4: bool, ipv6: bool, expected: tuple[str, ...]) -> None:
    assert localhost(ipv4, ipv6).addresses == expected
