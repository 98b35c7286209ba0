"""Limits and choices of a run, each with its reason. The options of the command line become this record."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct


class ScanConfig(Struct, frozen=True, kw_only=True):
    """How a run behaves. Rates are starts per second, times are seconds."""

    # In flight together. 1000 keeps a scan of silent hosts moving and stays under common 1024..4096 file limits.
    concurrency: int = 1000
    # Connections started per second, all together; None is as fast as it goes.
    rate: float | None = None
    # One address is one machine (or one load balancer): the gentlest rate at which no server's own limits were seen to bite.
    rate_per_address: float | None = 20.0
    concurrency_per_address: int | None = 8
    # Limits per address are for the sake of other people's servers: this machine's own loopback addresses
    # are exempt from the defaults, not from what was asked for.
    polite_to_loopback: bool = False
    # A SYN is retransmitted after 1 s and 3 s (RFC 6298): 4 s gives the second one a chance.
    connect_timeout: float = 4.0
    # The whole probe with all of its follow-ups, whatever a server does.
    timeout: float = 15.0
    # Seconds of asking for one name, whatever the number of resolvers and retries.
    dns_patience: float = 12.0
    # Seconds that a run waits for this machine's network to come back: long enough for a switch or a firewall to restart.
    network_patience: float = 300.0
    # Further tries where what happened can be transient (timeouts, resets before a byte was read, SERVFAIL).
    retries: int = 1
    # Bytes that the run may take before it slows down; None is no limit.
    max_memory: int | None = None
    all_addresses: bool = False
    ipv4: bool = True
    ipv6: bool = True
    enumerate: bool = False
    # A client certificate is shown to every server that asks for one.
    authenticate: bool = False
    # Seconds since the epoch at which certificates are judged; None is the time of the probe.
    at: float | None = None
    expiry_warning_days: float | None = None
    # What may be asked about revocation: nothing, what servers staple, or OCSP responders and CRLs too.
    revocation: Literal["off", "staple", "online"] = "online"
    # URLs inside certificates come from strangers: without this they never lead to private or loopback addresses.
    private_urls: bool = False
    # Language of the texts in findings (scanner.language); codes, causes and keys do not depend on it.
    language: str = "en"
    # "auto": by the port where it is a well-known one (scanner.starttls.services), else TLS first
    default_protocol: str = "auto"
    default_port: int | None = None
