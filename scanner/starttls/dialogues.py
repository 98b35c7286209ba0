"""The class of each protocol's opening dialogue."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from scanner.starttls.base import Dialogue, Recogniser
from scanner.starttls.ftp import FtpDialogue
from scanner.starttls.imap import ImapDialogue
from scanner.starttls.irc import IrcDialogue
from scanner.starttls.ldap import LdapDialogue
from scanner.starttls.mssql import MssqlDialogue
from scanner.starttls.mysql import MysqlDialogue
from scanner.starttls.nntp import NntpDialogue
from scanner.starttls.pop3 import Pop3Dialogue
from scanner.starttls.postgres import PostgresDialogue
from scanner.starttls.rdp import RdpDialogue
from scanner.starttls.sieve import SieveDialogue
from scanner.starttls.smtp import LmtpDialogue, SmtpDialogue
from scanner.starttls.xmpp import XmppClientDialogue, XmppServerDialogue

DIALOGUES: Final[dict[str, Callable[[str, Recogniser | None], Dialogue]]] = {
    "smtp": SmtpDialogue,
    "lmtp": LmtpDialogue,
    "imap": ImapDialogue,
    "pop3": Pop3Dialogue,
    "sieve": SieveDialogue,
    "ftp": FtpDialogue,
    "ldap": LdapDialogue,
    "xmpp": XmppClientDialogue,
    "xmpp-server": XmppServerDialogue,
    "nntp": NntpDialogue,
    "irc": IrcDialogue,
    "postgres": PostgresDialogue,
    "mysql": MysqlDialogue,
    "mssql": MssqlDialogue,
    "rdp": RdpDialogue,
}
