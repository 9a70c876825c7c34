"""Worlds and their indexes on disk: made once for each folder, found again by what they were made from."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import random
import shutil
import sys
from pathlib import Path

import pyxlist
from benchmarks.companions import ANNOTATIONS, SUBSCRIPTIONS, write_companions
from benchmarks.mailboxes import World
from benchmarks.spec import WorldSpec, userid_of
from benchmarks.world import imapd_conf, write_world

__all__ = ["Worlds", "random_users"]


class Worlds:
    """Files of one folder; what is asked for and missing is made.  `spare` octets must stay free on the disk."""

    def __init__(self, folder: Path, spare: int = 2 << 30) -> None:
        self.folder = folder
        self._spare = spare
        folder.mkdir(parents=True, exist_ok=True)

    def source(self, spec: WorldSpec) -> Path:
        """The mailboxes.db of a world."""
        path = self._place(spec) / "mailboxes.db"
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            print(f"writing a world of {spec.mailboxes:,} mailboxes ...", file=sys.stderr)
            write_world(spec, path)
            (path.parent / "imapd.conf").write_text(imapd_conf(path), encoding="utf-8")
        return path

    def config(self, spec: WorldSpec) -> pyxlist.Config:
        """The configuration that goes with a world: altnamespace, '/' between levels."""
        return pyxlist.Config.from_imapd_conf(self.source(spec).parent / "imapd.conf")

    def index(self, spec: WorldSpec) -> Path:
        """The index of a world; nobody may change it: see `copy`."""
        path = self._place(spec) / "index"
        if not path.exists():
            pyxlist.build(self.source(spec), path, self.config(spec))
        return path

    def full_index(self, spec: WorldSpec) -> Path:
        """The index of a world with everybody's subscriptions and special uses; nobody may change it."""
        path = self._place(spec) / "index-full"
        if not path.exists():
            source, beside = self.source(spec), self.scratch("companions")
            write_companions(World(spec), beside)
            pyxlist.build(source, path, self.config(spec), beside / SUBSCRIPTIONS, beside / ANNOTATIONS)
            shutil.rmtree(beside)
        return path

    def copy(self, spec: WorldSpec, name: str) -> Path:
        """A copy of the index to change."""
        path = self.folder / f"changed-{name}"
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(self.index(spec), path)
        return path

    def scratch(self, name: str) -> Path:
        """A place in the same file system where nothing stands."""
        path = self.folder / f"scratch-{name}"
        shutil.rmtree(path, ignore_errors=True)
        path.unlink(missing_ok=True)
        return path

    def room_for(self, spec: WorldSpec) -> bool:
        """Whether disk and memory hold this world and the building of its index."""
        size = 350 * spec.mailboxes
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        return shutil.disk_usage(self.folder).free > 2 * size + self._spare and memory > 2 * size

    def clean(self) -> None:
        """Remove what `copy` and `scratch` gave."""
        for path in (*self.folder.glob("changed-*"), *self.folder.glob("scratch-*")):
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def _place(self, spec: WorldSpec) -> Path:
        digest = hashlib.blake2b(repr(dataclasses.astuple(spec)).encode(), digest_size=4).hexdigest()
        return self.folder / f"{spec.users}-users-{digest}"


def random_users(spec: WorldSpec, count: int) -> list[str]:
    """Userids of a world in no order; the same ones each time."""
    rng = random.Random(f"{spec.seed} asked")
    return [userid_of(spec, number).decode() for number in rng.sample(range(spec.users), min(count, spec.users))]
