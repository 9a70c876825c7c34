"""IMAP command octets -> the server's answer: `View`, who asks, and `Answer`, what is said.

Every command is parsed once and kept with what it compiles to, so a client that repeats itself costs
no parsing.  What a client sends never raises; it is answered BAD or NO.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from pyxlist import acl
from pyxlist._named import new
from pyxlist.callbacks import MetadataCallback, StatusCallback
from pyxlist.config import Config
from pyxlist.entry import Entry, Mbtype
from pyxlist.errors import CommandError
from pyxlist.imap import (
    GetAclCommand,
    ListCommand,
    ListRightsCommand,
    MyRightsCommand,
    NamespaceCommand,
    parse_command,
)
from pyxlist.index.read import Reader
from pyxlist.listing import Item, Lister
from pyxlist.names import is_inbox, octets_of, owner_of, text_of
from pyxlist.namespace import Namespace, is_special_use
from pyxlist.policy import CYRUS, Policy
from pyxlist.query import Query, compile_query
from pyxlist.tokens import astring

__all__ = ["Answer", "Prepared", "View", "prepared_for"]

_MISSING: Final = "Mailbox does not exist"
_COMPLETED: Final = "Completed"
_COMMAND_BYTES: Final = 1024  # what a command and its objects take besides octets and patterns
_HEAVY_BYTES: Final = 1 << 17
_REMEMBERED_BYTES: Final = 1 << 23


class Answer(NamedTuple):
    """What a server says to one command, without its tag.

    `status` is "OK", "NO" or "BAD", `text` what follows it in the tagged line, `untagged` the octets of
    complete untagged lines, each with its CRLF.
    """

    status: str
    text: str
    untagged: bytes


Prepared = Query | Answer | NamespaceCommand | MyRightsCommand | GetAclCommand | ListRightsCommand


class Listed(NamedTuple):
    """What `View.list` was asked for, as text."""

    reference: str
    patterns: tuple[str, ...]


Asked = bytes | Listed


def prepare(asked: Asked, config: Config) -> Prepared:
    """A command understood as far as the configuration allows: a LIST compiled, a refusal worded."""
    if not isinstance(asked, (bytes, Listed)):
        raise TypeError(f"a command is octets: expected bytes, got {type(asked).__name__}")
    try:
        command = _plain_list(asked) if isinstance(asked, Listed) else parse_command(asked, config.allowdeleted)
        return compile_query(command, config) if isinstance(command, ListCommand) else command
    except CommandError as error:
        return Answer(error.status, error.text, b"")


def _plain_list(asked: Listed) -> ListCommand:
    typed = tuple(octets_of(pattern) for pattern in asked.patterns) or (b"*",)
    returns = frozenset({"children"})
    return ListCommand("LIST", len(typed) > 1, frozenset(), returns, octets_of(asked.reference), typed)


class View:
    """Who asks, and in which namespace: made by `Index.view`, good until the index is closed.

    Every method reads a snapshot of its own, so a view never shows stale rights; it may be used by several
    threads.
    """

    __slots__ = ("__weakref__", "_config", "_lister", "_policy", "_prepare", "_reader", "asker", "namespace")

    def __init__(
        self,
        reader: Reader,
        namespace: Namespace,
        groups: tuple[str, ...],
        prepared: Callable[[Asked], Prepared],
        status: StatusCallback | None = None,
        metadata: MetadataCallback | None = None,
        policy: Policy = CYRUS,
    ) -> None:
        config = namespace.config
        self.namespace = namespace
        self.asker = acl.Asker(namespace.userid, groups)
        self._reader = reader
        self._config = config
        self._policy = policy
        self._lister = Lister(reader.store, namespace, groups, status or self._empty_status, metadata, policy)
        self._prepare = prepared

    def __repr__(self) -> str:
        admin = ", admin" if self.namespace.is_admin else ""
        return f"<View of {self.namespace.userid!r}, groups {self.asker.groups!r}{admin}>"

    # --- LIST ---

    def list(self, reference: str = "", *patterns: str) -> Iterator[Item]:
        """The rows of ``LIST reference pattern``, or of a pattern list, as objects, in the server's order.

        Without pattern everything is listed.
        """
        prepared = self._prepare(Listed(reference, patterns))
        if isinstance(prepared, Answer):
            raise CommandError(prepared.text, prepared.status)
        assert isinstance(prepared, Query)
        return self._lister.items(prepared)

    def respond(self, command: bytes) -> Answer:
        """Answer one IMAP command without tag and CRLF, literals inline.  Raises only for a broken index."""
        prepared = self._prepare(command)
        if type(prepared) is Query:
            return new(Answer, "OK", _COMPLETED, self._lister.answer(prepared))
        if isinstance(prepared, Answer):
            return prepared
        try:
            return Answer("OK", _COMPLETED, self._answer(prepared))
        except CommandError as error:
            return Answer(error.status, error.text, b"")

    def stream(self, command: bytes) -> Iterator[bytes]:
        """The untagged octets of a LIST, LSUB, XLIST, RLIST or RLSUB in pieces of about 64 KiB.

        For answers that are too large for memory or clients that are slow: no snapshot outlives a piece.
        Raises CommandError for a command that is refused or is none of these.
        """
        prepared = self._prepare(command)
        if isinstance(prepared, Answer):
            raise CommandError(prepared.text, prepared.status)
        if not isinstance(prepared, Query):
            raise CommandError("only LIST and its kin are streamed")
        return self._lister.stream(prepared)

    # --- rights ---

    def rights(self, typed: str) -> acl.Rights | None:
        """The view's rights on a mailbox by its external name; None where MYRIGHTS would say NO."""
        try:
            return self._rights_for_client(octets_of(typed))
        except CommandError:
            return None

    def state(self) -> bytes:
        """An opaque token: while it stays equal, no LIST or MYRIGHTS answer of this view has changed.

        It also changes when nothing of this view did, if rarely.  What `status` and `metadata` callbacks
        say is not part of it.
        """
        return self._reader.state(self._lister.identifiers, self.namespace.is_admin)

    def _answer(self, command: NamespaceCommand | MyRightsCommand | GetAclCommand | ListRightsCommand) -> bytes:
        match command:
            case NamespaceCommand():
                inbox = self._reader.lookup(self.namespace.owner_prefix)
                usable = inbox is not None and inbox.is_live and not inbox.mbtype & Mbtype.RESERVED
                return self.namespace.namespace_line(usable)
            case MyRightsCommand(mailbox):
                rights = self._rights_for_client(mailbox)
                printed = octets_of(rights.format(self._config.deleteright))
                return b"* MYRIGHTS %s %s\r\n" % (astring(mailbox), printed)
            case GetAclCommand(mailbox):
                entry = self._open_for_acl(mailbox)
                pairs = [astring(octets_of(part)) for pair in entry.acl for part in pair]
                return b"* ACL " + b" ".join([astring(mailbox), *pairs]) + b"\r\n"
            case ListRightsCommand(mailbox, identifier):
                return self._list_rights(mailbox, identifier)

    def _list_rights(self, mailbox: bytes, identifier: bytes) -> bytes:
        entry = self._open_for_acl(mailbox)
        reading = acl.canonical_identifier(text_of(identifier), self._config, self.asker.userid)
        groups = acl.rights_groups(
            known=reading.canonical is not None,
            is_owner=reading.canonical is not None and owner_of(entry.key, self._config) == reading.canonical,
            is_inbox=is_inbox(entry.key, self._config),
            implicit=acl.implicit_rights(self._config),
            deleteright=self._config.deleteright,
        )
        parts = [mailbox, octets_of(reading.echo), *map(octets_of, groups)]
        return b"* LISTRIGHTS " + b" ".join(map(astring, parts)) + b"\r\n"

    def _stored_rights(self, entry: Entry) -> acl.Rights:
        return self._policy.evaluation(self._config).effective(entry.acl, self.asker, self.namespace.owns(entry.key))

    def _rights_for_client(self, typed: bytes) -> acl.Rights:
        entry = self._open(typed)
        rights = acl.myrights(
            self._stored_rights(entry),
            is_owner=self.namespace.owns(entry.key),
            is_admin=self.namespace.is_admin,
            implicit=acl.implicit_rights(self._config),
        )
        if rights is None:
            raise CommandError(_MISSING, "NO")
        return rights

    def _open_for_acl(self, typed: bytes) -> Entry:
        """The mailbox, if its ACL may be shown; Source: imap/imapd.c, cmd_getacl."""
        entry = self._open(typed)
        refusal = acl.refusal(
            self._stored_rights(entry),
            is_owner=self.namespace.owns(entry.key),
            is_admin=self.namespace.is_admin,
        )
        if refusal is not None:
            raise CommandError(refusal, "NO")
        return entry

    def _open(self, typed: bytes) -> Entry:
        """The mailbox a client means; raises CommandError with the server's words if it cannot be used.

        Source: imap/imapd.c, mlookup; imap/mboxlist.c, mboxlist_lookup.
        """
        key = self.namespace.key_of(typed)
        if key is None and is_special_use(typed):
            key = self._reader.special_use(self.namespace.userid, self.namespace.owner_prefix, typed)
        entry = None if key is None else self._reader.lookup(key)
        if entry is None or not entry.is_live:
            raise CommandError(_MISSING, "NO")
        if entry.mbtype & Mbtype.RESERVED:
            raise CommandError("Mailbox is currently reserved", "NO")
        if entry.mbtype & Mbtype.MOVING:
            told = self.namespace.is_admin or "l" in self._stored_rights(entry)
            raise CommandError("Operation is not supported on mailbox" if told else _MISSING, "NO")
        return entry

    def _empty_status(self, key: bytes, items: tuple[bytes, ...]) -> bytes | None:
        """STATUS as of a mailbox without messages: all that a mailboxes.db can tell."""
        entry = self._reader.lookup(key)
        if entry is None:
            return None
        known = {
            b"UIDNEXT": b"1",
            b"UIDVALIDITY": b"%d" % entry.uidvalidity,
            b"MAILBOXID": b"(%s)" % octets_of(entry.uniqueid or ""),
            b"HIGHESTMODSEQ": b"%d" % entry.foldermodseq,
            b"CREATEDMODSEQ": b"%d" % entry.createdmodseq,
        }
        return b"(" + b" ".join(b"%s %s" % (item, known.get(item, b"0")) for item in items) + b")"


class _Remembered(dict[Asked, Prepared]):
    """Commands that were understood before, for one configuration, found as fast as a dict can.

    Clients choose the commands, so what counts is the memory they take: a short LIST may name a thousand
    patterns.  What is heavy is not kept, and all is forgotten when it is too much together.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self._config = config
        self.weight = 0

    def __missing__(self, asked: Asked) -> Prepared:
        prepared = prepare(asked, self._config)
        octets = len(asked) if isinstance(asked, bytes) else sum(map(len, asked.patterns))
        weight = _COMMAND_BYTES + 4 * octets + (prepared.weight if isinstance(prepared, Query) else 0)
        if weight <= _HEAVY_BYTES:
            self.weight += weight
            if self.weight > _REMEMBERED_BYTES:
                self.clear()
                self.weight = weight
            self[asked] = prepared
        return prepared


def prepared_for(config: Config) -> Callable[[Asked], Prepared]:
    """`prepare` for one configuration, remembering some thousand commands in at most 8 MiB."""
    return _Remembered(config).__getitem__
