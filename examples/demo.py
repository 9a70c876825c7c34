"""A mailboxes.db that a real Cyrus wrote, indexed and asked: what three users see, who sees one mailbox, how fast.

    make demo

Plain text, the same at every run but for the times.  The data is described in tests/data/README.md.
"""

from __future__ import annotations

import pathlib
import statistics
import tempfile
import time

import pyxlist

RECORDED = pathlib.Path(__file__).resolve().parent.parent / "tests" / "data" / "alt-unix"
USERS = {
    "alice": "with folders of her own and in a group",
    "carol.ann": "in another group",
    "guest": "who has no mailbox",
}
SHOWN = (
    "INBOX",
    "Drafts",
    "Other Users/frank",
    "Other Users/frank/Sent",
    "Shared Folders/Grp/*",
)
SHARED = "user.frank"  # internal name, as Cyrus' own tools have it
REPEATS = 300


def build(index_path: pathlib.Path) -> None:
    """Make the index and say what it took."""
    report = pyxlist.build(
        RECORDED / "mailboxes.db",
        index_path,
        config=pyxlist.Config.from_imapd_conf(RECORDED / "imapd.conf"),
        subscriptions=RECORDED / "subs",
        annotations=RECORDED / "annotations.db",
        groups=RECORDED / "group",
    )
    print(f"Indexed {report.mailboxes} mailboxes of a recorded Cyrus 3.6.1 ({report.source_format})")
    print(f"in {1000 * report.seconds:.0f} ms; the index has {report.index_bytes // 1024} KiB.")


def show_user(index: pyxlist.Index, userid: str, who: str) -> None:
    """How much a user sees, and a part of it with rights and attributes."""
    groups = index.groups_of(userid)
    view = index.view(userid, groups=groups)
    total = sum(1 for _ in view.list())
    print(f"\n{userid}, {who}{f' ({groups[0]})' if groups else ''}, sees {total} names. Some of them:\n")
    for item in view.list("", *SHOWN):
        print(f"    {item.name:32}{item.rights.format():16}{' '.join(item.attributes)}".rstrip())


def show_mailbox(index: pyxlist.Index, name: str) -> None:
    """Everybody who can see a mailbox."""
    print(f"\nThe mailbox {name} can be seen by:\n")
    for identifier, rights in index.who(name):
        print(f"    {identifier:32}{rights.format()}")


def show_speed(index: pyxlist.Index, userid: str) -> None:
    """The time of a LIST as an IMAP server would ask for it."""
    view = index.view(userid, groups=index.groups_of(userid))
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        answer = view.respond(b'LIST "" "*"')
        times.append(time.perf_counter() - started)
    lines = answer.untagged.count(b"\r\n")
    first = answer.untagged.partition(b"\r\n")[0].decode()
    print(f'\nLIST "" "*" for {userid}: {answer.status}, {lines} lines ready for the client, the first of them')
    print(f"\n    {first}\n\nwritten in {1e6 * statistics.median(times):.0f} us (median of {REPEATS}).")


def main() -> None:
    """The whole demo, in a directory that is gone afterwards."""
    with tempfile.TemporaryDirectory() as directory:
        index_path = pathlib.Path(directory, "index")
        build(index_path)
        with pyxlist.open(index_path) as index:
            for userid, who in USERS.items():
                show_user(index, userid, who)
            show_mailbox(index, SHARED)
            show_speed(index, "alice")


if __name__ == "__main__":
    main()
