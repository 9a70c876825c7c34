"""Two processors for one job: the next item is made while this one is used."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

__all__ = ["made_ahead"]

T = TypeVar("T")


@contextlib.contextmanager
def made_ahead(items: Iterator[T]) -> Iterator[Iterator[T]]:
    """The same items, none of them None, each made by a second thread while the one before it is used.

    It pays where both sides are long calls that run without the GIL.  What an item borrows must last while the next
    one is made; whoever asks for an item is done with the one before.  An error of `items` is raised where its item
    was asked for.  After the `with` block nobody is at work on `items`, whatever ended it.
    """
    maker, thread = _Maker(items), _second_thread()
    try:
        yield _made(maker, thread)
    finally:
        try:
            maker.end()
        finally:
            if thread:
                thread.shutdown(cancel_futures=True)


class _Maker(Generic[T]):
    """Makes one item after the other, in whatever thread, until it is ended."""

    def __init__(self, items: Iterator[T]) -> None:
        self._items = items
        self._at_work = threading.Lock()
        self._ended = False

    def make(self) -> T | None:
        """The next item; None after the last, and after the end."""
        with self._at_work:
            return None if self._ended else next(self._items, None)

    def end(self) -> None:
        """Wait until no item is being made, and let none be made any more.

        What it is made of may be freed then, so a second Ctrl-C is raised after that.  To join the thread is no way
        to wait for it: a join that was interrupted takes the thread for one that has ended (CPython 3.11).
        """
        interrupt: BaseException | None = None
        while not self._ended:
            try:
                with self._at_work:
                    self._ended = True
            except BaseException as again:
                interrupt = again
        if interrupt:
            raise interrupt


def _second_thread() -> ThreadPoolExecutor | None:
    """A thread, begun with the first work for it; None where Python is ending."""
    with contextlib.suppress(RuntimeError):
        from concurrent.futures import ThreadPoolExecutor  # here: only long work is worth the milliseconds

        return ThreadPoolExecutor(1, "pyxlist-ahead")
    return None


def _made(maker: _Maker[T], thread: ThreadPoolExecutor | None) -> Iterator[T]:
    item = None
    while True:
        coming = _begun(maker, thread) if thread else None
        if coming is None:
            thread = None  # work that it was given and never began is not to be found there later
        if item is not None:
            yield item
        item = coming.result() if coming else maker.make()
        if item is None:
            return


def _begun(maker: _Maker[T], thread: ThreadPoolExecutor) -> Future[T | None] | None:
    """The item that the thread is making now; None where no thread is to be had, or no more as Python ends."""
    with contextlib.suppress(RuntimeError):
        return thread.submit(maker.make)
    return None
