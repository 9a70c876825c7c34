"""`python -m pyxlist`: the command line, where its script is not on the path."""

from __future__ import annotations

from pyxlist.cli import main

main()
