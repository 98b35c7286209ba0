"""Which protocol a row means: by the name of a service in whatever spelling, and by the port where none is named.

``PORTS`` is the documented table of ``auto``. 443, 8443 and whatever is not in it stay ``tls``: on such ports are web servers
as a rule, but also VPNs, brokers and APIs, and what TLS itself shows of them needs no more than that. IANA's registry names
the services; a few names are those of vendors' documentation and of people.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Final

from scanner.text import folded

# "By the port, else TLS first": the default, and what a row that says "tcp" means.
AUTO: Final = "auto"

# Well-known port -> protocol. The ports of Windows' global catalogue and of PgBouncer are those of LDAP and PostgreSQL.
PORTS: Final = {
    21: "ftp",
    24: "lmtp",
    25: "smtp",
    110: "pop3",
    119: "nntp",
    143: "imap",
    389: "ldap",
    443: "tls",
    465: "smtps",
    563: "nntps",
    587: "smtp",
    636: "ldaps",
    853: "tls",
    990: "ftps",
    993: "imaps",
    995: "pop3s",
    1433: "mssql",
    3268: "ldap",
    3269: "ldaps",
    3306: "mysql",
    3389: "rdp",
    4190: "sieve",
    5222: "xmpp",
    5223: "xmpps",
    5269: "xmpp-server",
    5432: "postgres",
    6432: "postgres",
    6667: "irc",
    6697: "ircs",
    8443: "tls",
    8883: "tls",
    9443: "tls",
}

# Protocol -> further names of its service. Those of ``tls`` speak TLS from the first byte and need nothing of their own.
_NAMES: Final = {
    AUTO: "auto any tcp tcp4 tcp6 tcpip",
    "tls": "tls ssl ssltls tlsssl tcptls tcpssl ssltcp dot domains dnsovertls securemqtt mqtts mqttssl amqps rediss sips telnets"
    " etcd kafkassl openvpn syslogtls winrms grpcs tls12 tls13 tlsv12 tlsv13",
    "https": "https httpoverssl httpovertls httpssl httptls sslhttp tlshttp wwwhttps www web website webserver httpsalt h2 http2 wss",
    "smtp": "smtp esmtp submission mailsubmission smtpsubmission msa mta mx smtpauth mailrelay",
    "smtps": "smtps ssmtp submissions urd smtpssl smtpoverssl smtpovertls sslsmtp",
    "lmtp": "lmtp",
    "imap": "imap imap2 imap4 imap4rev1",
    "imaps": "imaps imap4s imapssl imap4ssl imapoverssl imapovertls sslimap",
    "pop3": "pop3 pop pop3starttls",
    "pop3s": "pop3s spop3 pops pop3ssl popssl pop3overssl pop3overtls sslpop",
    "sieve": "sieve managesieve",
    "ftp": "ftp ftpes ftpcontrol ftpexplicit explicitftp ftpauthtls",
    "ftps": "ftps ftpsimplicit implicitftps ftpoverssl ftpssl",
    "ldap": "ldap activedirectory globalcatalog msftgc gc globalcatldap",
    "ldaps": "ldaps sldap ldapssl ldapoverssl ldapovertls msftgcssl globalcatldapssl gcssl",
    "xmpp": "xmpp jabber xmppclient jabberclient",
    "xmpps": "xmpps jabberssl xmppssl",
    "xmpp-server": "xmppserver jabberserver xmpps2s",
    "nntp": "nntp usenet news readnews",
    "nntps": "nntps snews snntp nntpssl",
    "irc": "irc ircu ircd",
    "ircs": "ircs ircssl ircsu",
    "postgres": "postgres postgresql pgsql postgre psql pg pgbouncer",
    "mysql": "mysql mariadb mysqlserver percona",
    "mssql": "mssql sqlserver mssqlserver mssqls microsoftsqlserver mssqltds tds sqlsrv",
    "rdp": "rdp mswbtserver mswbt msrdp msterm remotedesktop terminalserver termsrv",
}  # fmt: skip
NAMES: Final = {name: protocol for protocol, names in _NAMES.items() for name in names.split()}


def protocol_named(text: str, known: Container[str]) -> str | None:
    """Return the protocol that ``text`` names in whatever spelling, ``AUTO`` where it leaves that open; ``None`` if it names none."""
    if text in known:
        return text
    name = folded(text)
    protocol = NAMES.get(name)
    if protocol is None and "starttls" in name:  # "SMTP (STARTTLS)", "starttls/imap"
        protocol = NAMES.get(name.replace("starttls", ""))
    return protocol if protocol == AUTO or protocol in known else None


def protocol_of_port(port: int, known: Container[str]) -> str | None:
    """Return the protocol of a well-known port; ``None`` for all others."""
    protocol = PORTS.get(port)
    return protocol if protocol in known else None
