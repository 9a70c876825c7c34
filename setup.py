from setuptools import Extension, setup

HEADERS = ["csrc/bytes.h", "csrc/entry.h", "csrc/postings.h", "csrc/pxl.h", "csrc/rows.h", "pyxlist/index/_lmdb.h"]


def beside_lmdb(name: str) -> Extension:
    """A room of the index that is written in C, against py-lmdb."""
    return Extension(
        f"pyxlist.index.{name}",
        [f"pyxlist/index/{name}.c"],
        include_dirs=["csrc"],
        depends=HEADERS,
        extra_compile_args=["-O3", "-std=c11", "-fvisibility=hidden"],
        define_macros=[("Py_LIMITED_API", "0x030b0000")],
        py_limited_api=True,
    )


NAMED = Extension(
    "pyxlist._named",
    ["pyxlist/_named.c"],
    extra_compile_args=["-O3", "-std=c11", "-fvisibility=hidden"],
    define_macros=[("Py_LIMITED_API", "0x030b0000")],
    py_limited_api=True,
)

setup(
    cffi_modules=["csrc/ffi_build.py:ffibuilder"],
    ext_modules=[beside_lmdb("_blocks"), beside_lmdb("_store"), NAMED],
)
