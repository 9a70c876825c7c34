"""The storeys of the house: imports point downward, and each foreign library has its rooms.

Imports are read from the source with ast, so that ones inside functions count as well.
"""

from __future__ import annotations

import ast
import graphlib
import pathlib
from collections.abc import Iterator
from typing import Final

import pytest

PACKAGE: Final = pathlib.Path(__file__).parents[2] / "pyxlist"

# Modules and packages of pyxlist by storey.  A module may import from its own storey, if nothing goes in a
# circle, and from those below it.
STOREYS: Final[dict[int, tuple[str, ...]]] = {
    0: ("_named", "ahead", "errors", "tokens", "_version"),
    1: ("config", "names", "acl", "policy", "entry", "namespace", "imap"),
    2: ("_pxl", "image", "cyrusdb", "cyruslog"),
    3: ("index",),
    4: ("callbacks", "query", "kernel", "listing", "command"),
    5: ("opened", "changes", "follow"),
    6: ("cli", "__main__", "__init__"),
}
# Where alone a library may be imported: module or package names.
ROOMS: Final[dict[str, tuple[str, ...]]] = {
    "lmdb": ("index",),
    "pyxlist._pxl": ("cyrusdb", "cyruslog", "index", "kernel", "listing", "query"),
    "click": ("cli",),
    "rich": ("cli",),
}

STOREY_OF: Final = {name: storey for storey, names in STOREYS.items() for name in names}


def modules() -> dict[str, pathlib.Path]:
    """Dotted name below pyxlist -> file; a package's own file under the package's name."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)] = path
    return found


def imports(path: pathlib.Path) -> Iterator[str]:
    """Every module a file imports; a name imported from a package counts as a module where it is one."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield (
                    inner if inner.removeprefix("pyxlist.") in MODULES or inner == "pyxlist._pxl" else str(node.module)
                )


MODULES: Final = modules()
INNER: Final = {
    name: {found.removeprefix("pyxlist.") for found in imports(path) if found.startswith("pyxlist.")}
    for name, path in MODULES.items()
}


def room(name: str) -> str:
    """The part of the house a module belongs to."""
    return name.partition(".")[0]


def test_every_module_has_a_storey() -> None:
    """A new module is given its place in the table above, and the table names none that is gone."""
    assert {room(name) for name in MODULES} | {"_named", "_pxl"} == STOREY_OF.keys()


@pytest.mark.parametrize("name", sorted(MODULES))
def test_no_import_points_upward(name: str) -> None:
    """Nothing imports from a storey above its own."""
    upward = {found for found in INNER[name] if STOREY_OF[room(found)] > STOREY_OF[room(name)]}
    assert not upward


def test_no_imports_go_in_a_circle() -> None:
    """Within a storey there is an order too."""
    graphlib.TopologicalSorter(INNER).prepare()


@pytest.mark.parametrize("name", sorted(MODULES))
def test_libraries_stay_in_their_rooms(name: str) -> None:
    """LMDB only where the index is, the C core only where octets are, click and rich only on the command line."""
    for library, rooms in ROOMS.items():
        if room(name) not in rooms:
            assert not any(found == library or found.startswith(library + ".") for found in imports(MODULES[name]))


def test_an_upward_import_would_be_noticed(tmp_path: pathlib.Path) -> None:
    """The reading itself: every form of import is seen, inside functions too."""
    path = tmp_path / "module.py"
    path.write_text(
        "import lmdb.tool\ndef f():\n    from pyxlist.index import env\n    from pyxlist.acl import Rights\n"
    )
    assert set(imports(path)) == {"lmdb.tool", "pyxlist.index.env", "pyxlist.acl"}
