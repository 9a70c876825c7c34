from setuptools import Extension, setup

HEADERS = ["csrc/bytes.h", "csrc/entry.h", "csrc/postings.h", "csrc/pxl.h", "csrc/rows.h", "pyxlist/index/_lmdb.h"]


def of_package(name: str, **more: list[str]) -> Extension:
    """A module of the package that is written in C, against the stable ABI of CPython 3.11."""
    return Extension(
        f"pyxlist.{name}",
        [f"pyxlist/{name.replace('.', '/')}.c"],
        extra_compile_args=["-O3", "-std=c11", "-fvisibility=hidden"],
        define_macros=[("Py_LIMITED_API", "0x030b0000")],
        py_limited_api=True,
        **more,
    )


def beside_lmdb(name: str) -> Extension:
    """A room of the index that is written in C, against py-lmdb."""
    return of_package(f"index.{name}", include_dirs=["csrc"], depends=HEADERS)


setup(
    cffi_modules=["csrc/ffi_build.py:ffibuilder"],
    ext_modules=[beside_lmdb("_blocks"), beside_lmdb("_store"), of_package("_named")],
)
