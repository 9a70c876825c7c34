"""The numbers of the house, as a table: how long functions and modules are, how much is said, how much tested.

    python -m tests.house

Numbers to hold: median function at most 10 lines, nine of ten at most 40, none above 80; a Python module at most
300 lines of code, a C file 600; comments and docstrings 25 to 45 of 100 lines; at least as much test as code.
What exceeds them is marked with `!` and named below the table.  It is a table and not a gate: the exit status
is always 0.

Lines of code are lines with code on them.  A function's length is its lines without its docstring.
"""

from __future__ import annotations

import ast
import dataclasses
import io
import pathlib
import re
import statistics
import tokenize
from collections.abc import Iterable, Iterator
from typing import Final

ROOT: Final = pathlib.Path(__file__).parent.parent
GROUPS: Final = {
    "csrc": ("csrc/*.[ch]", "pyxlist/_named.c", "pyxlist/*/*.c"),
    "pyxlist": ("pyxlist/*.py",),
    "pyxlist/index": ("pyxlist/index/*.py",),
    "pyxlist/follow": ("pyxlist/follow/*.py",),
    "pyxlist/cli": ("pyxlist/cli/*.py",),
    "benchmarks": ("benchmarks/*.py", "examples/*.py"),
    "tests": ("tests/**/*.py", "tests/**/*.[ch]"),
}
MEDIAN, NINTH, LONGEST = 10, 40, 80
MODULE: Final = {".py": 300, ".c": 600, ".h": 600}
TALK: Final = (25, 45)

_NO_CODE: Final = frozenset(
    {tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.COMMENT, tokenize.ENDMARKER}
)
_C_TALK: Final = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', re.DOTALL)


@dataclasses.dataclass
class File:
    """What was counted in one file: lines that are not blank, with code, with talk; functions as (name, lines)."""

    path: pathlib.Path
    lines: int
    code: int
    talk: int
    functions: list[tuple[str, int]]


def count(path: pathlib.Path) -> File:
    """Count a Python or C file."""
    text = path.read_text(encoding="utf-8")
    return count_python(path, text) if path.suffix == ".py" else count_c(path, text)


# --- Python ---


def count_python(path: pathlib.Path, text: str) -> File:
    """Code by tokens, docstrings and functions by syntax tree."""
    docstrings: set[int] = set()
    functions: list[tuple[str, int]] = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            said = _docstring_lines(node)
            docstrings |= said
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                functions.append((node.name, (node.end_lineno or node.lineno) - node.lineno + 1 - len(said)))
    code: set[int] = set()
    comments: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            comments.add(token.start[0])
        elif token.type not in _NO_CODE:
            code.update(range(token.start[0], token.end[0] + 1))
    code -= docstrings
    return File(path, len(code | docstrings | comments), len(code), len(docstrings | comments), functions)


def _docstring_lines(node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> set[int]:
    if ast.get_docstring(node, clean=False) is None:
        return set()
    first = node.body[0]
    return set(range(first.lineno, (first.end_lineno or first.lineno) + 1))


# --- C ---


def count_c(path: pathlib.Path, text: str) -> File:
    """Lines once with and once without comments; a function is what a brace opens at depth 0 after a parenthesis."""
    bare = _C_TALK.sub(lambda match: re.sub(r"[^\n]+", "" if match[0][0] == "/" else '""', match[0]), text)
    said = _C_TALK.sub(lambda match: re.sub(r"[^\n]+", "\0" if match[0][0] == "/" else '""', match[0]), text)
    lines, code, talk = (
        sum(bool(line.strip()) for line in text.splitlines()),
        sum(bool(line.strip()) for line in bare.splitlines()),
        sum("\0" in line for line in said.splitlines()),
    )
    return File(path, lines, code, talk, list(_c_functions(bare)))


def _c_functions(bare: str) -> Iterator[tuple[str, int]]:
    depth, start, head, name = 0, 0, "", ""
    for number, line in enumerate(bare.splitlines(), 1):
        if depth == 0:
            if not head:
                start = number
            head += line.partition("{")[0] + " "
        opened = line.count("{")
        if depth == 0 and opened:
            match = re.search(r"(\w+)\s*\([^=;]*\)\s*$", head)
            name = match[1] if match else ""
        depth += opened - line.count("}")
        if depth == 0 and (not line.strip() or line.rstrip().endswith((";", "}")) or line.startswith("#")):
            if name:
                yield name, number - start + 1
            head = name = ""


# --- the table ---


def files_of(patterns: Iterable[str]) -> list[File]:
    """The counted files of a group, generated ones apart."""
    paths = sorted({path for pattern in patterns for path in ROOT.glob(pattern)})
    return [count(path) for path in paths if path.name != "_pxl.c"]


def mark(value: float, exceeds: bool, unit: str = "") -> str:
    """A number, with `!` where it exceeds what it should hold."""
    return f"{value:.0f}{unit}{'!' if exceeds else ' '}"


def row(name: str, files: list[File]) -> list[str]:
    """One line of the table."""
    lengths = sorted(length for file in files for _name, length in file.functions) or [0]
    median, ninth = statistics.median(lengths), lengths[int(len(lengths) * 0.9)] if len(lengths) > 1 else lengths[0]
    share = 100 * sum(file.talk for file in files) / max(sum(file.lines for file in files), 1)
    largest = max(files, key=lambda file: file.code / MODULE[file.path.suffix])
    return [
        name,
        mark(len(files), False),
        mark(sum(file.code for file in files), False),
        mark(largest.code, largest.code > MODULE[largest.path.suffix]),
        mark(len(lengths), False),
        mark(median, median > MEDIAN),
        mark(ninth, ninth > NINTH),
        mark(lengths[-1], lengths[-1] > LONGEST),
        # Names and docstrings of tests say what they claim; their share is not held against them.
        mark(share, name != "tests" and not TALK[0] <= share <= TALK[1], "%"),
    ]


def excesses(files: Iterable[File]) -> Iterator[str]:
    """Every module and function that is too long, by name."""
    for file in files:
        where = file.path.relative_to(ROOT)
        limit = MODULE[file.path.suffix]
        if file.code > limit:
            yield f"{where}: {file.code} lines of code, expected at most {limit}"
        for name, length in file.functions:
            if length > LONGEST:
                yield f"{where}: {name} has {length} lines, expected at most {LONGEST}"


def main() -> None:
    """Print the table and what exceeds."""
    groups = {name: files for name, patterns in GROUPS.items() if (files := files_of(patterns))}
    headings = ["", "files", "code", "largest", "functions", "median", "p90", "longest", "talk"]
    table = [headings, *(row(name, files) for name, files in groups.items())]
    widths = [max(len(line[column]) for line in table) for column in range(len(headings))]
    for line in table:
        print(line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)))
    code = sum(file.code for name in groups if name.startswith(("csrc", "pyxlist")) for file in groups[name])
    tests = sum(file.code for file in groups["tests"])
    print(f"\ntests : code  {tests} : {code} = {mark(100 * tests / code, tests < code, '%')}")
    for excess in sorted(excess for files in groups.values() for excess in excesses(files)):
        print(f"! {excess}")


if __name__ == "__main__":
    main()
