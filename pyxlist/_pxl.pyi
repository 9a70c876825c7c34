# The C core as cffi binds it (csrc/ffi_build.py).  Its names and types stand in csrc/pxl.h and are
# checked by the C compiler; here they are opaque.
from typing import Any

ffi: Any
lib: Any
