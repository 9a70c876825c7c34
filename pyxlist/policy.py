"""How answers depart from Cyrus, for servers that want it: one object, given to `Index.view`.

`Policy()` is Cyrus, octet for octet.  Each field names one departure; `RFC` makes all of those that the RFCs ask
for, `DOVECOT` has Dovecot's reading of an ACL besides.
"""

from __future__ import annotations

import dataclasses
from typing import Final

from pyxlist.acl import CyrusPolicy, Evaluation, MostSpecificPolicy
from pyxlist.config import Config

__all__ = ["CYRUS", "DOVECOT", "RFC", "Policy"]


@dataclasses.dataclass(frozen=True, slots=True)
class Policy:
    r"""What a view's answers follow where servers differ.  A value; the index does not depend on it.

    `most_specific`        of several identifiers that match, the most specific one decides (`MostSpecificPolicy`),
                           instead of the union of all; for LIST, MYRIGHTS, GETACL, LISTRIGHTS and `View.rights`.
                           Cost: each candidate of a LIST is looked up in every list of the view.
    `existing_ancestors`   `LIST (SUBSCRIBED RECURSIVEMATCH)`: a mailbox that exists and may be listed is not called
                           \NonExistent just because it is not subscribed itself (RFC 5258, section 3.5)
    `myrights_of_mailboxes`  RETURN (MYRIGHTS) adds lines to mailboxes only, not to \NonExistent names, where Cyrus
                           tells the rights of what is below (RFC 8440, section 3.1)
    `lsub_keeps_missing`   LSUB answers a subscribed name whether or not there still is a mailbox (RFC 3501, 6.3.9)
    """

    most_specific: bool = False
    existing_ancestors: bool = False
    myrights_of_mailboxes: bool = False
    lsub_keeps_missing: bool = False

    def evaluation(self, config: Config) -> Evaluation:
        """How the pairs of an ACL combine."""
        return MostSpecificPolicy(config.deleteright) if self.most_specific else CyrusPolicy.from_config(config)


CYRUS: Final = Policy()
RFC: Final = Policy(existing_ancestors=True, myrights_of_mailboxes=True, lsub_keeps_missing=True)
DOVECOT: Final = dataclasses.replace(RFC, most_specific=True)
