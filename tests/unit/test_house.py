"""The counter behind the table of house numbers, on text whose numbers can be counted by hand."""

from __future__ import annotations

import pathlib

from tests import house

PYTHON = '''"""A module.

Two more lines.
"""

import os  # beside code: no line of its own


# A comment.
class Thing:
    """Says what it is."""

    def short(self) -> str:
        """One line."""
        return """text
        over lines"""


def long() -> None:

    def inner() -> None:
        pass
'''

C = """/* A file.
 * Its comment. */
#include "pxl.h"

typedef struct {
    int a;
} thing;

static const int table[] = {
    1, 2, /* beside code */
};

/* What it does. */
static int one(int a)
{
    return a; // "quote
}

int two(
    const char *text)
{
    if (*text == '{') {
        return 1;
    }

    return text[0] == '"' ? 2 : one("}{");
}
"""


def test_python_is_counted() -> None:
    """Docstrings and comments are talk, strings are code, a function's docstring is not in its length."""
    file = house.count_python(pathlib.Path("module.py"), PYTHON)
    assert (file.lines, file.code, file.talk) == (15, 8, 8)
    assert sorted(file.functions) == [("inner", 2), ("long", 4), ("short", 3)]


def test_c_is_counted() -> None:
    """Only functions are functions; braces in strings, characters and comments are none."""
    file = house.count_c(pathlib.Path("file.c"), C)
    assert file.functions == [("one", 4), ("two", 9)]
    assert (file.lines, file.talk) == (22, 5)


def test_this_checkout_has_a_table() -> None:
    """Every group that has files gets a row, and nothing raises."""
    rows = [house.row(name, files) for name, patterns in house.GROUPS.items() if (files := house.files_of(patterns))]
    assert {"csrc", "pyxlist", "tests"} <= {row[0] for row in rows}
    assert all(len(row) == 9 for row in rows)


def test_what_exceeds_is_marked_and_named() -> None:
    """A module of 301 lines and a function of 81 are named with what they should be."""
    file = house.File(house.ROOT / "pyxlist" / "big.py", 450, 301, 150, [("f", 81), ("g", 80)])
    assert list(house.excesses([file])) == [
        "pyxlist/big.py: 301 lines of code, expected at most 300",
        "pyxlist/big.py: f has 81 lines, expected at most 80",
    ]
    assert house.row("pyxlist", [file])[3] == "301!"
