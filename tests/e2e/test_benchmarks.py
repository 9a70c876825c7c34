"""The benchmarks run: every question, in worlds too small to say anything about speed."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys

import pytest

import pyxlist
from benchmarks.companions import ANNOTATIONS, SUBSCRIPTIONS, write_companions
from benchmarks.mailboxes import World
from benchmarks.spec import WorldSpec
from benchmarks.world import write_world


@pytest.mark.timeout(120)
def test_every_question_is_answered(tmp_path: pathlib.Path) -> None:
    """A quick run in tiny worlds ends well, prints a table and saves each result with its baseline."""
    command = [sys.executable, "-m", "benchmarks", "--quick", "--users", "60", "--folder", str(tmp_path)]
    for question in ("list", "variants", "build", "formats", "sqlite", "change", "growth"):
        command += ["--only", question]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    (saved,) = tmp_path.glob("*.json")
    content = json.loads(saved.read_text())
    assert {"commit", "machine", "worlds", "results"} <= content.keys()
    questions = {result["question"] for result in content["results"]}
    assert {"LIST", "variants, a row", "build", "formats", "SQLite", "change", "many changes", "growth"} <= questions
    assert all(result["measured"] > 0 for result in content["results"])
    assert "ratio" in done.stdout


def test_companions_fill_an_index(tmp_path: pathlib.Path) -> None:
    """A world's companions are read by a build without a word, for every user, and the same spec gives the same."""
    spec = WorldSpec(users=40, shared=60, big_user=120)
    write_world(spec, tmp_path / "mailboxes.db")
    for name in ("one", "two"):
        write_companions(World(spec), tmp_path / name)
        beside = tmp_path / name / SUBSCRIPTIONS, tmp_path / name / ANNOTATIONS
        report = pyxlist.build(tmp_path / "mailboxes.db", tmp_path / f"index-{name}", None, *beside)
        assert report.subscribers == 41
        assert report.special_users in range(20, 42)
        assert set(report.skipped) == {"uniqueid records"}
    with pyxlist.open(tmp_path / "index-one") as index, pyxlist.open(tmp_path / "index-two") as other:
        assert [*index.check(), *other.check()] == []
        for user in ("u000000", "u000003", "big"):
            answer = index.view(user).respond(b'LIST (SUBSCRIBED) "" "*" RETURN (SPECIAL-USE)').untagged
            assert b"\\Subscribed" in answer
            assert other.view(user).respond(b'LIST (SUBSCRIBED) "" "*" RETURN (SPECIAL-USE)').untagged == answer
        assert answer.count(b"\\Archive") == 119


def test_wrong_usage_is_refused(tmp_path: pathlib.Path) -> None:
    """An unknown question ends with status 2 and names those there are."""
    command = [sys.executable, "-m", "benchmarks", "--only", "nothing", "--folder", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "sharing" in done.stderr
