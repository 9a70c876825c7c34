"""`pyxlist follow` as it is started: once, and until SIGTERM, with metrics and a status for others."""

from __future__ import annotations

import json
import pathlib
import signal
import socket
import subprocess
import sys
import time
import urllib.request

from tests.e2e.program import error_of, json_lines, run
from tests.sources import value
from tests.twoskip import Twoskip


def world(folder: pathlib.Path) -> tuple[Twoskip, pathlib.Path]:
    database = Twoskip(seed=4)
    for user in ("ann", "bob"):
        database.put(b"Nuser\x1f" + user.encode(), value(f"{user} lrswipkxtecdan", uniqueid=user))
    database.commit()
    return database, database.write(folder / "mailboxes.db")


def test_once(tmp_path: pathlib.Path) -> None:
    """An index is made, then nothing is to be done, then a tail; garbage is one line and status 3."""
    database, source = world(tmp_path)
    index = tmp_path / "index"
    modes = [json_lines(run("follow", source, index, "--once", "--json"))[0]["mode"] for _ in range(2)]
    database.put(b"Npub", value("anyone lrs", uniqueid="p"))
    database.commit()
    database.write(source)
    assert run("follow", source, index, "--once").stdout.startswith(b"tail: 1 added, 0 changed, 0 removed")
    assert modes == ["rebuild", "none"]
    source.write_bytes(b"no database")
    done = run("follow", source, index, "--once")
    assert done.returncode == 3
    assert str(source) in error_of(done)


def test_until_told_to_stop(tmp_path: pathlib.Path) -> None:
    """Changes arrive, metrics and stat tell of them, SIGTERM ends it with status 0."""
    database, source = world(tmp_path)
    index = tmp_path / "index"
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
    command = [sys.executable, "-m", "pyxlist", "follow", str(source), str(index), "--json", "--metrics", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        try:
            assert json.loads(process.stdout.readline())["mode"] == "rebuild"
            for number in range(3):
                database.put(b"Nbox%d" % number, value("anyone lrs", uniqueid=f"x{number}"))
                database.commit()
                database.write(source)
                assert json.loads(process.stdout.readline())["mode"] == "tail"
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
                metrics = answer.read().decode()
            assert 'pyxlist_follow_steps_total{mode="tail"} 3.0' in metrics
            assert "pyxlist_follow_changes_total" in metrics
            time.sleep(1.2)
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        assert b"Traceback" not in process.stderr.read()
    stat = json_lines(run("stat", index, "--json"))[0]
    assert (stat["follower"]["state"], stat["follower"]["tails"]) == ("stopped", 3)
    assert b"follower" in run("stat", index).stdout
    assert run("verify", index, source).returncode == 0


EVENT = {
    "event": "MailboxCreate",
    "mailboxID": "idw",
    "uri": "imap://localhost/user/ann/Work;UIDVALIDITY=7",
    "vnd.cmu.mbtype": "e",
    "vnd.cmu.mailboxACL": "ann\tlrswipkxtecdan\tbob\tlrs\t",
}


def test_events_on_standard_input(tmp_path: pathlib.Path) -> None:
    """As `notify_external` gives them; what is no JSON is wrong usage."""
    _database, source = world(tmp_path)
    index = tmp_path / "index"
    assert run("build", source, index).returncode == 0
    done = run("listen", index, "-", stdin=json.dumps(EVENT).encode())
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert b"ann/Work" in run("list", index, "bob").stdout
    done = run("listen", index, "-", stdin=b'{"event": ')
    assert done.returncode == 2
    error_of(done)


def test_events_on_a_socket(tmp_path: pathlib.Path) -> None:
    """A stream of notifications, each answered when it is applied; SIGTERM ends it; the wishes are recorded."""
    _database, source = world(tmp_path)
    index, path = tmp_path / "index", tmp_path / "notify"
    assert run("build", source, index).returncode == 0
    command = [sys.executable, "-m", "pyxlist", "listen", str(index), f"dlist:{path}"]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        try:
            limit = time.monotonic() + 20
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
                while client.connect_ex(str(path)):
                    assert time.monotonic() < limit
                    time.sleep(0.02)
                text = json.dumps(EVENT).encode()
                client.sendall(b"NOTIFY %%(METHOD external MESSAGE {%d+}\r\n%s FILEPATH NIL)\r\n" % (len(text), text))
                assert client.recv(100) == b"OK ()\r\n"
            assert b"ann/Work" in run("list", index, "bob").stdout
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        assert b"Traceback" not in process.stderr.read()
    assert not path.exists()
    assert json_lines(run("stat", index, "--json"))[0]["rescan wanted"] == ["events before this listener began"]
