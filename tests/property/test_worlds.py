"""Random worlds: every answer of every user equals the oracle's, after a build and after updates."""

from __future__ import annotations

import pathlib
import tempfile
from random import Random
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import pyxlist
from pyxlist import listing
from tests import oracle
from tests.worlds import GROUPS, World, groups_of, logging_in, random_battery, random_configuration, random_world

_LISTINGS = (b"LIST", b"XLIST", b"RLIST", b"LSU", b"RLSU")
SEEDS = st.integers(0, 2**48)
PROFILE = settings(deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)


def config_of(folder: pathlib.Path, options: dict[str, str]) -> pyxlist.Config:
    """The options by way of an imapd.conf, as a server has them."""
    path = folder / "imapd.conf"
    path.write_text("".join(f"{name}: {text}\n" for name, text in options.items()))
    return pyxlist.Config.from_imapd_conf(path)


def model(world: World, options: dict[str, str]) -> oracle.World:
    """The oracle of a world."""
    entries = {key: oracle.read_entry(box.value()) for key, box in world.mailboxes.items()}
    subscriptions = {
        userid: (oracle.read_subscriptions(octets)[0], True) for userid, _place, octets in world.subscription_files()
    }
    uses = {(key, oracle.OWNER): use for key, use in world.uses.items()}
    return oracle.World(entries, options, GROUPS, subscriptions, uses, pattern_operators=False)


def compare(index_path: pathlib.Path, expected: oracle.World, options: dict[str, str], battery: list[bytes]) -> None:
    """Every user's answer to every command, whole and streamed, in pieces of some rows and less."""
    with pyxlist.open(index_path) as index:
        assert list(index.check()) == []
        for userid in logging_in(options):
            view = index.view(userid, groups=groups_of(userid))
            for command in battery:
                status, untagged = expected.respond(userid, command)
                answer = view.respond(command)
                assert (answer.status, answer.untagged) == (status, untagged), (userid, command)
                if command.split()[0].removesuffix(b"B") in _LISTINGS and answer.status == "OK":
                    with mock.patch.object(listing, "_CHUNK_BYTES", 1 + len(untagged) % 100):
                        assert b"".join(view.stream(command)) == untagged


def check_world(rng: Random, listings: int, questions: int) -> None:
    """One world, one configuration, some questions of everybody."""
    options = random_configuration(rng)
    world = random_world(rng, domains=options["virtdomains"] != "off")
    battery = random_battery(rng, options, world, listings, questions)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        config = config_of(folder, options)
        companions = world.write(folder)
        pyxlist.build(folder / "mailboxes.db", folder / "index", config=config, **companions)
        compare(folder / "index", model(world, options), options, battery)


@settings(PROFILE, max_examples=60)
@given(SEEDS)
def test_every_answer_equals_the_oracles(seed: int) -> None:
    """LIST in all forms and the ACL commands, of every user, over random worlds and configurations."""
    check_world(Random(seed), 10, 10)


@pytest.mark.slow
@settings(PROFILE, max_examples=2000)
@given(SEEDS)
def test_every_answer_equals_the_oracles_in_many_worlds(seed: int) -> None:
    """The same at length."""
    check_world(Random(seed), 20, 20)


@settings(PROFILE, max_examples=25)
@given(SEEDS)
def test_updating_equals_building_anew(seed: int) -> None:
    """An index brought from one world to another holds what a fresh index of the other holds."""
    rng = Random(seed)
    options = random_configuration(rng)
    before, after = random_world(rng), random_world(rng)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        config = config_of(folder, options)
        companions = before.write(folder)
        pyxlist.build(folder / "mailboxes.db", folder / "index", config=config, **companions)
        companions = after.write(folder)
        for index in ("index", "fresh"):
            pyxlist.build(folder / "mailboxes.db", folder / index, config=config, **companions)
        with pyxlist.open(folder / "index") as updated, pyxlist.open(folder / "fresh") as fresh:
            assert list(updated.entries()) == list(fresh.entries())
        if after.uses or not before.uses:
            compare(folder / "index", model(after, options), options, random_battery(rng, options, after, 4, 0))
