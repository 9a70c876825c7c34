from setuptools import Extension, setup

setup(
    cffi_modules=["csrc/ffi_build.py:ffibuilder"],
    ext_modules=[
        Extension(
            "pyxlist.index._blocks",
            ["pyxlist/index/_blocks.c"],
            include_dirs=["csrc"],
            depends=["csrc/bytes.h", "csrc/entry.h", "csrc/pxl.h", "csrc/rows.h"],
            extra_compile_args=["-O3", "-std=c11", "-fvisibility=hidden"],
            define_macros=[("Py_LIMITED_API", "0x030b0000")],
            py_limited_api=True,
        )
    ],
)
