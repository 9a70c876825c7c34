"""The benchmarks run: every question, in worlds too small to say anything about speed."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys

import pytest


@pytest.mark.timeout(120)
def test_every_question_is_answered(tmp_path: pathlib.Path) -> None:
    """A quick run in tiny worlds ends well, prints a table and saves each result with its baseline."""
    command = [sys.executable, "-m", "benchmarks", "--quick", "--users", "60", "--folder", str(tmp_path)]
    for question in ("list", "build", "sqlite", "change", "growth"):
        command += ["--only", question]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    (saved,) = tmp_path.glob("*.json")
    content = json.loads(saved.read_text())
    assert {"commit", "machine", "worlds", "results"} <= content.keys()
    questions = {result["question"] for result in content["results"]}
    assert {"LIST", "build", "SQLite", "change", "many changes", "growth"} <= questions
    assert all(result["measured"] > 0 for result in content["results"])
    assert "ratio" in done.stdout


def test_wrong_usage_is_refused(tmp_path: pathlib.Path) -> None:
    """An unknown question ends with status 2 and names those there are."""
    command = [sys.executable, "-m", "benchmarks", "--only", "nothing", "--folder", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "sharing" in done.stderr
