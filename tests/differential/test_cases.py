"""What a real Cyrus answered to questions that once were answered differently."""

from __future__ import annotations

import pathlib

import pytest

from .cases import Case, all_cases


@pytest.mark.parametrize("path", all_cases(), ids=lambda path: path.stem)
def test_the_case_is_answered_as_the_server_did(path: pathlib.Path) -> None:
    """Every recorded answer, octet for octet, without a server."""
    case = Case.load(path)
    assert case.answers() == list(case.questions)


def test_there_are_cases() -> None:
    """The corpus was found, and every case says what it is about."""
    cases = [Case.load(path) for path in all_cases()]
    assert len(cases) >= 10
    assert all(case.about and case.questions for case in cases)
