# A listing kernel at work on one snapshot (_blocks.c).  Addresses are those of the core's objects, as numbers.
from typing import Any, Protocol, final

FETCH: int  # address of the kernel's callback that a BlockReader stands behind

class Lists(Protocol):
    def list_of(self, number: int, /) -> tuple[Any, bytes]: ...  # table and owner prefix

@final
class BlockReader:
    address: int
    fetched: int  # blocks that were asked for by a key, ever
    def __init__(self, calls: int, /) -> None: ...
    def serve(self, listing: int, /) -> None: ...
    def answer(
        self,
        txn: Any,
        lists: Lists,
        keys: tuple[Any, ...],
        plan: int,
        query: int,
        /,
    ) -> bytes | None: ...
    def start(
        self,
        txn: Any,
        lists: Lists,
        keys: tuple[Any, ...],
        plan: int,
        query: int,
        output: int,
        /,
    ) -> int: ...
    def run(self, limit: int, /) -> int: ...
    def rewind(self) -> None: ...
    def go_on(self, txn: Any, /) -> None: ...
    def forget(self) -> None: ...
