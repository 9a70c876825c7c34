"""Event notifications, recorded: each command's events alone give its outcome, or a wish for a rescan."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import random
import socket
import threading
import time
from typing import Any, Final

import pytest

import pyxlist
from pyxlist.config import Config
from pyxlist.follow.events import Applier, Event, read_event
from pyxlist.follow.notify import DlistBuffer, iter_json, message_of_datagram, serve
from pyxlist.follow.uri import mailbox_of_uri, modified_utf7
from pyxlist.index.opening import open_store
from tests.sources import value, write_flat

DATA: Final = pathlib.Path(__file__).parents[1] / "data" / "events"
ACTIONS: Final[list[dict[str, Any]]] = json.loads((DATA / "actions.json").read_text())
FRAMINGS: Final[dict[str, list[str]]] = json.loads((DATA / "framings.json").read_text())

FULL = "lrswipkxtecdan"
BOB, CARL = f"bob {FULL}", f"carl {FULL}"
DELETED = "where deleted mailboxes live on"
CHILDREN = "children of a renamed mailbox"
UNTOLD = "something of a mailbox changed that was not told"
# For each command: what it left behind (internal name -> ACL, None: no mailbox), and the rescans wished for.
OUTCOMES: Final[list[tuple[dict[str, str | None], set[str]]]] = [
    ({}, set()),  # CREATE user/bob, refused
    ({}, set()),  # SETQUOTA
    ({"user.bob.Work": BOB}, set()),
    ({"user.bob.Work.2024": BOB}, set()),
    ({"user.bob.Gr&APYA3w-e": BOB}, set()),
    ({"user.bob.a": BOB, "user.bob.a.b": BOB, "user.bob.a.b.c": BOB}, set()),
    ({"user.bob.Work": f"{BOB} alice lrs"}, set()),
    ({"user.bob.Work": f"{BOB} alice lrsw"}, set()),
    ({}, {UNTOLD}),  # the same SETACL again: a MailboxModseq that tells nothing new
    ({"user.bob.Work": f"{BOB} alice lrsw -carol r"}, set()),
    ({"user.bob.Work": f"{BOB} alice lrsw -carol r group:staff lr"}, set()),
    ({"user.bob.Work": f"{BOB} -carol r group:staff lr"}, set()),
    ({"user.bob.Work": f"{BOB} -carol r"}, set()),
    ({}, set()),  # SUBSCRIBE
    ({}, set()),  # UNSUBSCRIBE
    ({}, set()),  # SUBSCRIBE another user's
    (
        {
            "user.bob.Work": None,
            "user.bob.Work.2024": None,
            "user.bob.Job": f"{BOB} -carol r",
            "user.bob.Job.2024": BOB,
        },
        {CHILDREN, UNTOLD},
    ),
    ({}, set()),  # RENAME to another partition: no event at all
    ({"user.bob.Job.2024": None}, {DELETED, UNTOLD}),
    ({"user.bob.a.b.c": None}, {DELETED, UNTOLD}),
    ({}, {UNTOLD}),  # SETMETADATA of a special use
    ({"user.bob.Sent": BOB}, {UNTOLD}),  # CREATE with a special use
    (
        {
            **{f"user.bob{name}": None for name in ("", ".Gr&APYA3w-e", ".Job", ".Sent", ".a", ".a.b")},
            **{f"user.carl{name}": CARL for name in ("", ".Gr&APYA3w-e", ".Sent", ".a", ".a.b")},
            "user.carl.Job": f"-carol r {CARL}",
        },
        {CHILDREN},
    ),
    ({"user.carl": f"{CARL} cyrus lrswipkxtecda"}, set()),
    ({f"user.carl{name}": None for name in ("", ".Gr&APYA3w-e", ".Job", ".Sent", ".a", ".a.b")}, {DELETED, UNTOLD}),
    ({}, set()),  # LIST
]


class World:
    """An index of two users, and what it holds by the outcomes so far."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.index_path = folder / "index"
        self.expected: dict[str, str] = {"user.alice": f"alice {FULL}", "user.bob": BOB}
        ids = {"user.alice": "mnvrxfxa4qampbhsddw6vlqc", "user.bob": "55j24x4bh70q3bagbd31nxp2"}
        entries = {
            name.replace(".", "\x1f").encode(): value(acl, uniqueid=ids[name]) for name, acl in self.expected.items()
        }
        pyxlist.build(write_flat(folder / "db", entries), self.index_path, Config())
        self.store = open_store(self.index_path)
        self.applier = Applier(self.store)

    def close(self) -> None:
        with pyxlist.open(self.index_path) as index:
            assert list(index.check()) == []
        self.store.close()

    def expect(self, outcome: dict[str, str | None]) -> None:
        for name, acl in outcome.items():
            if acl is None:
                self.expected.pop(name, None)
            else:
                self.expected[name] = acl

    def held(self) -> dict[str, str]:
        with pyxlist.open(self.index_path) as index:
            return {
                entry.name: " ".join(f"{who} {rights}" for who, rights in entry.acl)
                for entry in index.entries()
                if entry.is_live
            }

    def rescans(self) -> list[str]:
        with pyxlist.open(self.index_path) as index:
            return list(index.stat()["rescan wanted"])


@pytest.fixture
def world(tmp_path: pathlib.Path) -> Any:
    made = World(tmp_path)
    yield made
    made.close()


def events_of(action: dict[str, Any]) -> list[Event]:
    read = (read_event(json.dumps(event)) for event in action["events"])
    return [event for event in read if event is not None]


def test_the_recorded_commands(world: World) -> None:
    """After each command its events alone left the index as the server was, and wished for what they do not tell."""
    assert len(OUTCOMES) == len(ACTIONS)
    for action, (outcome, reasons) in zip(ACTIONS, OUTCOMES, strict=True):
        assert set(world.applier.apply(events_of(action))) == reasons, action["action"]
        world.expect(outcome)
        assert world.held() == world.expected, action["action"]
    assert {CHILDREN, DELETED, UNTOLD} <= set(world.rescans())


def test_each_event_in_a_transaction_of_its_own(world: World) -> None:
    """One at a time, as the socket gives them, the outcome is the same."""
    for action, (outcome, _reasons) in zip(ACTIONS, OUTCOMES, strict=True):
        for event in events_of(action):
            world.applier.apply([event])
        world.expect(outcome)
        assert world.held() == world.expected, action["action"]


def test_events_twice(world: World) -> None:
    """Every event delivered twice in a row ends where once does."""
    for action, (outcome, _reasons) in zip(ACTIONS, OUTCOMES, strict=True):
        for event in events_of(action):
            world.applier.apply([event, event])
        world.expect(outcome)
        assert world.held() == world.expected, action["action"]


@pytest.mark.parametrize("seed", range(12))
def test_lost_and_overtaken_events(tmp_path: pathlib.Path, seed: int) -> None:
    """With events lost or in another order the index is right at the end, or a rescan is wished for."""
    chance = random.Random(seed)
    world = World(tmp_path)
    events = [event for action in ACTIONS for event in events_of(action)]
    if seed % 2:
        events = [event for event in events if chance.random() > 0.1]
    else:
        for _ in range(20):
            at = chance.randrange(len(events) - 1)
            events[at], events[at + 1] = events[at + 1], events[at]
    for event in events:
        world.applier.apply([event])
    for outcome, _reasons in OUTCOMES:
        world.expect(outcome)
    assert world.held() == world.expected or world.rescans()
    world.close()


def test_a_rescan_is_fulfilled(tmp_path: pathlib.Path, world: World) -> None:
    """What events wished for is done by the next follower, once."""
    world.applier.apply([event for action in ACTIONS for event in events_of(action)])
    assert world.rescans()
    assert pyxlist.follow(tmp_path / "db", world.index_path, once=True).mode == "rebuild"
    assert not world.rescans()
    assert set(world.held()) == {"user.alice", "user.bob"}
    assert pyxlist.follow(tmp_path / "db", world.index_path, once=True).mode == "none"


def test_subscriptions(world: World) -> None:
    """The subscriber is the event's user, whoever owns the mailbox."""
    for action in ACTIONS[:16]:
        world.applier.apply(events_of(action))
    with pyxlist.open(world.index_path) as index:
        answer = index.view("bob").respond(b'LIST (SUBSCRIBED) "" "*"')
    assert b"alice" in answer.untagged
    assert b"Work" not in answer.untagged


@pytest.mark.parametrize(
    ("uri", "key", "uidvalidity"),
    [
        ("imap://host:11143/user/bob/Gr%C3%B6%C3%9Fe;UIDVALIDITY=17", b"user\x1fbob\x1fGr&APYA3w-e", 17),
        ("imap://host/user/john.smith/a%20b", b"user\x1fjohn.smith\x1fa b", 0),
        ("imap://host/Shared%26Co", b"Shared&-Co", 0),
    ],
)
def test_uris(uri: str, key: bytes, uidvalidity: int) -> None:
    """UTF-8, percent-coded, in an admin's spelling: the key name as mailboxes.db has it."""
    assert mailbox_of_uri(uri, Config(unixhierarchysep=True)) == (key, uidvalidity)


@pytest.mark.parametrize(
    "uri", ["", "imap://host", "imap://host/", "http://host/user/bob", "imap://host/%ff", "imap://host/a%00b"]
)
def test_uris_of_no_mailbox(uri: str) -> None:
    """What names no mailbox is a ValueError."""
    with pytest.raises(ValueError):
        mailbox_of_uri(uri, Config(unixhierarchysep=True))


def test_modified_utf7() -> None:
    """The examples of RFC 3501, section 5.1.3."""
    assert modified_utf7("~peter/mail/台北/日本語") == "~peter/mail/&U,BTFw-/&ZeVnLIqe-"
    assert modified_utf7("a&b") == "a&-b"


@pytest.mark.parametrize("text", ["", "[]", "no json", '{"event": "Login", "uri": "imap://x"}', '{"event": 5}', "{}"])
def test_what_is_no_event(text: str) -> None:
    """Other events are None, what is no JSON object a ValueError; neither stops anything."""
    with contextlib.suppress(ValueError):
        assert read_event(text) is None


def test_garbage_in_events(world: World) -> None:
    """Events with odd fields change nothing that is not theirs, and never raise."""
    good = ACTIONS[2]["events"][1]
    for changed in (
        {"uri": "imap://x/" + "a" * 2000},
        {"uri": "ftp://"},
        {"vnd.cmu.mailboxACL": "x"},
        {"mailboxID": ""},
    ):
        event = read_event(json.dumps({**good, **changed}))
        assert event is not None
        world.applier.apply([event])
    assert {"user.alice", "user.bob"} <= set(world.held())


# --- sockets ---


def test_recorded_datagrams() -> None:
    """The message of each is JSON; what is no notification is a ValueError."""
    for text in FRAMINGS["datagrams"]:
        assert json.loads(message_of_datagram(text.encode("latin-1")))["event"]
    for octets in (b"", b"a\0b", b"external\0EVENT\0\0\0\x009999\0", b"\0\0\0\0\0x\0{}"):
        with pytest.raises(ValueError):
            message_of_datagram(octets)


@pytest.mark.parametrize("piece", [1, 7, 100000])
def test_recorded_stream(piece: int) -> None:
    """Cut into pieces of any size, the stream gives the same messages."""
    octets = "".join(FRAMINGS["stream"]).encode("latin-1")
    buffer = DlistBuffer()
    messages = [message for at in range(0, len(octets), piece) for message in buffer.feed(octets[at : at + piece])]
    assert [json.loads(message)["event"] for message in messages] == [
        json.loads(text[text.index("}\r\n") + 3 : text.rindex(" FILEPATH")])["event"] for text in FRAMINGS["stream"]
    ]


def test_a_stream_without_bound_is_refused() -> None:
    """A line without end and a literal beyond all measure are refused before they fill the memory."""
    for octets in (b"x" * 70000, b"NOTIFY {999999999+}\r\n"):
        with pytest.raises(ValueError):
            list(DlistBuffer().feed(octets))


def test_json_texts_in_a_row() -> None:
    """One or many, with line ends or without."""
    assert list(iter_json(' {"a": 1}{"b": "}"}\n\n[2] ')) == ['{"a": 1}', '{"b": "}"}', "[2]"]
    with pytest.raises(ValueError):
        list(iter_json('{"a": 1} nonsense'))


@pytest.mark.parametrize("stream", [False, True], ids=["datagram", "stream"])
def test_serving(tmp_path: pathlib.Path, stream: bool) -> None:
    """A socket left by a dead process is replaced; what is sent arrives; a stream is answered; all is removed."""
    path = os.fspath(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as left:
        left.bind(path)
    got: list[bytes] = []
    stop = threading.Event()
    thread = threading.Thread(target=serve, args=(path, stream, got.extend, stop.is_set))
    thread.start()
    try:
        texts = FRAMINGS["stream" if stream else "datagrams"]
        limit = time.monotonic() + 10
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM if stream else socket.SOCK_DGRAM) as client:
            while client.connect_ex(path):
                assert time.monotonic() < limit
                time.sleep(0.01)
            for text in texts:
                client.sendall(text.encode("latin-1"))
                assert not stream or client.recv(100) == b"OK ()\r\n"
            while len(got) < len(texts):
                assert time.monotonic() < limit
                time.sleep(0.01)
    finally:
        stop.set()
        thread.join(10)
    assert [json.loads(message)["event"] for message in got][:2] == ["Login", "MailboxCreate"]
    assert not os.path.exists(path)
