"""The server's configuration: every imapd.conf option that changes what LIST or an ACL command answers.

A `Config` is a value.  It is read once from the server's imapd.conf, stored in the index (`to_dict`), and
from then on nothing outside the index is needed to answer.  Options that change no answer are not kept, and
options nobody knows are ignored, because one imapd.conf serves programs (SASL, other services) whose
options cannot be listed.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from pyxlist.errors import SourceError

__all__ = ["Config"]

_BACKENDS: Final = frozenset({"flat", "skiplist", "sql", "twoskip", "zeroskip", "twom"})
_VIRTDOMAINS: Final = frozenset({"off", "userid", "on"})
# Cyrus keeps a namespace prefix and its separator in a buffer of this many octets and refuses longer ones.
_PREFIX_LIMIT: Final = 40
# NAMESPACE prints the prefixes between double quotes as they are.
_UNQUOTABLE: Final = re.compile(r'[\x00-\x1f\x7f"\\]')


@dataclasses.dataclass(frozen=True, slots=True)
class Config:
    """Options of one server; `Config()` is a server with an empty imapd.conf (Cyrus 3.6 defaults).

    Field names are the option names, text is as written in the file (octets that are not UTF-8 travel as
    surrogates), and the comments say what an option changes.  Raises ValueError for values Cyrus refuses.
    Source: lib/imapoptions.
    """

    # Shape of external names.
    altnamespace: bool = True  # own mailboxes beside INBOX instead of below it
    unixhierarchysep: bool = True  # "/" instead of "."
    userprefix: str = "Other Users"
    sharedprefix: str = "Shared Folders"
    altprefix: str = "Alt Folders"
    deletedprefix: str = "DELETED"
    # Domains.
    virtdomains: str = "off"  # "off", "userid" or "on"
    defaultdomain: str = "internal"  # never appears in key names or userids
    crossdomains: bool = False
    crossdomains_onlyother: bool = False
    # Who may do what.
    admins: tuple[str, ...] = ()  # identifiers: userids or "group:x"
    username_tolower: bool = True
    unix_group_enable: bool = True
    implicit_owner_rights: str = "lkxan"
    deleteright: str = "c"  # the RFC 2086 macro that includes x
    acl_admin_implies_write: bool = False
    # What LIST shows.
    foolstupidclients: bool = False
    ignorereference: bool = False
    allowdeleted: bool = False
    specialusealways: bool = True
    disable_user_namespace: bool = False
    disable_shared_namespace: bool = False
    # First components that hide a mailbox from clients which did not ask for them.
    calendarprefix: str = "#calendars"
    addressbookprefix: str = "#addressbooks"
    davdriveprefix: str = "#drive"
    davnotificationsprefix: str = "#notifications"
    jmapuploadfolder: str = "#jmap"
    jmapsubmissionfolder: str = "#jmapsubmission"
    jmappushsubscriptionfolder: str = "#jmappushsubscription"
    sieve_folder: str = "#sieve"
    # Backends; "flat" sorts "." below every other octet, which shows in the order of answers.
    mboxlist_db: str = "twoskip"
    subscription_db: str = "flat"

    def __post_init__(self) -> None:
        object.__setattr__(self, "admins", tuple(self.admins))
        for field in dataclasses.fields(self):
            _check_type(field.name, getattr(self, field.name), field.default)
        _check_member("virtdomains", self.virtdomains, _VIRTDOMAINS)
        _check_member("mboxlist_db", self.mboxlist_db, _BACKENDS)
        _check_member("subscription_db", self.subscription_db, _BACKENDS)
        if self.altnamespace:
            self._check_prefixes()

    @property
    def separator(self) -> bytes:
        """The hierarchy separator of external names, one octet."""
        return b"/" if self.unixhierarchysep else b"."

    @property
    def dav_folders(self) -> tuple[str, ...]:
        """First components hidden from LIST and LSUB unless `vendor.cmu-dav` is selected."""
        jmap = (self.jmapuploadfolder, self.jmapsubmissionfolder, self.jmappushsubscriptionfolder)
        return self.dav_folders_recursivematch + jmap

    @property
    def dav_folders_recursivematch(self) -> tuple[str, ...]:
        """The shorter list that Cyrus checks for RECURSIVEMATCH. Source: imap/imapd.c, recursivematch_cb."""
        return (
            self.calendarprefix,
            self.addressbookprefix,
            self.davdriveprefix,
            self.davnotificationsprefix,
            self.sieve_folder,
        )

    def is_admin(self, userid: str, groups: Iterable[str] = ()) -> bool:
        """Whether `userid` (canonical) with these bare group names is an admin.

        Source: imap/global.c, global_authisa.
        """
        identifiers = {userid, "anyone", *(f"group:{group}" for group in groups)}
        return not identifiers.isdisjoint(self.admins)

    def to_dict(self) -> dict[str, Any]:
        """Every option as bool, str or list of str, in field order; `from_dict` reads it back."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Config:
        """The Config that `to_dict` described; options that are missing get their default.

        Raises ValueError for an option this release does not know: ignoring it could show what must stay
        hidden.
        """
        unknown = sorted(set(values) - {field.name for field in dataclasses.fields(cls)}, key=str)
        if unknown:
            raise ValueError(f"unknown option {unknown[0]!r} in a stored configuration")
        return cls(**values)

    @classmethod
    def from_imapd_conf(cls, path: str | os.PathLike[str], service: str = "imap") -> Config:
        """Read an imapd.conf and the files it includes, as the service of that name in cyrus.conf would.

        An option written `SERVICE_option` beats the plain one; otherwise the later line wins (Cyrus does
        not start with duplicates).  Raises SourceError naming file and line for what Cyrus would refuse to
        start with.
        Source: lib/libconfig.c, config_read_file.
        """
        # Kept apart, because a plain line may follow the special one it must not override.
        plain: dict[str, Any] = {}
        special: dict[str, Any] = {}
        prefix = service.lower() + "_"
        for place, name, text in _read_options(path):
            for target, option in ((special, name.removeprefix(prefix)), (plain, name)):
                if option in _CONVERTERS and (target is plain or name.startswith(prefix)):
                    target[option] = _convert(place, option, text)
                    break
        try:
            return cls(**{**plain, **special})
        except ValueError as error:
            raise SourceError(str(error), path=path, remedy="correct the option in imapd.conf") from error

    def _check_prefixes(self) -> None:
        """Refuse prefixes that would make two mailboxes share a name. Source: mboxname_init_namespace."""
        separator = self.separator.decode("ascii")
        for name in ("userprefix", "sharedprefix"):
            prefix = getattr(self, name)
            if not 0 < len(prefix) < _PREFIX_LIMIT or separator in prefix or _UNQUOTABLE.search(prefix):
                raise ValueError(
                    f"option {name}: expected 1 to {_PREFIX_LIMIT - 1} characters without {separator!r}, "
                    f"quotes and control characters, got {prefix!r}"
                )
        if (self.userprefix + separator).startswith(self.sharedprefix):
            raise ValueError(f"option sharedprefix: {self.sharedprefix!r} must not begin the userprefix")


def _check_type(name: str, value: object, default: object) -> None:
    """Refuse a value of another type than the option's default has."""
    if type(value) is not type(default):
        raise ValueError(f"option {name}: expected {type(default).__name__}, got {type(value).__name__}")
    if isinstance(value, tuple) and not all(isinstance(item, str) for item in value):
        raise ValueError(f"option {name}: expected text items")


def _check_member(name: str, value: str, allowed: frozenset[str]) -> None:
    """Refuse a word that is not in the option's list."""
    if value not in allowed:
        raise ValueError(f"option {name}: expected one of {', '.join(sorted(allowed))}, got {value!r}")


# --- imapd.conf syntax ---

_SPACE: Final = " \t\n\v\f\r"
_OPTION: Final = re.compile(r"(@?[A-Za-z0-9_-]*):(.*)", re.DOTALL)
# No real imapd.conf comes near these; they bound what a wrong path (a mail spool, /dev/zero) can cost.
_FILE_LIMIT_BYTES: Final = 16 << 20
_INCLUDE_LIMIT: Final = 64

_Place = tuple[str, int]  # path, line number from 1


def _read_options(path: str | os.PathLike[str]) -> Iterator[tuple[_Place, str, str]]:
    """(place, lower-case option name, value) of each line, included files in the place of their directive."""
    # A stack instead of recursion: the deepest file is read to its end before its parent goes on.
    open_files = [(os.fspath(path), _lines(os.fspath(path)))]
    seen = {os.path.realpath(path)}
    while open_files:
        current, lines = open_files[-1]
        for number, line in lines:
            name, value = _split_option((current, number), line)
            if name != "@include":
                yield (current, number), name, value
                continue
            included = _locate_include(value, current)
            if os.path.realpath(included) in seen or len(seen) >= _INCLUDE_LIMIT:
                raise _bad_line((current, number), f"{included} included twice, or too many files")
            seen.add(os.path.realpath(included))
            open_files.append((included, _lines(included)))
            break
        else:
            open_files.pop()


def _locate_include(value: str, current: str) -> str:
    """Where an included file is: as Cyrus says, else beside the including file.

    Cyrus resolves a relative path from its working directory.  The second place is for a configuration
    directory that was copied from a server.
    """
    beside = os.path.join(os.path.dirname(current), value)
    return value if os.path.exists(value) or not os.path.exists(beside) else beside


def _lines(path: str) -> Iterator[tuple[int, str]]:
    """(number of its last physical line, text) of each logical line that is neither blank nor a comment."""
    try:
        with open(path, "rb") as file:
            octets = file.read(_FILE_LIMIT_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise SourceError("cannot open configuration file", path=path, got=reason) from error
    if len(octets) > _FILE_LIMIT_BYTES or b"\0" in octets:
        raise SourceError("not a configuration file", path=path, expected="lines of text")
    # The carriage return of a DOS line end is white space, but stands between a backslash and the line's end.
    kept = ""
    for number, line in enumerate(octets.decode("utf-8", "surrogateescape").split("\n"), 1):
        if line.endswith("\\"):
            kept += line[:-1]
            continue
        whole, kept = (kept + line).strip(_SPACE), ""
        if whole and not whole.startswith("#"):
            yield number, whole


def _split_option(place: _Place, line: str) -> tuple[str, str]:
    """Name and value of one logical line."""
    match = _OPTION.fullmatch(line)
    if match is None:
        raise _bad_line(place, "invalid option name", expected="name: value")
    name, value = match[1].lower(), match[2].strip(_SPACE)
    if not value:
        raise _bad_line(place, f"empty value of option {name!r}", expected="name: value")
    if name.startswith("@") and name != "@include":
        raise _bad_line(place, f"invalid directive {name!r}", expected="@include: file")
    return name, value


# A configuration is refused as a whole: a server that ignored one line would answer by rules nobody wrote.
def _bad_line(place: _Place, message: str, expected: str | None = None, got: str | None = None) -> SourceError:
    path, number = place
    return SourceError(f"line {number}: {message}", path=path, expected=expected, got=got)


def _convert(place: _Place, option: str, text: str) -> object:
    """The value of a kept option; SourceError with its place when it is none of the spellings allowed."""
    try:
        return _CONVERTERS[option](text)
    except ValueError as error:
        raise _bad_line(place, f"option {option}", expected=str(error), got=repr(text)) from error


def _switch(text: str) -> bool:
    """A boolean as Cyrus reads it: only the first letters count.

    Source: lib/libconfig.c, config_parse_switch.
    """
    if text.startswith(("1", "y", "on", "t")):
        return True
    if text.startswith(("0", "n", "of", "f")):
        return False
    raise ValueError("yes or no")


def _domain_mode(text: str) -> str:
    """`virtdomains`, an enumeration whose on and off may be spelled in these ways."""
    if text in ("1", "yes", "t", "true"):
        return "on"
    if text in ("0", "no", "f", "false"):
        return "off"
    return _word_of(_VIRTDOMAINS)(text)


def _word_of(allowed: frozenset[str]) -> Callable[[str], str]:
    """A converter that takes exactly these words, case and all."""

    def convert(text: str) -> str:
        if text not in allowed:
            raise ValueError(" or ".join(sorted(allowed)))
        return text

    return convert


def _words(text: str) -> tuple[str, ...]:
    """A list separated by white space; Cyrus knows no other list syntax for `admins`."""
    return tuple(text.split())


_BY_TYPE: Final[dict[type, Callable[[str], object]]] = {bool: _switch, str: str, tuple: _words}
# Every field of Config is an option of that name, so a new field is read from imapd.conf without further ado.
_CONVERTERS: Final[dict[str, Callable[[str], object]]] = {
    **{field.name: _BY_TYPE[type(field.default)] for field in dataclasses.fields(Config)},
    "virtdomains": _domain_mode,
    "mboxlist_db": _word_of(_BACKENDS),
    "subscription_db": _word_of(_BACKENDS),
}
