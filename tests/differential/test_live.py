"""A private, real Cyrus beside the package: random worlds, every answer of every user compared.

PYXLIST_DIFFERENTIAL_ANSWERS   how many answers at least (default 4000)
PYXLIST_DIFFERENTIAL_SEED      an integer; without it a new one each time, printed
PYXLIST_DIFFERENTIAL_KEEP      a folder for cases of what differs
"""

from __future__ import annotations

import os
import pathlib
import secrets

import pytest

from tests.worlds import GROUPS, USUAL

from .campaign import Campaign
from .cases import Case, all_cases
from .host import Host
from .server import Server, reachable_folder

pytestmark = pytest.mark.cyrus


def test_every_answer_equals_the_servers(tmp_path: pathlib.Path) -> None:
    """No answer differs, over worlds written into the server's databases and worlds made by IMAP commands."""
    seed = int(os.environ.get("PYXLIST_DIFFERENTIAL_SEED") or secrets.randbelow(1 << 31))
    wanted = int(os.environ.get("PYXLIST_DIFFERENTIAL_ANSWERS") or 4000)
    keep = pathlib.Path(os.environ.get("PYXLIST_DIFFERENTIAL_KEEP") or tmp_path / "cases")
    print(f"\nPYXLIST_DIFFERENTIAL_SEED={seed}, cases of differences go to {keep}")
    campaign = Campaign(seed, keep, questions=8)
    campaign.run(wanted)
    print(f"{campaign.compared} answers in {campaign.worlds} worlds compared")
    assert not campaign.differences
    assert campaign.compared >= wanted


def test_the_cases_are_what_a_server_says() -> None:
    """A real server gives the recorded answers of all cases today."""
    cases = [Case.load(path) for path in all_cases()]
    configurations = [{**USUAL, **case.options} for case in cases]
    with reachable_folder() as folder, Server(folder / "server", configurations, GROUPS) as server:
        host = Host(server)
        for number, case in enumerate(cases):
            assert case.served(host, number) == case, case.about
        host.close()
