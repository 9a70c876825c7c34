"""Objects of a NamedTuple made at once are those that calling it makes."""

from __future__ import annotations

import gc
import sys
import weakref
from typing import Any, NamedTuple

import pytest

from pyxlist._named import new, rows


class Pair(NamedTuple):
    left: str
    right: Any


class Token:
    """Something whose end can be seen."""


def test_they_are_what_a_call_makes() -> None:
    """Type, fields, equality and text."""
    made = new(Pair, "a", 1)
    assert type(made) is Pair
    assert (made, made.left, made.right, repr(made)) == (Pair("a", 1), "a", 1, repr(Pair("a", 1)))
    assert rows(Pair, ["a", "b"], [1, None]) == [Pair("a", 1), Pair("b", None)]
    assert rows(Pair, [], []) == []


def test_they_hold_their_fields_and_let_go_of_them() -> None:
    """A field lives as long as its object, and in a circle until the collector comes; counts end as they began."""
    token = Token()
    before, kind = sys.getrefcount(token), sys.getrefcount(Pair)
    held = [new(Pair, "a", token), *rows(Pair, ["b"] * 100, [token] * 100)]
    assert sys.getrefcount(token) == before + 101
    held.clear()
    assert (sys.getrefcount(token), sys.getrefcount(Pair)) == (before, kind)
    circle: list[Any] = [token]
    circle.append(new(Pair, "c", circle))
    gone = weakref.ref(token)
    del token, circle
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize(
    ("arguments", "error"),
    [((), TypeError), ((dict, []), TypeError), (("Pair", []), TypeError), ((Pair, [1], 5), TypeError),
     ((Pair, (1,), (2,)), TypeError), ((Pair, [1], [2, 3]), ValueError)],
)  # fmt: skip
def test_what_cannot_be_made(arguments: tuple[Any, ...], error: type[Exception]) -> None:
    """No type of tuples, columns that are no lists or of different lengths."""
    with pytest.raises(error):
        rows(*arguments)


def test_new_of_what_is_no_tuple() -> None:
    """The same for one object."""
    for wrong in ((), (dict, 1), (5, 1)):
        with pytest.raises(TypeError):
            new(*wrong)
