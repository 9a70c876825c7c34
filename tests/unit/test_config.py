"""pyxlist.config: imapd.conf syntax, Cyrus' defaults and spellings, and the stored form."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyxlist.config import Config
from pyxlist.errors import SourceError

Reader = Callable[..., Config]


@pytest.fixture
def read(tmp_path: Path) -> Reader:
    """Write the given text as imapd.conf and read it back as a Config."""

    def read_text(text: str, **keywords: str) -> Config:
        path = tmp_path / "imapd.conf"
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
        return Config.from_imapd_conf(path, **keywords)

    return read_text


def test_defaults_are_those_of_cyrus_3_6(read: Reader) -> None:
    """An empty imapd.conf means alternate namespace, unix separator, no virtual domains, and no admins."""
    config = read("")
    assert config == Config()
    assert (config.altnamespace, config.unixhierarchysep, config.virtdomains) == (True, True, "off")
    assert (config.userprefix, config.sharedprefix) == ("Other Users", "Shared Folders")
    assert (config.altprefix, config.deletedprefix) == ("Alt Folders", "DELETED")
    assert (config.implicit_owner_rights, config.deleteright) == ("lkxan", "c")
    assert config.defaultdomain == "internal"
    assert (config.username_tolower, config.specialusealways, config.admins) == (True, True, ())
    assert (config.mboxlist_db, config.subscription_db) == ("twoskip", "flat")


def test_syntax_comments_blanks_case_and_space(read: Reader) -> None:
    """Comments and blank lines are skipped, names are case-blind, values are trimmed, unknown options
    ignored.
    """
    config = read(
        "# a comment\r\n\n   \n  AltNamespace:no  \r\nuserprefix:   Andere Leute \t\n"
        "#x\nadmins: cyrus\tadmin  group:ops\n"
        "partition-default: /srv\nsasl_mech_list: PLAIN\nreverseacls: 1\nunknown_thing: \\x\n"
    )
    admins = ("cyrus", "admin", "group:ops")
    assert config == Config(altnamespace=False, userprefix="Andere Leute", admins=admins)


def test_value_may_contain_colon_hash_and_eight_bit(read: Reader) -> None:
    """Only the first colon separates, # starts a comment only at the line's start, and any octet survives."""
    config = read("calendarprefix: #cal:x\nsieve_folder: caf\udce9\n")
    assert config.calendarprefix == "#cal:x"
    assert config.sieve_folder == "caf\udce9"


def test_later_line_wins(read: Reader) -> None:
    """Of two lines for one option the later one counts."""
    assert read("altnamespace: 0\naltnamespace: 1\naltnamespace: no\n").altnamespace is False


def test_continuation_line(read: Reader) -> None:
    """A backslash at the very end of a line joins it with the next one."""
    assert read("admins: cyrus \\\nadmin\nfoolstupidclients: yes\n").admins == ("cyrus", "admin")


@pytest.mark.parametrize("service", ["imap", "IMAP"])
def test_service_prefix_beats_plain_option_in_any_order(read: Reader, service: str) -> None:
    """`imap_altnamespace` counts for service imap whichever line comes first; other services' options do
    not.
    """
    text = "imap_altnamespace: no\naltnamespace: yes\nlmtp_unixhierarchysep: no\n"
    assert read(text, service=service) == Config(altnamespace=False)
    assert read("altnamespace: yes\nimap_altnamespace: no\n", service=service).altnamespace is False
    assert read("imap_altnamespace: no\n", service="lmtp").altnamespace is True


@pytest.mark.parametrize(
    ("text", "value"),
    [(text, True) for text in ("1", "yes", "on", "true", "t", "y")]
    + [(text, False) for text in ("0", "no", "off", "false", "f", "nein")],
)
def test_switch_spellings(read: Reader, text: str, value: bool) -> None:
    """Switches are read by their first letters, as Cyrus does."""
    assert read(f"crossdomains: {text}\n").crossdomains is value


@pytest.mark.parametrize(
    ("text", "value"),
    [(text, "off") for text in ("off", "no", "0", "f", "false")]
    + [(text, "on") for text in ("on", "yes", "1", "t", "true")]
    + [("userid", "userid")],
)
def test_virtdomains_spellings(read: Reader, text: str, value: str) -> None:
    """virtdomains takes off, userid and on, the outer two also spelled like switches."""
    assert read(f"virtdomains: {text}\n").virtdomains == value


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("\naltnamespace yes\n", 2, "invalid option name"),
        ("a b: c\n", 1, "invalid option name"),
        ("admins:\n", 1, "empty value"),
        ("admins: x\nuserprefix:   \n", 2, "empty value"),
        ("altnamespace: maybe\n", 1, "yes or no"),
        ("virtdomains: y\n", 1, "userid"),
        ("#\n#\nmboxlist_db: berkeley\n", 3, "twoskip"),
        ("@exclude: x\n", 1, "invalid directive"),
    ],
)
def test_bad_line_names_file_and_line(read: Reader, text: str, line: int, words: str) -> None:
    """What Cyrus would not start with is one SourceError that names the file, the line and what is wrong."""
    with pytest.raises(SourceError) as caught:
        read(text)
    assert f"imapd.conf: line {line}: " in str(caught.value)
    assert words in str(caught.value)


def test_missing_and_unreadable_files(tmp_path: Path) -> None:
    """A missing file, a directory and a binary file are SourceErrors that name the path."""
    (tmp_path / "binary").write_bytes(b"a: b\n\0")
    for name in ("missing", ".", "binary"):
        with pytest.raises(SourceError) as caught:
            Config.from_imapd_conf(tmp_path / name)
        assert str(tmp_path) in str(caught.value)


def test_include_takes_the_place_of_its_line(tmp_path: Path) -> None:
    """Included options come where the directive stands: after what precedes it, before what follows it."""
    (tmp_path / "extra.conf").write_text("altnamespace: no\nuserprefix: Them\n")
    (tmp_path / "imapd.conf").write_text(
        f"altnamespace: yes\n@include: {tmp_path}/extra.conf\nuserprefix: Others\nadmins: cyrus\n"
    )
    config = Config.from_imapd_conf(tmp_path / "imapd.conf")
    assert config == Config(altnamespace=False, userprefix="Others", admins=("cyrus",))


def test_include_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path is looked for in the working directory first, then beside the including file."""
    (tmp_path / "cwd").mkdir()
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "imapd.conf").write_text("@include: extra.conf\n")
    (tmp_path / "etc" / "extra.conf").write_text("userprefix: Beside\n")
    monkeypatch.chdir(tmp_path / "cwd")
    assert Config.from_imapd_conf(tmp_path / "etc" / "imapd.conf").userprefix == "Beside"
    (tmp_path / "cwd" / "extra.conf").write_text("userprefix: Working\n")
    assert Config.from_imapd_conf(tmp_path / "etc" / "imapd.conf").userprefix == "Working"


def test_include_loops_and_missing_includes_are_refused(tmp_path: Path) -> None:
    """A file that includes itself, directly or by another name, is refused, and so is a missing include."""
    (tmp_path / "a").write_text(f"@include: {tmp_path}/b\n")
    (tmp_path / "b").write_text(f"x: y\n@include: {tmp_path}/../{tmp_path.name}/a\n")
    with pytest.raises(SourceError, match=r"b: line 2: .*included twice"):
        Config.from_imapd_conf(tmp_path / "a")
    (tmp_path / "a").write_text(f"@include: {tmp_path}/none\n")
    with pytest.raises(SourceError, match="none: cannot open"):
        Config.from_imapd_conf(tmp_path / "a")


@pytest.mark.parametrize(
    "options",
    [
        "userprefix: a/b",
        "sharedprefix: " + "x" * 40,
        "sharedprefix: Other",
        'userprefix: a"b',
        "unixhierarchysep: no\nsharedprefix: a.b",
    ],
)
def test_impossible_prefixes_are_refused_in_altnamespace_only(read: Reader, options: str) -> None:
    """Prefixes Cyrus refuses at login are refused here; outside altnamespace they are not used, hence not
    checked.
    """
    with pytest.raises(SourceError, match="prefix"):
        read(options + "\n")
    assert read(options + "\naltnamespace: no\n").altnamespace is False


def test_dict_round_trip_is_plain(read: Reader) -> None:
    """The stored form holds only bool, str and list, and gives an equal Config back."""
    config = read("admins: a b\nvirtdomains: userid\ncrossdomains: 1\n")
    stored = config.to_dict()
    assert {type(value) for value in stored.values()} <= {bool, str, list}
    assert Config.from_dict(stored) == config
    assert Config.from_dict({}) == Config()


@pytest.mark.parametrize(
    "stored",
    [
        {"nosuchoption": 1},
        {"altnamespace": 1},
        {"admins": [1]},
        {"virtdomains": "yes"},
        {"userprefix": b"x"},
        {1: 2},
    ],
)
def test_from_dict_refuses_unknown_keys_and_wrong_types(stored: dict[str, object]) -> None:
    """A stored configuration this release cannot honour is a ValueError, not a silently different answer."""
    with pytest.raises(ValueError):
        Config.from_dict(stored)


def test_config_is_a_hashable_value() -> None:
    """Configs are frozen, comparable and hashable, also when admins came as a list."""
    assert hash(Config(admins=["a"])) == hash(Config(admins=("a",)))  # type: ignore[arg-type]
    with pytest.raises(AttributeError):
        Config().altnamespace = False  # type: ignore[misc]


def test_is_admin_matches_identifiers() -> None:
    """admins holds identifiers: a userid, a group, or anyone; case counts."""
    config = Config(admins=("cyrus", "group:ops"))
    assert config.is_admin("cyrus") and config.is_admin("bob", ("staff", "ops"))
    assert not config.is_admin("Cyrus") and not config.is_admin("ops")
    assert not config.is_admin("bob", ("staff",))
    assert Config(admins=("anyone",)).is_admin("bob")


def test_dav_folders() -> None:
    """The hidden first components follow their options; RECURSIVEMATCH knows the five without JMAP."""
    config = Config(sieve_folder="#scripts")
    assert set(config.dav_folders_recursivematch) == {
        "#calendars", "#addressbooks", "#drive", "#notifications", "#scripts",
    }  # fmt: skip
    assert set(config.dav_folders) - set(config.dav_folders_recursivematch) == {
        "#jmap", "#jmapsubmission", "#jmappushsubscription",
    }  # fmt: skip


OPTIONS = st.sampled_from(
    [b"unixhierarchysep", b"altnamespace", b"virtdomains", b"admins", b"defaultdomain", b"@include"]
)
LINES = st.tuples(OPTIONS, st.sampled_from([b":", b": ", b" ", b" : ", b""]), st.binary(max_size=12)).map(b"".join)


@given(st.binary(max_size=120) | st.lists(LINES | st.binary(max_size=8), max_size=6).map(b"\n".join))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_octets_are_a_config_or_a_source_error(tmp_path: Path, octets: bytes) -> None:
    """Whatever an imapd.conf holds, it is a Config or a SourceError that names the file."""
    path = tmp_path / "imapd.conf"
    path.write_bytes(octets)
    try:
        assert isinstance(Config.from_imapd_conf(path), Config)
    except SourceError as error:
        assert str(error)
