# Objects of a NamedTuple, made at once (_named.c).
from typing import Any, TypeVar

T = TypeVar("T", bound=tuple[Any, ...])

def new(kind: type[T], /, *fields: Any) -> T:
    """One of these fields, which are not counted.  Raises TypeError for what is no type of tuples."""

def rows(kind: type[T], /, *columns: list[Any]) -> list[T]:
    """One of each row of the columns.  Raises TypeError for what are no lists, ValueError for different lengths."""
