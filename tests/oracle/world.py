"""A server's state as plain dicts, and its answers to LIST and ACL commands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from . import commands
from .acl import matches, parse_rights, rights_text, stored_rights
from .entries import Entry, read_entry
from .files import OWNER, read_annotations, read_database, read_subscriptions
from .fold import Listing
from .listargs import BadCommand, parse_list, parse_simple
from .names import Name, Spelling, View
from .settings import Settings, parse_conf
from .tokens import Reader

_LISTING = ("List", "Xlist", "Lsub", "Rlist", "Rlsub")
_ACL = ("Myrights", "Getacl", "Listrights")


class World:
    r"""One server.

    entries: key names as in mailboxes.db without the leading N -> Entry, tombstones included.
    config: imapd.conf options -> text, number or boolean; what is missing has Cyrus 3.6.1's default.
    groups: group names without `group:` -> userids.
    subscriptions: userid -> (stored keys without the leading N, whether the sub.db is a flat file); stored
    keys are relative to the user: `INBOX` and what begins with it stand for the own tree.
    specialuse: (key name or uniqueid, userid or OWNER) -> special-use text such as rb"\Sent".
    pattern_operators: whether `|` and `{n}` in patterns act as in Cyrus; False takes them literally.
    The other peculiarity, the order of flat databases, is off unless mboxlist_db is flat or a sub.db is.
    """

    def __init__(
        self,
        entries: Mapping[bytes, Entry],
        config: Mapping[str, object] | None = None,
        groups: Mapping[str, Sequence[str]] | None = None,
        subscriptions: Mapping[str, tuple[Sequence[bytes], bool]] | None = None,
        specialuse: Mapping[tuple[bytes, str], bytes] | None = None,
        *,
        pattern_operators: bool = True,
    ) -> None:
        """Copies everything it is given; a World never changes."""
        self.entries = dict(entries)
        self.settings = Settings(config or {})
        self.spelling = Spelling(self.settings)
        self.groups = {_octets(name): set(map(_octets, users)) for name, users in (groups or {}).items()}
        self.specialuse = dict(specialuse or {})
        self.pattern_operators = pattern_operators
        self._subscriptions = {
            _octets(userid): _ordered(keys, flat=flat) for userid, (keys, flat) in (subscriptions or {}).items()
        }
        self._keys = _ordered(self.entries, flat=self.settings.flat_mailboxes())
        self._seen: dict[tuple[bytes, bool, bytes], tuple[Name, str, bytes | None]] = {}

    @classmethod
    def from_files(
        cls,
        mailboxes: bytes,
        conf: str,
        groups: Mapping[str, Sequence[str]],
        subscriptions: Mapping[bytes, bytes],
        annotations: bytes | None,
    ) -> World:
        """A world from file contents; `subscriptions` maps the uniqueid of the owner's INBOX to a sub.db."""
        records = read_database(mailboxes)
        entries = {key[1:]: read_entry(value) for key, value in records.items() if key.startswith(b"N")}
        options = parse_conf(conf)
        spelling = Spelling(Settings(options))
        of_users = {}
        for key, entry in entries.items():
            name = spelling.from_key(key)
            inbox = name.userid is not None and not name.boxes and not name.stamp
            # The file is found by the INBOX record, of whatever type that is (rule 21).
            if inbox and entry.uniqueid in subscriptions:
                of_users[(name.userid or b"").decode()] = read_subscriptions(subscriptions[entry.uniqueid])
        specialuse = read_annotations(annotations) if annotations else None
        return cls(entries, options, groups, of_users, specialuse)

    # --- who asks -----------------------------------------------------------------------------------------

    def view(self, userid: str) -> View:
        """The asker, as the server sees this userid."""
        return View(self.settings, _octets(userid), admin=self.is_admin(_octets(userid)))

    def is_admin(self, userid: bytes) -> bool:
        """Option admins lists identifiers, so groups may be among them."""
        return any(matches(admin, userid, self._groups_of(userid)) for admin in self.settings.admins)

    def _groups_of(self, userid: bytes) -> tuple[bytes, ...]:
        """Names of the groups a user is in."""
        if not self.settings.switch("unix_group_enable"):
            return ()
        return tuple(group for group, users in self.groups.items() if userid in users)

    # --- names and records --------------------------------------------------------------------------------

    def mailbox_keys(self) -> list[bytes]:
        """All key names in the order of the mailboxes.db backend."""
        return self._keys

    def subscription_keys(self, userid: bytes) -> list[bytes]:
        """A user's stored subscription keys in the order of the sub.db backend; none without the file."""
        return self._subscriptions.get(userid, [])

    def subscribed_key(self, userid: bytes, stored: bytes) -> bytes:
        """The key name a stored subscription stands for.

        INBOX is replaced as a string prefix, not as a component: al's subscription to user.alice is stored
        as `INBOXice` (rule 21).
        """
        if stored.startswith(b"INBOX"):
            return self.spelling.to_key(self.spelling.of_userid(userid)) + stored[5:]
        return stored

    def seen_by(self, view: View, key: bytes) -> tuple[Name, str, bytes | None]:
        """A key taken apart, its category and its external name in a view; remembered, it is asked often."""
        question = view.userid, view.admin, key
        if question not in self._seen:
            name = self.spelling.from_key(key)
            self._seen[question] = name, view.category(name), view.external(name)
        return self._seen[question]

    def typed_name(self, view: View, external: bytes) -> Name:
        r"""What a typed name means; a leading backslash looks up a special-use, in any case (rule 27).

        `MYRIGHTS "\\sent"` is about the first own live folder in key order that is \Sent; `\Inbox` always
        means the own INBOX.
        """
        if not external.startswith(b"\\"):
            return view.typed(external)
        if external.lower() == rb"\inbox":
            return view.me
        below = self.spelling.to_key(view.me) + b"\x1f"
        for key in self._keys:
            entry = self.entries[key]
            if not key.startswith(below) or entry.tombstone or entry.intermediate:
                continue
            name = self.spelling.from_key(key)
            uses = self.special_use(view.userid, self.spelling.to_text(name)).lower().split()
            if external.lower() in uses:
                return name
        return Name()

    def typed_text(self, view: View, external: bytes) -> bytes:
        """The text form of what a typed name means."""
        return self.spelling.to_text(self.typed_name(view, external))

    def normal_text(self, text: bytes) -> bytes:
        """The text form of the record a text form leads to, which for odd names is another one."""
        return self.spelling.to_text(self.spelling.from_text(text))

    def _key_of_text(self, text: bytes) -> bytes:
        """The key name a text form leads to."""
        return self.spelling.to_key(self.spelling.from_text(text))

    def lookup_all(self, text: bytes) -> Entry | None:
        """The record a text form leads to, whatever it is."""
        return self.entries.get(self._key_of_text(text))

    def lookup(self, text: bytes) -> Entry | None:
        """The mailbox a text form leads to: no tombstone, no intermediate, nothing reserved."""
        entry = self.lookup_all(text)
        if entry is None or entry.tombstone or entry.intermediate or entry.reserved:
            return None
        return entry

    def has_children(self, text: bytes) -> bool:
        """Whether a live record stands below, whoever may see it (rule 11)."""
        prefix = self._key_of_text(text) + b"\x1f"
        return any(
            key.startswith(prefix) and not entry.tombstone and not entry.intermediate
            for key, entry in self.entries.items()
        )

    def special_use(self, userid: bytes, text: bytes) -> bytes:
        """The special-use an owner gave the mailbox a text form leads to."""
        entry = self.lookup_all(text)
        if entry is None or entry.tombstone:
            return b""
        user = userid.decode("utf-8", "surrogateescape")
        for mailbox in (entry.uniqueid, self._key_of_text(text)):
            for who in (OWNER, user):
                if mailbox and (mailbox, who) in self.specialuse:
                    return self.specialuse[mailbox, who]
        return b""

    def status(self, entry: Entry, items: set[str]) -> bytes:
        """STATUS items of a mailbox that never held a message: all that mailboxes.db can tell (rule 16)."""
        known = {"messages": 0, "recent": 0, "uidnext": 1, "uidvalidity": entry.uidvalidity, "unseen": 0}
        return b" ".join(b"%s %d" % (item.upper().encode(), known[item]) for item in known if item in items)

    # --- rights -------------------------------------------------------------------------------------------

    def stored_rights(self, userid: bytes, entry: Entry) -> set[str]:
        """What the ACL alone gives; LIST looks at nothing else, even for owners (fact 31)."""
        return stored_rights(entry, userid, self._groups_of(userid), self.settings)

    def implicit_rights(self) -> set[str]:
        """What owners have without any entry."""
        return parse_rights(self.settings.text("implicit_owner_rights"), self.settings)

    def rights_of(self, view: View, text: bytes, entry: Entry) -> str:
        """Rights as MYRIGHTS prints them, "" if it says NO: one of l r i k x a is needed (rule 32)."""
        rights = self.stored_rights(view.userid, entry)
        if view.admin:
            rights = rights | {"l", "a"}
        elif view.owns(self.spelling.from_text(text)):
            rights = rights | self.implicit_rights()
        return rights_text(rights, self.settings) if rights & set("lrikxa") else ""

    def rights(self, userid: str, key: bytes) -> str:
        """Rights of a user on a record by key name, as MYRIGHTS prints them; "" if it says NO."""
        entry = self.entries.get(key)
        if entry is None or entry.tombstone or entry.intermediate or entry.reserved:
            return ""
        return self.rights_of(self.view(userid), self.spelling.to_text(self.spelling.from_key(key)), entry)

    # --- commands -----------------------------------------------------------------------------------------

    def respond(self, userid: str, command: bytes) -> tuple[str, bytes]:
        """Status word and untagged lines of a command without tag and CRLF.

        The status is "" where Cyrus sends no tagged answer: a pattern list without any pattern (rule 33).
        Raises NotImplementedError for METADATA, which no recorded answer shows.
        """
        status, _, untagged = self.answer(userid, command)
        return status, untagged

    def answer(self, userid: str, command: bytes) -> tuple[str, str, bytes]:
        """Status word, the text behind it, untagged lines."""
        reader = Reader(command)
        word, after = reader.word()
        verb = word.decode("latin-1").capitalize()
        try:
            return self._dispatch(self.view(userid), verb, reader, after)
        except BadCommand as refusal:
            return "BAD", str(refusal), b""
        except commands.No as refusal:
            return "NO", str(refusal), b""

    def _dispatch(self, view: View, verb: str, reader: Reader, after: bytes) -> tuple[str, str, bytes]:
        """One command, its verb read already."""
        if verb == "Namespace":
            if not reader.at_end(after):
                raise BadCommand("Unexpected extra arguments to Namespace")
            return "OK", "Completed", commands.namespace(self, view)
        if verb not in _LISTING + _ACL:
            raise BadCommand("Unrecognized command")
        if after != b" ":
            raise BadCommand(f"Missing required argument to {verb}")
        if verb in _ACL:
            return "OK", "Completed", commands.acl_command(self, view, verb, reader)
        return self._list(view, verb, reader)

    def _list(self, view: View, verb: str, reader: Reader) -> tuple[str, str, bytes]:
        """LIST and its relatives (rules 1 and 2)."""
        if verb in ("List", "Xlist"):
            args = parse_list(verb, reader, allowdeleted=self.settings.switch("allowdeleted"))
        else:
            args = parse_simple(verb, reader)
        if not args.patterns:
            return "", "", b""
        # An empty pattern asks for the separator, but LSUB and the extended forms go on with it (rule 1).
        if not args.patterns[0] and args.form in ("LIST", "XLIST"):
            return "OK", "Completed", b'* %s (\\Noselect) "%s" ""\r\n' % (args.form.encode(), view.separator)
        return "OK", "Completed", Listing(self, view, args).answer()


def _octets(text: str) -> bytes:
    """Userids and group names as octets."""
    return text.encode("utf-8", "surrogateescape")


def _ordered(keys: Iterable[bytes], *, flat: bool) -> list[bytes]:
    """Octet order; the flat backend sorts `.` below every other octet, 0x1F included (rule 3, corrected)."""
    return sorted(keys, key=lambda key: key.replace(b".", b"\x02") if flat else key)
