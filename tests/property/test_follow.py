"""Any history of a database, followed at any moments, ends where a fresh build of the file ends."""

from __future__ import annotations

import pathlib
import tempfile

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import pyxlist
from tests.sources import value
from tests.twoskip import Twoskip

# Few keys of each kind, so that they meet: names at both ends, uniqueids and reverse ACLs between and below.
KEYS = (
    b"AS\x1e",
    b"AU\x1ebob\x1fx",
    b"Ia1",
    b"Iz9",
    b"Na",
    b"Na\x1fb",
    b"Nuser\x1fann",
    b"Nuser\x1fann\x1fSent",
    b"Nuser\x1fbob",
    b"Nzz",
)
ACLS = ("anyone lrs", "ann lrswipkxtecdan bob lr", "-bob l group:staff lr", "")

put = st.tuples(st.just("put"), st.sampled_from(KEYS), st.sampled_from(ACLS))
delete = st.tuples(st.just("delete"), st.sampled_from(KEYS), st.just(""))
plain = st.tuples(st.sampled_from(["commit", "follow", "follow", "repack"]), st.just(b""), st.just(""))
histories = st.lists(st.one_of(put, put, delete, plain), min_size=1, max_size=40)


def apply(database: Twoskip, what: str, key: bytes, acl: str) -> None:
    if what == "put":
        uniqueid = b"%(T e P default N user\x1fann)" if key[:1] == b"I" else b""
        database.put(key, value(acl, uniqueid=f"id{key.hex()}") if key[:1] == b"N" else uniqueid)
    elif what == "delete":
        database.delete(key)
    elif what == "commit":
        database.commit()
    elif what == "repack":
        database.commit()
        database.repack()


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(histories, st.integers(0, 3))
def test_following_equals_building(history: list[tuple[str, bytes, str]], seed: int) -> None:
    """After every look, in or between transactions, the index is sound and equal to the source."""
    with tempfile.TemporaryDirectory() as folder:
        source, index_path = pathlib.Path(folder, "db"), pathlib.Path(folder, "index")
        database = Twoskip(seed)
        for key in KEYS:
            apply(database, "put", key, ACLS[0])
        database.commit()
        pyxlist.build(database.write(source), index_path)
        generation = database.generation
        for what, key, acl in [*history, ("commit", b"", ""), ("follow", b"", "")]:
            apply(database, what, key, acl)
            if what != "follow":
                continue
            report = pyxlist.follow(database.write(source), index_path, once=True)
            assert (report.mode == "rebuild") == (database.generation != generation)
            generation = database.generation
            with pyxlist.open(index_path) as index:
                assert list(index.verify(source)) == []
                assert list(index.check()) == []
