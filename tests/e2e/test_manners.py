"""How the program behaves: on a terminal, in a pipe that closes, interrupted, asked for help."""

from __future__ import annotations

import io
import os
import pathlib
import pty
import re
import signal
import subprocess
import sys
import time

import pytest

import pyxlist
from pyxlist.cli._output import printable, size_text
from pyxlist.cli._program import program
from pyxlist.cli.imap import read_commands
from tests.e2e.program import DATA, build_recorded, error_of, run
from tests.sources import value, write_flat

README = pathlib.Path(__file__).parents[2] / "README.md"
COMMANDS = program.list_commands(None)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The recorded database, indexed once."""
    return build_recorded(tmp_path_factory.mktemp("recorded") / "index")


def on_terminal(*arguments: str | os.PathLike[str], **environment: str) -> tuple[int, str]:
    """Exit status and everything printed, with stdout and stderr a terminal of 100 columns."""
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "pyxlist", *arguments],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env={**os.environ, "COLUMNS": "100", **environment},
    )
    os.close(terminal)
    printed = b""
    try:
        while piece := os.read(controller, 65536):
            printed += piece
    except OSError:
        pass  # the terminal is gone when its last program is
    os.close(controller)
    return process.wait(60), printed.decode()


# --- help ---


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_page_and_a_place_in_the_readme(command: str) -> None:
    """What, arguments, an example and the exit status; and the README knows the command."""
    done = run(command, "--help")
    text = done.stdout.decode()
    assert (done.returncode, done.stderr) == (0, b"")
    assert text.startswith(f"Usage: pyxlist {command} ")
    assert re.search(r"Examples?:", text)
    assert "Exit status:" in text
    assert f"pyxlist {command} " in README.read_text(encoding="utf-8")


def test_the_program_explains_itself() -> None:
    """--help names every command, -h is the same, and nothing at all is wrong usage that shows the help."""
    done = run("--help")
    assert done.returncode == 0
    for command in COMMANDS:
        assert re.search(rf"^  {command} ", done.stdout.decode(), re.MULTILINE)
    assert run("-h").stdout == done.stdout
    bare = run()
    assert (bare.returncode, bare.stdout) == (2, b"")
    assert b"Commands:" in bare.stderr


def test_its_version_is_the_librarys() -> None:
    """One version for all."""
    assert run("--version").stdout.decode() == f"pyxlist {pyxlist.__version__}\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete(shell: str) -> None:
    """The script names the program, and asking as it asks gives commands and options."""
    assert b"_PYXLIST_COMPLETE" in run("completion", shell).stdout
    words, current = ("pyxlist", "rec") if shell == "fish" else ("pyxlist rec", "1")
    asked = run(_PYXLIST_COMPLETE=f"{shell}_complete", COMP_WORDS=words, COMP_CWORD=current)
    assert b"records" in asked.stdout


# --- terminals ---


def test_people_on_a_terminal_get_tables(index: pathlib.Path) -> None:
    """Columns stand below their headings; a dumb terminal gets no escapes at all."""
    status, text = on_terminal("list", index, "alice", "INBOX", "Drafts", TERM="dumb")
    assert status == 0
    heading, inbox, drafts = text.splitlines()
    assert "\x1b" not in text
    column = heading.index("rights")
    assert inbox[column:].startswith("lrswipkxtecdan")
    assert drafts[column:].startswith("lrswipkxtecdan")


def test_a_long_name_is_folded_and_never_cut(tmp_path: pathlib.Path) -> None:
    """A table narrower than a name shows all of it."""
    source = write_flat(tmp_path / "db", {b"pub\x1f" + b"x" * 300: value("anyone lrs")})
    assert run("build", source, tmp_path / "index").returncode == 0
    _status, text = on_terminal("list", tmp_path / "index", "bob", TERM="dumb", COLUMNS="60")
    assert text.replace("mailbox", "").count("x") == 300


def test_a_build_on_a_terminal_ends_with_its_sentence(tmp_path: pathlib.Path) -> None:
    """The bar is gone when the build is done."""
    status, text = on_terminal("build", DATA / "mailboxes.db", tmp_path / "index")
    assert status == 0
    assert f"made {tmp_path}/index" in re.sub(r"\s+", " ", text)


ODD = b"pub\x1f\x1b]0;owned\x07\xff\xc2\x9b31m"  # a title, a bell, no UTF-8, an 8-bit escape


def test_odd_names_cannot_drive_a_terminal(tmp_path: pathlib.Path) -> None:
    """Escapes in names are shown and not sent, whichever command prints them."""
    source = write_flat(tmp_path / "db", {ODD: value("anyone lrs \x1b[2Jeve lrs")})
    index = tmp_path / "index"
    assert run("build", source, index).returncode == 0
    empty = write_flat(tmp_path / "empty", {b"other": value("anyone lrs")})
    internal = os.fsdecode(ODD.replace(b"\x1f", b"."))
    commands = (
        ("list", index, "bob"),
        ("who", index, internal),
        ("verify", index, empty),
        ("records", source),
        ("dump", index),
    )
    for command in commands:
        status, text = on_terminal(*command, TERM="dumb")
        assert status in (0, 1)
        assert not re.search("[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f]", text), (command, text)
    piped = run("list", index, "bob").stdout
    assert b"\\x1b]0;owned\\x07\\xff\\xc2\\x9b31m" in piped


def test_printable_keeps_what_people_read() -> None:
    """Letters of any script stay; controls, separators that are no space, and stray octets are escaped."""
    cases = {
        "Entwürfe 日本": "Entwürfe 日本",
        "a\tb\n": "a\\x09b\\x0a",
        "\udcff": "\\xff",
        "\u202e": "\\xe2\\x80\\xae",
    }
    assert {text: printable(text) for text in cases} == cases


def test_sizes_are_readable() -> None:
    """Three figures and a unit."""
    sizes = {
        0: "0 octets",
        999: "999 octets",
        1024: "1 KiB",
        178464: "174 KiB",
        10**15: "909 TiB",
    }
    assert {size: size_text(size) for size in sizes} == sizes


def test_an_ascii_terminal_is_enough(index: pathlib.Path) -> None:
    """Characters the encoding of the output has not are escaped, not an error."""
    done = run("rights", index, "alice", "Entwürfe", PYTHONIOENCODING="ascii")
    assert done.returncode == 1
    error_of(done)


# --- ends ---


def test_a_reader_that_has_gone_is_no_error(index: pathlib.Path) -> None:
    """`pyxlist dump | head` says nothing on stderr and ends as a program killed by SIGPIPE would."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pyxlist", "dump", index], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert (process.wait(60), errors) == (141, b"")


def interrupted_build(source: pathlib.Path, index: pathlib.Path, after_s: float) -> tuple[int, bytes]:
    """Start a build and press Ctrl-C as soon as its work has begun, and a moment later."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pyxlist", "build", source, index], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    limit = time.monotonic() + 30
    while time.monotonic() < limit and process.poll() is None:
        maps = pathlib.Path(f"/proc/{process.pid}/maps").read_text(encoding="utf-8", errors="replace")
        if "data.mdb" in maps:
            break
        time.sleep(0.002)
    time.sleep(after_s)
    process.send_signal(signal.SIGINT)
    errors = process.stderr.read()
    process.stderr.close()
    return process.wait(60), errors


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A source large enough that its build can be interrupted."""
    entries = {
        b"user\x1fu%06d\x1f%s" % (number, folder): value(f"u{number:06} lrswipkxtecdan anyone l", uniqueid=f"i{number}")
        for number in range(20000)
        for folder in (b"Sent", b"Trash", b"Drafts")
    }
    return write_flat(tmp_path_factory.mktemp("large") / "db", entries)


@pytest.mark.parametrize("after_s", [0, 0.05, 0.15])
def test_an_interrupted_build_leaves_nothing(tmp_path: pathlib.Path, large: pathlib.Path, after_s: float) -> None:
    """Ctrl-C: status 130, one line, and no workplace; an index only if it was in its place, whole, before."""
    status, errors = interrupted_build(large, tmp_path / "index", after_s)
    assert b"Traceback" not in errors
    assert (status, errors) == (130, b"pyxlist: interrupted\n") or status == 0
    assert os.listdir(tmp_path) in ([], ["index"]) and (status or os.listdir(tmp_path))
    if os.listdir(tmp_path):
        assert run("check", tmp_path / "index").returncode == 0


def test_an_interrupted_update_leaves_the_index_as_it_was(tmp_path: pathlib.Path, large: pathlib.Path) -> None:
    """Ctrl-C while an index is brought up to date: the old state, whole, or the new one."""
    index = build_recorded(tmp_path / "index")
    before = run("dump", index).stdout
    status, errors = interrupted_build(large, index, 0.1)
    assert b"Traceback" not in errors
    assert status in (0, 130)
    assert run("check", index).stdout == b"healthy\n"
    if status:
        assert run("dump", index).stdout == before


# --- commands from stdin ---


def test_commands_are_read_however_they_are_cut() -> None:
    """Literals in any place, line ends of both kinds, an end in the middle of everything."""
    cases = {
        b"": [],
        b"\n": [b""],
        b"A\r\nB": [b"A", b"B"],
        b"A {2}\nx\n y\n": [b"A {2}\r\nx\n y"],
        b"A {1+}\r\nx {1}\r\ny\r\nB": [b"A {1+}\r\nx {1}\r\ny", b"B"],
        b"A {5}\r\nxy": [b"A {5}\r\nxy"],
        b"A {5}": [b"A {5}"],
        b"A {5}x\nB": [b"A {5}x", b"B"],
        b"A {2000000}\r\nB\n": [None, b"B"],
        b"A {2000000+}\r\n" + b"x" * 2000000 + b"\r\nB\n": [None, b"", b"B"],
        b"x" * 5000000 + b"\nB\n": [None, b"B"],
        b"A {1000000}\n" + b"x" * 1000000 + b"{1000000}\n" + b"y" * 48577: [None],
    }
    for octets, expected in cases.items():
        assert list(read_commands(io.BytesIO(octets))) == expected, octets[:40]


# --- the README ---


def test_the_readmes_python_runs(tmp_path: pathlib.Path) -> None:
    """The example as it stands, with its paths put to the recorded data."""
    example = README.read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    places = {
        "/etc/imapd.conf": DATA / "imapd.conf",
        "/var/lib/imap/mailboxes.db": DATA / "mailboxes.db",
        "INDEX": tmp_path / "index",
    }
    for written, place in places.items():
        assert f'"{written}"' in example
        example = example.replace(f'"{written}"', repr(str(place)))
    done = subprocess.run([sys.executable, "-c", example], capture_output=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith(b"INBOX ")


def test_the_demo_says_the_same_twice() -> None:
    """Three users, one mailbox, one time; ASCII without escapes, and only times and sizes differ between runs."""
    demo = README.parent / "examples" / "demo.py"
    runs = [
        subprocess.run([sys.executable, demo], capture_output=True, check=True, timeout=60).stdout for _ in range(2)
    ]
    first, second = (re.sub(r"\d+ (ms|us|KiB)", "N", printed.decode("ascii")) for printed in runs)
    assert first == second
    assert "\x1b" not in first
    for expected in (
        "alice,",
        "carol.ann,",
        "guest,",
        "The mailbox user.frank can be seen by",
        'LIST "" "*" for alice: OK',
    ):
        assert expected in first
