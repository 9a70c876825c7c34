"""Items made by a second thread: the same ones, the same errors, and nobody left at work."""

from __future__ import annotations

import concurrent.futures
import contextlib
import itertools
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pyxlist.ahead import made_ahead


def test_items_come_in_order_and_from_another_thread() -> None:
    makers = set()

    def items() -> Iterator[int]:
        for number in range(100):
            makers.add(threading.get_ident())
            yield number

    with made_ahead(items()) as ahead:
        assert list(ahead) == list(range(100))
    assert len(makers) == 1
    assert threading.get_ident() not in makers


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_items(count: int) -> None:
    with made_ahead(iter(range(count))) as ahead:
        assert list(ahead) == list(range(count))


def test_one_item_is_made_while_one_is_used_and_no_more() -> None:
    made = threading.Semaphore(0)
    numbers = itertools.count(1)

    def items() -> Iterator[int]:
        for number in numbers:
            yield number
            made.release()

    with made_ahead(items()) as ahead:
        for wanted in range(1, 4):
            assert next(ahead) == wanted
            # The second thread leaves the item behind as it goes on to the next one ...
            assert made.acquire(timeout=10)
            # ... and does not begin with a third.
            assert not made.acquire(timeout=0.02)
    assert next(numbers) == 5


def test_an_error_is_raised_where_its_item_was_asked_for() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("second")

    used: list[int] = []
    with pytest.raises(ValueError, match="second"), made_ahead(items()) as ahead:
        used.extend(ahead)
    assert used == [1]


def leave(reason: BaseException, meanwhile: Callable[[], object] = object) -> bool:
    """Leave the block for this reason while the second item is being made; whether it was made to its end then."""
    at_work, finished = threading.Event(), threading.Event()

    def items() -> Iterator[int]:
        yield 1
        at_work.set()
        time.sleep(0.05)
        meanwhile()
        time.sleep(0.2)
        finished.set()
        yield 2

    with contextlib.suppress(type(reason)), made_ahead(items()) as ahead:
        next(ahead)
        assert at_work.wait(10)
        raise reason
    return finished.is_set()


def test_whoever_leaves_early_waits_for_the_second_thread() -> None:
    assert leave(OSError("full"))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("pyxlist-ahead")]


def test_a_second_interrupt_does_not_cut_the_wait_short() -> None:
    main = threading.main_thread().ident or 0
    assert leave(KeyboardInterrupt(), lambda: signal.pthread_kill(main, signal.SIGINT))


def test_without_a_thread_the_items_are_made_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with made_ahead(iter(range(3))) as ahead:
        assert list(ahead) == [0, 1, 2]


def test_a_thread_that_is_lost_on_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """As when Python ends while another thread is still building: what was made is not lost."""
    submit, count = concurrent.futures.ThreadPoolExecutor.submit, itertools.count()

    def refuse_later(pool: concurrent.futures.ThreadPoolExecutor, work: Any) -> Any:
        if next(count) >= 3:
            raise RuntimeError("cannot schedule new futures after shutdown")
        return submit(pool, work)

    monkeypatch.setattr(concurrent.futures.ThreadPoolExecutor, "submit", refuse_later)
    with made_ahead(iter(range(10))) as ahead:
        assert list(ahead) == list(range(10))


def test_a_thread_may_go_on_while_python_ends() -> None:
    """The main thread is over, another one is not: Python waits for it, but has no executors any more."""
    program = """if True:
        import threading, time
        from pyxlist.ahead import made_ahead

        def items():
            for number in range(20):
                time.sleep(0.01)
                yield number

        def work():
            with made_ahead(items()) as ahead:
                print(sum(ahead))

        threading.Thread(target=work).start()
    """
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("190\n", "")
