"""pyxlist.errors: the hierarchy, the one-line texts and pickling."""

from __future__ import annotations

import pickle

import pytest

from pyxlist import errors


def test_str_says_what_where_expected_got_and_remedy() -> None:
    """A located error prints all five parts, in one line and in reading order."""
    error = errors.CorruptSourceError(
        "checksum differs", path="/m/mailboxes.db", offset=64, expected=7, got=9, remedy="rebuild it"
    )
    assert str(error) == "/m/mailboxes.db, offset 64: checksum differs; expected 7, got 9; rebuild it"


def test_str_leaves_out_what_is_not_known() -> None:
    """Parts that were not given leave no punctuation behind."""
    assert str(errors.SourceError("cannot open")) == "cannot open"
    assert str(errors.SourceError("odd", offset=0)) == "offset 0: odd"
    assert str(errors.StoreError("old", got=1)) == "old; got 1"


def test_str_is_one_printable_line_for_hostile_values() -> None:
    """Octets and control characters of a damaged file cannot break the log line or flood it."""
    error = errors.SourceError("bad\nline", path="a\rb", expected=b"\xa1\n", got="x" * 5000)
    text = str(error)
    assert "\n" not in text and "\r" not in text
    assert "bad\\x0aline" in text and "b'\\xa1\\n'" in text
    assert len(text) < 1000


@pytest.mark.parametrize(
    "error",
    [
        errors.CorruptSourceError("m", path="p", offset=3, expected=b"e", got="g", remedy="r"),
        errors.StoreBusyError("busy", path="i"),
        errors.GapError("gone", path="p", offset=9),
        errors.CommandError("Unrecognized command"),
        errors.CommandError("Permission denied", "NO"),
        errors.MailboxExists("user.anna.Sent"),
        errors.MailboxHasChildren("user.anna"),
    ],
)
def test_pickling_keeps_type_text_and_attributes(error: errors.PyxlistError) -> None:
    """An error that crosses a process boundary arrives as the same type with the same attributes."""
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)


def test_command_error_text_is_one_line() -> None:
    """A client cannot inject a second response line through the text of its own refusal."""
    error = errors.CommandError('Invalid List selection option "a\r\n* OK b"')
    assert "\r" not in error.text and "\n" not in error.text
    assert error.status == "BAD"


@pytest.mark.parametrize(
    ("child", "parent"),
    [
        (errors.SourceError, errors.PyxlistError),
        (errors.CorruptSourceError, errors.SourceError),
        (errors.UnsupportedSourceError, errors.SourceError),
        (errors.StoreError, errors.PyxlistError),
        (errors.StoreVersionError, errors.StoreError),
        (errors.StoreDamagedError, errors.StoreError),
        (errors.StoreFullError, errors.StoreError),
        (errors.StoreBusyError, errors.StoreError),
        (errors.CommandError, errors.PyxlistError),
        (errors.GapError, errors.PyxlistError),
        (errors.MailboxError, errors.PyxlistError),
        (errors.MailboxExists, errors.MailboxError),
        (errors.MailboxMissing, errors.MailboxError),
        (errors.MailboxHasChildren, errors.MailboxError),
    ],
)
def test_hierarchy(child: type[Exception], parent: type[Exception]) -> None:
    """Callers may catch as coarsely or as finely as the design says."""
    assert issubclass(child, parent)


def test_every_public_error_is_exported() -> None:
    """`__all__` names every public exception class, so documentation and imports agree."""
    defined = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, Exception) and not name.startswith("_")
    }
    assert defined == set(errors.__all__)
