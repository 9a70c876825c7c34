"""Describe the C core to cffi: `pyxlist._pxl`, API mode, one abi3 module for every CPython.

The declarations are the part of pxl.h between its two cffi marks, so header and binding are one
text.  The callback at the end is a Python function that the listing kernel calls; it is bound in
`pyxlist.kernel`.
"""

from __future__ import annotations

import pathlib

import cffi

HERE = pathlib.Path(__file__).resolve().parent

CALLBACKS = """
extern "Python" int pxl_py_tell(void *, int, const pxl_asked *, pxl_slice *, pxl_slice *);
"""


def declarations() -> str:
    """The public part of pxl.h."""
    header = (HERE / "pxl.h").read_text(encoding="utf-8")
    return header.split("/* cffi: begin */")[1].split("/* cffi: end */")[0]


def relative(path: pathlib.Path) -> str:
    """`path` as setuptools wants sources: relative to the project, with forward slashes."""
    return path.relative_to(HERE.parent).as_posix()


ffibuilder = cffi.FFI()
ffibuilder.cdef(declarations() + CALLBACKS)
ffibuilder.set_source(
    "pyxlist._pxl",
    '#include "pxl.h"',
    sources=sorted(relative(path) for path in HERE.glob("*.c")),
    depends=sorted(relative(path) for path in HERE.glob("*.h")),
    include_dirs=[relative(HERE)],
    extra_compile_args=["-O3", "-std=c11", "-fno-plt", "-fvisibility=hidden", "-fno-strict-aliasing"],
    py_limited_api=True,
)

if __name__ == "__main__":
    ffibuilder.compile(verbose=True)
