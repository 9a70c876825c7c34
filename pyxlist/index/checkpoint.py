"""Where in which source an index stands: the one value of `meta` that a follower goes on from.

It is written in the transaction that made the index what the source was there, so the two cannot
come apart.  It also names that transaction: an index whose last transaction is another one has been
written to by something else since, and its directory may no longer be what the source was then.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Final

from pyxlist.cyrusdb import Source
from pyxlist.index.layout import pack_meta, unpack_meta

__all__ = ["Checkpoint", "keep_settled", "read_checkpoint", "write_checkpoint"]

_KEY: Final = b"checkpoint"


@dataclasses.dataclass(frozen=True, slots=True)
class Checkpoint:
    """`source` as it was, `others` its records that are neither names, uniqueids nor reverse ACLs, and the
    `transaction` that brought the index there; 0: the index was not exactly the source then.
    """

    source: Source
    others: int
    transaction: int

    def is_settled(self, transaction: int) -> bool:
        """Whether nothing else has written to an index whose last transaction is `transaction`."""
        return self.transaction == transaction

    def as_meta(self) -> dict[str, Any]:
        """One flat map of plain values."""
        return {**dataclasses.asdict(self.source), "others": self.others, "transaction": self.transaction}


_FIELDS: Final = {field.name for field in dataclasses.fields(Source)} | {"others", "transaction"}


def read_checkpoint(txn: Any, tables: dict[str, Any]) -> Checkpoint | None:
    """The checkpoint of an index; None if it has none, or one that an earlier release wrote."""
    raw = txn.get(_KEY, db=tables["meta"])
    values = None if raw is None else unpack_meta(raw)
    if not isinstance(values, dict) or values.keys() != _FIELDS:
        return None
    others, transaction = values.pop("others"), values.pop("transaction")
    return Checkpoint(Source(**values), others, transaction)


def write_checkpoint(txn: Any, tables: dict[str, Any], source: Source, others: int, settled: bool = True) -> None:
    """Note in a write transaction that the index is (not `settled`: holds, among other things) `source`.

    Writes nothing where the same is noted already and nobody else has written since.
    """
    old = read_checkpoint(txn, tables)
    same = old is not None and (old.source, old.others) == (source, others)
    if old is not None and same and (old.is_settled(txn.id() - 1) or (not settled and not old.transaction)):
        return
    new = Checkpoint(source, others, txn.id() if settled else 0)
    txn.put(_KEY, pack_meta(new.as_meta()), db=tables["meta"])


def keep_settled(txn: Any, tables: dict[str, Any]) -> None:
    """Say in a write transaction that leaves the directory alone that it changes nothing a follower relies on."""
    old = read_checkpoint(txn, tables)
    if old is not None and old.is_settled(txn.id() - 1):
        new = dataclasses.replace(old, transaction=txn.id())
        txn.put(_KEY, pack_meta(new.as_meta()), db=tables["meta"])
