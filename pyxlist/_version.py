"""The release, where both the package and its build can read it."""

from typing import Final

__all__ = ["VERSION"]

VERSION: Final = "0.1.0"
