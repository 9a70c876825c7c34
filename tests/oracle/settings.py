"""imapd.conf for the oracle: a plain dict of option texts, and the few questions asked about it.

Defaults are those of Cyrus 3.6.1, where altnamespace and unixhierarchysep are on; a world that wants the
names of older servers, `user.anna.Sent`, must say so.  Only options that change answers are here.
"""

from __future__ import annotations

from collections.abc import Mapping

_DEFAULTS = {
    "admins": "",
    "allowdeleted": "0",
    "acl_admin_implies_write": "0",
    "addressbookprefix": "#addressbooks",
    "altnamespace": "1",
    "altprefix": "Alt Folders",
    "calendarprefix": "#calendars",
    "crossdomains": "0",
    "crossdomains_onlyother": "0",
    "davdriveprefix": "#drive",
    "davnotificationsprefix": "#notifications",
    "defaultdomain": "internal",
    "deletedprefix": "DELETED",
    "deleteright": "c",
    "disable_shared_namespace": "0",
    "disable_user_namespace": "0",
    "foolstupidclients": "0",
    "ignorereference": "0",
    "implicit_owner_rights": "lkxan",
    "jmappushsubscriptionfolder": "#jmappushsubscription",
    "jmapsubmissionfolder": "#jmapsubmission",
    "jmapuploadfolder": "#jmap",
    "mboxlist_db": "twoskip",
    "sharedprefix": "Shared Folders",
    "sieve_folder": "#sieve",
    "specialusealways": "1",
    "unix_group_enable": "1",
    "unixhierarchysep": "1",
    "username_tolower": "1",
    "userprefix": "Other Users",
    "virtdomains": "off",
}

# First components that are not mail, as far as plain LIST is concerned, in the order of the options.
_CALENDAR_LIKE = (
    "calendarprefix",
    "addressbookprefix",
    "davdriveprefix",
    "davnotificationsprefix",
    "sieve_folder",
)
_JMAP_LIKE = ("jmapsubmissionfolder", "jmappushsubscriptionfolder", "jmapuploadfolder")


def parse_conf(text: str) -> dict[str, str]:
    """The options of an imapd.conf text, `name: value` a line; comments and blank lines are skipped."""
    options = {}
    for line in text.splitlines():
        option, colon, value = line.partition(":")
        if colon and not line.lstrip().startswith("#"):
            options[option.strip()] = value.strip()
    return options


class Settings:
    """The options of one server; `options` maps option names to texts, numbers or booleans."""

    def __init__(self, options: Mapping[str, object]) -> None:
        """Options the oracle does not know are kept and never asked for."""
        self._options = _DEFAULTS | {
            name: str(int(value)) if isinstance(value, bool) else str(value) for name, value in options.items()
        }

    def text(self, name: str) -> bytes:
        """An option's text as octets; what was not UTF-8 in the file comes in as surrogates."""
        return self._options[name].encode("utf-8", "surrogateescape")

    def switch(self, name: str) -> bool:
        """An option's text as yes or no."""
        return self._options[name].lower() in ("1", "yes", "true", "on", "t")

    @property
    def separator(self) -> bytes:
        """The hierarchy separator clients see; in keys it is 0x1F either way."""
        return b"/" if self.switch("unixhierarchysep") else b"."

    @property
    def virtdomains(self) -> bool:
        """Whether userids and mailboxes have domains; `on` and `userid` differ at login only."""
        return self._options["virtdomains"].lower() not in ("off", "0", "no", "false", "f")

    @property
    def admins(self) -> tuple[bytes, ...]:
        """Identifiers whose holders are administrators."""
        return tuple(self.text("admins").split())

    def flat_mailboxes(self) -> bool:
        """Whether the server lists mailboxes in the order of the flat backend (rule 3, corrected).

        What counts is the server's own backend, not the kind of a converted copy of its database.
        """
        return self._options["mboxlist_db"] == "flat"

    def calendar_like(self) -> set[bytes]:
        """First components that RECURSIVEMATCH hides (rule 9)."""
        return {self.text(option) for option in _CALENDAR_LIKE}

    def not_mail(self) -> set[bytes]:
        """First components that every other form of LIST hides (rule 9)."""
        return self.calendar_like() | {self.text(option) for option in _JMAP_LIKE}
