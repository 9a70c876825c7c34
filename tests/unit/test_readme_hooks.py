"""The README's hooks example does what its comments say."""

from __future__ import annotations

import pathlib
import re
import subprocess
import sys

README = pathlib.Path(__file__).parents[2] / "README.md"


def test_the_example_runs() -> None:
    """Every print is followed by a comment with what it prints."""
    chapter = README.read_text(encoding="utf-8").partition("### Hooks in your server")[2]
    example = chapter.partition("```python\n")[2].partition("```")[0]
    expected = re.findall(r"print\(.*\)  # (.*)", example)
    done = subprocess.run([sys.executable, "-c", example], capture_output=True, text=True, check=True)
    assert len(expected) == 3 and done.stdout.splitlines() == expected
