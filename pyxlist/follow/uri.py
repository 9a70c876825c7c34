"""IMAP URLs of event notifications -> key names.

    imap://server:port/user/bob/Gr%C3%B6%C3%9Fe;UIDVALIDITY=1795465044

The path is the name as an admin types it, UTF-8 and percent-coded where IMAP has modified UTF-7.

Source: RFC 5092; RFC 3501 5.1.3; imap/mboxevent.c and lib/imapurl.c.
"""

from __future__ import annotations

import base64
import re
import urllib.parse
from typing import Final

from pyxlist.config import Config
from pyxlist.names import octets_of
from pyxlist.namespace import Namespace

__all__ = ["mailbox_of_uri", "modified_utf7"]

_URI: Final = re.compile(r"imap://[^/]*/(?P<path>[^;]*)(?:;UIDVALIDITY=(?P<uidvalidity>[0-9]{1,10}))?")
_CONTROLS: Final = re.compile(rb"[\x00-\x1f\x7f]")
_NAME_LIMIT: Final = 490  # octets; Source: imap/mailbox.h, MAX_MAILBOX_NAME
_FOREIGN: Final = re.compile(r"[^\x20-\x7e]+|&")


def mailbox_of_uri(uri: str, config: Config) -> tuple[bytes, int]:
    """(key name, uidvalidity or 0) of a mailbox.  Raises ValueError for what names none."""
    found = _URI.match(uri)
    if found is None or not found["path"]:
        raise ValueError(f"not the URL of a mailbox: {uri[:200]!r}")
    octets = urllib.parse.unquote_to_bytes(found["path"])
    typed = octets_of(modified_utf7(octets.decode("utf-8")))
    key = None if _CONTROLS.search(octets) else Namespace(config, "cyrus", True).key_of(typed)
    if key is None or len(key) > _NAME_LIMIT:
        raise ValueError(f"no mailbox can have the name {typed!r}")
    return key, int(found["uidvalidity"] or 0)


def modified_utf7(text: str) -> str:
    """A mailbox name as IMAP spells it.  Source: RFC 3501 5.1.3."""
    return _FOREIGN.sub(lambda run: "&-" if run[0] == "&" else f"&{_base64(run[0])}-", text)


def _base64(run: str) -> str:
    coded = base64.b64encode(run.encode("utf-16-be", "surrogatepass")).decode("ascii")
    return coded.rstrip("=").replace("/", ",")
