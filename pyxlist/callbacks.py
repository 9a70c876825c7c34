"""What a LIST asks the server for that no mailboxes.db tells: STATUS and METADATA, of many mailboxes at once.

The kernel lets some hundreds of rows wait and asks about all of them in one call, because to come from C into
Python costs several times what a row does.  A server may be asked the same way, or about one mailbox at a time.
"""

from __future__ import annotations

import array
from collections.abc import Callable, Iterable, Sequence
from typing import Concatenate, Final, Generic, ParamSpec

__all__ = ["UNTOLD", "MetadataCallback", "OfMany", "StatusCallback", "ask_metadata", "ask_status", "pack_answers"]

UNTOLD: Final = 0xFFFFFFFF  # the size of an answer that is None

Asked = ParamSpec("Asked")


class OfMany(Generic[Asked]):
    """A status or metadata callback that answers for many mailboxes in one call.

    It is given a list of key names, in the answer's order and at most 256, where the plain callback is given one
    key name, and returns as many answers in the same order, each what the plain one would return.
    """

    __slots__ = ("callback",)

    def __init__(self, callback: Callable[Concatenate[list[bytes], Asked], Iterable[bytes | None]]) -> None:
        self.callback = callback

    def __repr__(self) -> str:
        return f"OfMany({self.callback!r})"


# key name, items the client asked for -> "(MESSAGES 3 ...)", or None if it cannot be told
StatusCallback = Callable[[bytes, tuple[bytes, ...]], bytes | None] | OfMany[[tuple[bytes, ...]]]
# key name, entries and options the client asked for -> complete "* METADATA …\r\n" lines
MetadataCallback = (
    Callable[[bytes, tuple[bytes, ...], tuple[bytes, ...]], bytes | None]
    | OfMany[[tuple[bytes, ...], tuple[bytes, ...]]]
)


def ask_status(ask: StatusCallback, names: list[bytes], items: tuple[bytes, ...]) -> Sequence[bytes | None]:
    """What a callback answers for each of these key names.

    Raises what the callback raises, and ValueError for one of many that answers for more or fewer.
    """
    if isinstance(ask, OfMany):
        return _as_many(len(names), ask.callback(names, items))
    return [ask(name, items) for name in names]


def ask_metadata(
    ask: MetadataCallback, names: list[bytes], entries: tuple[bytes, ...], options: tuple[bytes, ...]
) -> Sequence[bytes | None]:
    """The same for METADATA."""
    if isinstance(ask, OfMany):
        return _as_many(len(names), ask.callback(names, entries, options))
    return [ask(name, entries, options) for name in names]


def _as_many(count: int, answers: Iterable[bytes | None]) -> list[bytes | None]:
    listed = list(answers)
    if len(listed) != count:
        raise ValueError(f"a callback of many mailboxes: expected {count} answers, got {len(listed)}")
    return listed


def pack_answers(answers: Sequence[bytes | None]) -> tuple[bytes, bytes]:
    """The answers one after the other, and the octets of each as u32 of this machine: UNTOLD for None.

    Raises TypeError for answers that are no octets.
    """
    try:
        octets, sizes = b"".join(answers), [*map(len, answers)]  # type: ignore[arg-type]
    except TypeError:  # some are None: nearly never, and then looking at each is soon enough
        octets = b"".join(answer for answer in answers if answer is not None)
        sizes = [UNTOLD if answer is None else len(answer) for answer in answers]
    return octets, array.array("I", sizes).tobytes()
