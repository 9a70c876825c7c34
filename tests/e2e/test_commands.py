"""Every command on the recorded database: what it prints for people, for programs, and its exit status."""

from __future__ import annotations

import gzip
import json
import pathlib

import pytest

from tests.e2e.program import DATA, build_recorded, error_of, json_lines, run


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The recorded database, indexed once; these tests only read it."""
    return build_recorded(tmp_path_factory.mktemp("recorded") / "index")


# --- build ---


def test_build_makes_an_index_then_finds_nothing_to_do(tmp_path: pathlib.Path) -> None:
    """The first build says what it made, the second that all was there already."""
    first = run("build", DATA / "mailboxes.db", tmp_path / "index")
    second = run("build", DATA / "mailboxes.db", tmp_path / "index")
    assert (first.returncode, second.returncode) == (0, 0)
    assert first.stdout.decode().startswith(f"made {tmp_path}/index: 406 mailboxes")
    assert second.stdout.decode().startswith(f"{tmp_path}/index was up to date: 406 mailboxes")


def test_build_reports_to_programs(tmp_path: pathlib.Path) -> None:
    """With --json the report is one object with the fields of `BuildReport`."""
    (report,) = json_lines(run("build", DATA / "mailboxes.db", tmp_path / "index", "--json"))
    assert (report["mode"], report["mailboxes"], report["source_format"]) == ("create", 406, "twoskip")
    assert report["skipped"] == {"uniqueid records": 397}


# --- list ---


def test_list_prints_lines_with_tabs_into_a_pipe(index: pathlib.Path) -> None:
    """Name, rights, attributes; the order is the server's, INBOX first."""
    done = run("list", index, "alice", "INBOX", "Sent", "Drafts")
    rights = "lrswipkxtecdan"
    assert done.stdout.decode().splitlines() == [
        f"INBOX\t{rights}\t\\HasChildren",
        f"Drafts\t{rights}\t\\HasNoChildren \\Drafts",
        f"Sent\t{rights}\t\\HasNoChildren \\Sent",
    ]


def test_list_looks_groups_up_unless_it_is_told(index: pathlib.Path) -> None:
    """bob is in staff by the stored group file; naming another group takes that away."""
    pattern = "Shared Folders/Grp/*"
    stored = json_lines(run("list", index, "bob", pattern, "--json"))
    named = json_lines(run("list", index, "bob", pattern, "--group", "staff", "--json"))
    other = json_lines(run("list", index, "bob", pattern, "--group", "nobodys", "--json"))
    assert stored == named
    assert len(other) < len(stored)


def test_list_takes_a_reference_and_admins_names(index: pathlib.Path) -> None:
    """--reference goes before the pattern; --admin makes names those an admin types."""
    below = json_lines(run("list", index, "alice", "%", "--reference", "foo/", "--json"))
    assert {item["name"] for item in below} == {"foo/INBOX", "foo/a b", "foo/child"}
    admin = json_lines(run("list", index, "alice", "user/bob", "--admin", "--json"))
    assert [item["name"] for item in admin] == ["user/bob"]


def test_rows_that_only_lead_somewhere_have_no_rights(index: pathlib.Path) -> None:
    """What is no mailbox has no rights, whatever form the LIST has; what is one has at least l."""
    for patterns in (("%",), ("%", "Other Users/%"), ("*",)):
        items = json_lines(run("list", index, "alice", *patterns, "--json"))
        leads = [item for item in items if {"\\Noselect", "\\NonExistent"} & set(item["attributes"])]
        assert bool(leads) == (patterns != ("*",))
        for item in items:
            assert ("l" in item["rights"]) == (item not in leads)
            assert item["rights"] or item in leads


def test_a_user_nobody_knows_sees_what_anyone_sees(index: pathlib.Path) -> None:
    """No INBOX, no error: only what is shared with anyone, and that of everybody."""
    stranger = {item["name"] for item in json_lines(run("list", index, "stranger", "--json"))}
    zoe = {item["name"] for item in json_lines(run("list", index, "zoe", "--json"))}
    assert "INBOX" not in stranger
    assert "Shared Folders/pub/x/y/z" in stranger
    assert stranger < zoe


def test_a_pattern_that_is_no_modified_utf7_finds_nothing(index: pathlib.Path) -> None:
    """Patterns are octets, as on the wire: `&` without its end names no mailbox and breaks nothing."""
    for pattern in ("&", "&-&!", "Entw&APw", "Entw\u00fcrfe", b"\xff\xfe"):
        done = run("list", index, "alice", pattern)
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


# --- rights, who ---


def test_rights_prints_the_letters(index: pathlib.Path) -> None:
    """Own INBOX: all of them; a mailbox one cannot see: no such mailbox, status 1."""
    done = run("rights", index, "alice", "INBOX")
    assert (done.returncode, done.stdout) == (0, b"lrswipkxtecdan\n")
    refused = run("rights", index, "zoe", "Other Users/alice/Sent")
    assert (refused.returncode, refused.stdout) == (1, b"")
    assert error_of(refused) == "zoe sees no mailbox Other Users/alice/Sent"
    as_json = run("rights", index, "zoe", "Other Users/alice/Sent", "--json")
    assert as_json.returncode == 1
    assert json_lines(as_json) == [{"mailbox": "Other Users/alice/Sent", "user": "zoe", "rights": None}]


def test_who_prints_the_acl_of_those_who_can_see(index: pathlib.Path) -> None:
    """One identifier a line, as the ACL in the recorded dump has it."""
    dump = json.loads(gzip.decompress((DATA / "dump.json.gz").read_bytes()))
    done = run("who", index, "pub.x")
    rows = dict(line.split("\t") for line in done.stdout.decode().splitlines())
    acl = dump["pub.x"]["acl"]
    assert rows == {identifier: rights for identifier, rights in acl.items() if "l" in rights}
    objects = json_lines(run("who", index, "pub.x", "--json"))
    assert {item["identifier"]: item["rights"] for item in objects} == rows


def test_who_has_no_answer_for_what_is_not_there(index: pathlib.Path) -> None:
    """Status 1, and a hint where an external name was given."""
    missing, external = run("who", index, "user.nobody"), run("who", index, "Other Users/alice")
    assert (missing.returncode, external.returncode) == (1, 1)
    assert error_of(missing) == "there is no mailbox user.nobody"
    assert "internal name" in error_of(external)


# --- imap ---


def test_imap_answers_line_by_line(index: pathlib.Path) -> None:
    """Untagged lines and the status line, whatever comes in between."""
    commands = b'LIST "" INBOX\nmyrights inbox\r\nGETACL nowhere\n\n\xff\x00\xfe\nNAMESPACE'
    done = run("imap", index, "alice", stdin=commands)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.split(b"\r\n") == [
        b'* LIST (\\HasChildren) "/" INBOX',
        b"OK Completed",
        b"* MYRIGHTS inbox lrswipkxtecdan",
        b"OK Completed",
        b"NO Mailbox does not exist",
        b"BAD Null command",
        b"BAD Invalid NUL in command",
        b'* NAMESPACE (("" "/")) (("Other Users/" "/")) (("Shared Folders/" "/"))',
        b"OK Completed",
        b"",
    ]


@pytest.mark.parametrize(
    "command", [b'LIST "" {5}\r\nINBOX\r\n', b"LIST {0+}\n {5+}\nINBOX\n", b'LIST "" {5+}\r\nINBOX']
)
def test_imap_reads_literals_over_lines(index: pathlib.Path, command: bytes) -> None:
    """A literal of either kind goes on with its octets and the line after them, whatever the line ends are."""
    done = run("imap", index, "alice", stdin=command)
    assert done.stdout == b'* LIST (\\HasChildren) "/" INBOX\r\nOK Completed\r\n'


def test_imap_refuses_what_is_too_long_and_goes_on(index: pathlib.Path) -> None:
    """A line or literal beyond a MiB is passed over and answered BAD; the next command is answered as ever."""
    flood = b"A" * (3 << 20)
    literal = b'LIST "" {%d+}\r\n' % len(flood) + flood + b"\r\n"
    done = run("imap", index, "alice", stdin=flood + b"\n" + literal + b"MYRIGHTS INBOX\n")
    lines = done.stdout.split(b"\r\n")
    assert lines[0] == b"BAD Command too long"
    assert lines[1] == b"BAD Command too long"
    assert lines[-3:-1] == [b"* MYRIGHTS INBOX lrswipkxtecdan", b"OK Completed"]


# --- verify, check, stat ---


def test_verify_finds_differences_and_says_so(index: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """Equal: status 0. Another source: every mailbox only one of them has, status 1."""
    same = run("verify", index, DATA / "mailboxes.db")
    assert (same.returncode, same.stdout) == (0, b"no differences\n")
    lone = tmp_path / "lone.db"
    lone.write_bytes(b"Nuser\x1fnew\t%(T e P default V 1 M 1 A %(new lrs))\n")
    differs = run("verify", index, lone)
    assert differs.returncode == 1
    lines = differs.stdout.decode().splitlines()
    assert "user.new: only in the source" in lines
    assert "user.alice: only in the index" in lines
    assert lines[-1] == "407 differences"
    objects = json_lines(run("verify", index, lone, "--json"))
    assert len(objects) == 407
    (new,) = [item for item in objects if item["name"] == "user.new"]
    assert new["index"] is None
    assert new["source"]["acl"] == {"new": "lrs"}


def test_check_finds_a_recorded_index_healthy(index: pathlib.Path) -> None:
    """Nothing to say to programs, one word to people."""
    assert run("check", index).stdout == b"healthy\n"
    assert json_lines(run("check", index, "--json")) == []


def test_stat_says_where_the_index_stands(index: pathlib.Path) -> None:
    """Counts, source and options, to people and to programs."""
    text = run("stat", index).stdout.decode()
    for expected in ("mailboxes     406", "twoskip version 1, generation 6", "admins: cyrus admin", "postings"):
        assert expected in text
    (stat,) = json_lines(run("stat", index, "--json"))
    assert (stat["mailboxes"], stat["checkpoint"]["format"], stat["readers_lag"]) == (406, "twoskip", 0)
    assert stat["config"]["unixhierarchysep"] is True


# --- dump, records ---


def test_dump_is_what_cyrus_printed(index: pathlib.Path) -> None:
    """Octet for octet the recorded output of `ctl_mboxlist -d`."""
    assert run("dump", index).stdout == gzip.decompress((DATA / "dump.json.gz").read_bytes())


def test_records_are_what_cyrus_printed() -> None:
    """Octet for octet the recorded output of `cyr_dbtool show`."""
    assert run("records", DATA / "mailboxes.db").stdout == gzip.decompress((DATA / "show.txt.gz").read_bytes())


def test_records_of_a_flat_file_stand_as_its_server_sorted_them(tmp_path: pathlib.Path) -> None:
    """Cyrus puts '.' before every other octet and prints the lines as they are: so do we."""
    lines = b"NW\x1ffoo.bar\t1\nNW\x1ffoo\x1fin\t2\nNW\x1ffoo bar\t3\n"
    (tmp_path / "db").write_bytes(lines)
    assert run("records", tmp_path / "db").stdout == lines


def test_records_reads_every_kind_of_cyrus_database() -> None:
    """A user's subscriptions (flat) and the annotations (twoskip) as well."""
    for path in (*DATA.glob("subs/*.sub.db"), DATA / "annotations.db"):
        done = run("records", path)
        assert done.returncode == 0
        assert b"\t" in done.stdout
