"""Resolvers from options and files, as people and installers write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from scanner.net.dns import resolver_config
from scanner.net.dns.resolver_config import ResolverConfigError, Server


@pytest.mark.parametrize(
    ("text", "server", "shown"),
    [
        ("192.0.2.1", Server("192.0.2.1"), "192.0.2.1"),
        (" 192.0.2.1:5353 ", Server("192.0.2.1", 5353), "192.0.2.1:5353"),
        ("2001:DB8::1", Server("2001:db8::1"), "2001:db8::1"),
        ("[2001:db8::1]", Server("2001:db8::1"), "2001:db8::1"),
        ("[2001:db8::1]:5353", Server("2001:db8::1", 5353), "[2001:db8::1]:5353"),
        ("fe80::1%eth0", Server("fe80::1", 53, "eth0"), "fe80::1%eth0"),
        ("[fe80::1%2]:54", Server("fe80::1", 54, "2"), "[fe80::1%2]:54"),
    ],
)
def test_a_resolver_as_it_is_given(text: str, server: Server, shown: str) -> None:
    assert resolver_config.parse_server(text) == server
    assert server.text == shown


@pytest.mark.parametrize(
    "text",
    [
        "", "dns.example", "192.0.2.1:", "192.0.2.1:0", "192.0.2.1:65536", "192.0.2.1:x", "192.0.2.1:٣", "192.0.2", "192.0.2.1:1:2",
        "[2001:db8::1", "[2001:db8::1]53", "[192.0.2.1]:53", "[]", "[]:53", "https://192.0.2.1", "192.0.2.1\n8.8.8.8",
    ],
)  # fmt: skip
def test_a_bad_resolver_is_one_line(text: str) -> None:
    with pytest.raises(ResolverConfigError) as caught:
        resolver_config.parse_servers([text])
    assert "\n" not in str(caught.value)


def test_lists_of_resolvers() -> None:
    assert resolver_config.parse_servers(["192.0.2.1", "192.0.2.1:53", "::1"]) == (Server("192.0.2.1"), Server("::1"))
    with pytest.raises(ResolverConfigError, match="no resolver"):
        resolver_config.parse_servers([])
    with pytest.raises(ResolverConfigError, match="at most 8"):
        resolver_config.parse_servers([f"192.0.2.{n}" for n in range(9)])


def test_scopes_become_numbers_only_when_a_socket_is_opened() -> None:
    assert Server("fe80::1", 53, "3").socket_address() == ("fe80::1", 53, 0, 3)
    assert Server("192.0.2.1").socket_address() == ("192.0.2.1", 53)
    with pytest.raises(OSError):
        Server("fe80::1", 53, "no-such-interface").socket_address()


def test_resolv_conf() -> None:
    parsed = resolver_config.parse_resolv_conf(
        """# made by something
; also a comment
search corp.example lab.example
nameserver 192.0.2.53
nameserver 2001:db8::53
nameserver fe80::1%eth0
nameserver 192.0.2.53
nameserver not-an-address
nameserver
options ndots:5 timeout:2 attempts:3 rotate edns0
\toptions use-vc
"""
    )
    assert parsed.servers == (Server("192.0.2.53"), Server("2001:db8::53"), Server("fe80::1", 53, "eth0"))
    assert (parsed.timeout, parsed.attempts, parsed.rotate, parsed.tcp_only, parsed.problem) == (
        2.0,
        3,
        True,
        True,
        None,
    )


def test_options_are_capped_as_the_c_library_caps_them() -> None:
    parsed = resolver_config.parse_resolv_conf(
        "nameserver 192.0.2.1\noptions timeout:900 attempts:99\noptions timeout:x attempts:"
    )
    assert (parsed.timeout, parsed.attempts) == (30.0, 5)
    parsed = resolver_config.parse_resolv_conf("nameserver 192.0.2.1\noptions timeout:0 attempts:0 rotate:1")
    assert (parsed.timeout, parsed.attempts) == (1.0, 1)
    assert resolver_config.parse_resolv_conf("nameserver 192.0.2.1").timeout == 5.0


def test_more_servers_than_the_c_library_takes() -> None:
    parsed = resolver_config.parse_resolv_conf("\n".join(f"nameserver 192.0.2.{n}" for n in range(20)))
    assert len(parsed.servers) == 8


def test_no_usable_resolv_conf_is_a_problem_and_never_a_public_resolver(tmp_path: Path) -> None:
    missing = resolver_config.read_resolv_conf(tmp_path / "none")
    assert missing.servers == () and "cannot be read" in (missing.problem or "")
    path = tmp_path / "resolv.conf"
    path.write_bytes(b"\xff\xfe nameserver\nsearch example\n")
    empty = resolver_config.read_resolv_conf(path)
    assert empty.servers == () and "no usable nameserver" in (empty.problem or "")


def test_hosts_of_both_families_with_aliases_case_and_comments() -> None:
    hosts = resolver_config.parse_hosts(
        """127.0.0.1 localhost Loop.Example # a comment alias.example
::1\tlocalhost ip6-localhost
# 192.0.2.9 commented.example
192.0.2.1 WWW.Example. web
192.0.2.2 www.example
192.0.2.1 www.example
2001:db8:0:0::1 www.example
fe80::1%lo0 scoped
nonsense www.example
192.0.2.3
"""
    )
    assert hosts.look_up("www.example", ipv4=True, ipv6=True) == ("192.0.2.1", "192.0.2.2", "2001:db8::1")
    assert hosts.look_up("www.example", ipv4=False, ipv6=True) == ("2001:db8::1",)
    assert hosts.look_up("web", ipv4=True, ipv6=False) == ("192.0.2.1",)
    assert hosts.look_up("web", ipv4=False, ipv6=True) == ()
    assert hosts.look_up("localhost", ipv4=True, ipv6=True) == ("127.0.0.1", "::1")
    assert hosts.look_up("loop.example", ipv4=True, ipv6=True) == ("127.0.0.1",)
    assert hosts.look_up("scoped", ipv4=True, ipv6=True) == ("fe80::1%lo0",)
    for name in ("alias.example", "commented.example", "", "other"):
        assert hosts.look_up(name, ipv4=True, ipv6=True) == ()


def test_a_hosts_file_that_is_too_large_is_read_to_its_last_whole_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolver_config, "MAX_HOSTS_BYTES", 50)
    path = tmp_path / "hosts"
    path.write_text("192.0.2.1 first.example\n192.0.2.2 second.example.org\n")
    assert resolver_config.read_hosts(path).addresses == {"first.example": ("192.0.2.1",)}
    assert resolver_config.read_hosts(tmp_path / "none").addresses == {}


def test_octets_that_are_no_text_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "hosts"
    path.write_bytes(b"# caf\xe9\n192.0.2.1 a.example b\xff.example\n")
    assert resolver_config.read_hosts(path).look_up("a.example", ipv4=True, ipv6=True) == ("192.0.2.1",)
