"""What the kernel is told: a LIST command with its options as bits and its patterns as automata, and who asks.

A query depends on the command's octets and the server's configuration alone, so it is compiled once
and shared by every view; that is what lets `View.respond` take raw octets at no cost.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, Final, final

from pyxlist._pxl import ffi, lib
from pyxlist.acl import WRITE_RIGHTS, Rights, implicit_rights
from pyxlist.config import Config
from pyxlist.errors import CommandError
from pyxlist.imap import ListCommand
from pyxlist.names import octets_of
from pyxlist.namespace import Namespace

__all__ = [
    "READS_DIRECTORY",
    "READS_LOOKUPS",
    "READS_RIGHTS",
    "READS_SUBSCRIPTIONS",
    "Query",
    "address_of",
    "compile_query",
    "compile_view",
]

READS_LOOKUPS: Final = 1  # the postings that name candidates
READS_RIGHTS: Final = 2  # all postings, to complete the rights of a row
READS_SUBSCRIPTIONS: Final = 4
READS_DIRECTORY: Final = 8

# A pattern is a table of a bit for each octet there is and each of its own: csrc/match.c, pxl_pattern_compile.
_PATTERN_BYTES: Final = 2200
_OCTET_BYTES: Final = 33
_PATTERN_MAX: Final = 4095  # longer ones match nothing
_WEIGHT_MAX: Final = 1 << 26

_SELECTION: Final = {
    "subscribed": lib.PXL_SELECT_SUBSCRIBED,
    "recursivematch": lib.PXL_SELECT_RECURSIVEMATCH,
    "special-use": lib.PXL_SELECT_SPECIAL_USE,
    "vendor.cmu-dav": lib.PXL_SELECT_DAV,
    "vendor.cmu-include-deleted": lib.PXL_SELECT_DELETED,
    "vendor.fm-include-nonexistent": lib.PXL_SELECT_NONEXISTENT,
}
_RETURN: Final = {
    "children": lib.PXL_RETURN_CHILDREN,
    "subscribed": lib.PXL_RETURN_SUBSCRIBED,
    "special-use": lib.PXL_RETURN_SPECIAL_USE,
    "myrights": lib.PXL_RETURN_MYRIGHTS,
    "status": lib.PXL_RETURN_STATUS,
    "metadata": lib.PXL_RETURN_METADATA,
}
_FORMS: Final = {"LIST": lib.PXL_FORM_LIST, "XLIST": lib.PXL_FORM_XLIST, "LSUB": lib.PXL_FORM_LSUB}


def address_of(pointer: Any) -> int:
    """Where a C object stands, for modules that take it without cffi (index/_blocks.c)."""
    return int(ffi.cast("uintptr_t", pointer))


@final
@dataclasses.dataclass(frozen=True, slots=True)
class Query:
    """A compiled LIST.

    `pointer`   the C query; lives as long as this object, and stands at `address`
    `weight`    octets of memory that it takes, roughly; a client chooses them
    `verbatim`  the whole untagged answer of a query that reads nothing (`LIST "" ""`), else None
    `reads`     which lists of a view it reads, as READS_… bits
    `asks`      whether it asks for what only the server knows, STATUS or METADATA
    `status_items`, `metadata_items`, `metadata_options`   as the client sent them
    """

    pointer: Any
    address: int
    weight: int
    verbatim: bytes | None
    reads: int
    asks: bool
    status_items: tuple[bytes, ...]
    metadata_items: tuple[bytes, ...]
    metadata_options: tuple[bytes, ...]


def compile_query(command: ListCommand, config: Config) -> Query:
    """Compile a command.

    Raises CommandError for one whose patterns would take more than 64 MiB, because a reference counts for each
    of them: 20 kB are enough to ask for a gigabyte.  Raises MemoryError without memory.
    """
    form = lib.PXL_FORM_EXTENDED if command.extended else _FORMS[_plain_verb(command.verb)]
    options = _options(command, form)
    pointer = ffi.gc(lib.pxl_query_new(form, options, config.separator[0]), lib.pxl_query_free)
    patterns = _patterns(command, config)
    weight = sum(_PATTERN_BYTES + min(len(pattern), _PATTERN_MAX) * _OCTET_BYTES for pattern in patterns)
    if weight > _WEIGHT_MAX:
        raise CommandError("Too many patterns", "NO")
    for pattern in patterns:
        if lib.pxl_query_add(pointer, pattern, len(pattern)) < 0:
            raise MemoryError("out of memory")
    return Query(
        pointer,
        address_of(pointer),
        weight,
        _verbatim(command, form, config),
        reads=_reads(options),
        asks=bool(options & (lib.PXL_RETURN_STATUS | lib.PXL_RETURN_METADATA)),
        status_items=command.status_items,
        metadata_items=command.metadata_items,
        metadata_options=command.metadata_options,
    )


def _reads(options: int) -> int:
    subscribed = options & lib.PXL_SELECT_SUBSCRIBED
    reads = 0 if subscribed else READS_LOOKUPS
    if options & lib.PXL_RETURN_MYRIGHTS:
        reads |= READS_RIGHTS
    if subscribed or options & lib.PXL_RETURN_SUBSCRIBED:
        reads |= READS_SUBSCRIPTIONS
    if subscribed or options & lib.PXL_SELECT_NONEXISTENT:
        reads |= READS_DIRECTORY
    return reads


def _plain_verb(verb: str) -> str:
    """RLIST and RLSUB are LIST and LSUB here: there is one server."""
    return {"RLIST": "LIST", "RLSUB": "LSUB"}.get(verb, verb)


def _options(command: ListCommand, form: int) -> int:
    options: int = sum(bit for name, bit in _SELECTION.items() if name in command.selection)
    options |= sum(bit for name, bit in _RETURN.items() if name in command.returns)
    if _plain_verb(command.verb) == "LSUB":
        options |= lib.PXL_SELECT_SUBSCRIBED
    return options if form == lib.PXL_FORM_LSUB else options | lib.PXL_RETURN_CHILDREN


def _patterns(command: ListCommand, config: Config) -> list[bytes]:
    patterns = [_join(command.reference, pattern, config) for pattern in command.patterns]
    if config.foolstupidclients and not command.extended and patterns == [b"*"]:
        return [b"INBOX*"]
    return patterns


def _join(reference: bytes, pattern: bytes, config: Config) -> bytes:
    """Reference and pattern in one, one of two adjoining separators dropped.

    Source: imap/imapd.c, canonical_list_pattern.
    """
    if config.ignorereference and not pattern.startswith(config.separator):
        return pattern
    if reference.endswith(config.separator) and pattern.startswith(config.separator):
        reference = reference[:-1]
    return reference + pattern


def _verbatim(command: ListCommand, form: int, config: Config) -> bytes | None:
    """An empty pattern asks for the separator, in plain LIST and XLIST only."""
    if command.patterns[:1] != (b"",) or form not in (lib.PXL_FORM_LIST, lib.PXL_FORM_XLIST):
        return None
    verb = b"XLIST" if form == lib.PXL_FORM_XLIST else b"LIST"
    return b'* %s (\\Noselect) "%s" ""\r\n' % (verb, config.separator)


def compile_view(namespace: Namespace) -> tuple[Any, Any]:
    """The C struct of a namespace, and what must live as long, because the struct points to it."""
    template, shared = _view_template(namespace.config, namespace.is_admin, namespace.is_alt, namespace.crossdomains)
    view = ffi.new("pxl_view *", template[0])
    view.own = namespace.lists_own
    names = (
        namespace.localpart,
        namespace.domain or b"",
        octets_of(namespace.userid.partition("@")[2]),
        namespace.owner_prefix,
    )
    text = ffi.from_buffer(b"".join(names))
    lib.pxl_view_name(view, text, *map(len, names))
    return view, (text, shared)


@functools.lru_cache(maxsize=32)
def _view_template(config: Config, is_admin: bool, alt: bool, crossdomains: bool) -> tuple[Any, list[Any]]:
    """What the views of one configuration have in common, and what must live as long: a view is made for each login."""
    keep: list[Any] = []

    def piece(octets: bytes) -> tuple[Any, int]:
        data = ffi.from_buffer(octets)
        keep.append(data)
        return data, len(octets)

    hidden = [octets_of(name) for name in config.dav_folders]
    array = ffi.new("pxl_slice[]", [piece(name) for name in hidden])
    keep.append(array)
    template = ffi.new(
        "pxl_view *",
        {
            "separator": config.separator[0],
            "alt": alt,
            "admin": is_admin,
            "admin_domains": is_admin and config.virtdomains != "off",
            "crossdomains": crossdomains,
            "crossdomains_onlyother": config.crossdomains_onlyother,
            "other_users": not config.disable_user_namespace,
            "shared": not config.disable_shared_namespace,
            "allow_deleted": config.allowdeleted,
            "special_use_always": config.specialusealways,
            "default_domain": piece(octets_of(config.defaultdomain)),
            "user_prefix": piece(octets_of(config.userprefix) if alt else b"user"),
            "shared_prefix": piece(octets_of(config.sharedprefix) if alt else b""),
            "alt_prefix": piece(octets_of(config.altprefix)),
            "deleted_prefix": piece(octets_of(config.deletedprefix)),
            "hidden": array,
            "hidden_count": len(hidden),
            "hidden_recursive": len(config.dav_folders_recursivematch),
            "owner_rights": implicit_rights(config).mask,
            "admin_rights": Rights.parse("la").mask,
            "with_a": WRITE_RIGHTS.mask if config.acl_admin_implies_write else 0,
        },
    )
    return template, keep
