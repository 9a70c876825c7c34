"""Cases: small worlds with questions and a real server's answers, kept as JSON and replayed without one.

    python -m tests.differential.cases FILE…     asks a private Cyrus every question anew, and writes what it says

Octets are spelt as latin-1 text; options are those that are not Cyrus' default.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import sys
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any, Final

import pyxlist
from tests.worlds import GROUPS, USUAL, World, groups_of

from .host import Comparable, Host, comparable
from .server import Server, reachable_folder

FOLDER: Final = pathlib.Path(__file__).resolve().parent.parent / "data" / "differential"


@dataclasses.dataclass(frozen=True)
class Question:
    """Who asks what, and what the server answered."""

    userid: str
    command: bytes
    answer: Comparable


@dataclasses.dataclass(frozen=True)
class Case:
    """A world under one configuration, and questions."""

    about: str
    options: Mapping[str, str]
    world: World
    questions: tuple[Question, ...]

    @classmethod
    def load(cls, path: pathlib.Path) -> Case:
        """The case in a file."""
        data = json.loads(path.read_text(encoding="utf-8"))
        questions = (
            Question(one["userid"], one["command"].encode("latin-1"), _answer(one["answer"]))
            for one in data["questions"]
        )
        return cls(data["about"], data["options"], World.from_json(data["world"]), tuple(questions))

    def save(self, path: pathlib.Path) -> None:
        """Write the case, so that a later difference is easy to read."""
        data = {
            "about": self.about,
            "options": {name: text for name, text in self.options.items() if USUAL.get(name) != text},
            "world": self.world.to_json(),
            "questions": [_plain(question) for question in self.questions],
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")

    def answers(self) -> list[Question]:
        """The same questions with the package's answers."""
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            conf = folder / "imapd.conf"
            conf.write_text("".join(f"{option}: {text}\n" for option, text in {**USUAL, **self.options}.items()))
            companions = self.world.write(folder)
            config = pyxlist.Config.from_imapd_conf(conf)
            pyxlist.build(folder / "mailboxes.db", folder / "index", config=config, **companions)
            with pyxlist.open(folder / "index") as index:
                assert list(index.check()) == []
                return [dataclasses.replace(one, answer=_ask(index, one)) for one in self.questions]

    def served(self, host: Host, number: int) -> Case:
        """The same questions with the answers of a server that has this configuration as `number`."""
        host.install(self.world)
        asked = (
            dataclasses.replace(one, answer=host.ask(one.userid, number, [one.command])[0]) for one in self.questions
        )
        return dataclasses.replace(self, questions=tuple(asked))


def _ask(index: pyxlist.Index, question: Question) -> Comparable:
    view = index.view(question.userid, groups=groups_of(question.userid))
    return comparable(*view.respond(question.command))


def _answer(data: Mapping[str, Any]) -> Comparable:
    return data["status"], data["text"], "".join(data["untagged"]).encode("latin-1")


def _plain(question: Question) -> dict[str, Any]:
    status, text, untagged = question.answer
    lines = untagged.decode("latin-1").split("\r\n")
    answer = {"status": status, "text": text, "untagged": [line + "\r\n" for line in lines[:-1]]}
    return {"userid": question.userid, "command": question.command.decode("latin-1"), "answer": answer}


def all_cases() -> list[pathlib.Path]:
    """The files of the corpus."""
    return sorted(FOLDER.glob("*.json"))


def main(paths: Sequence[str]) -> int:
    """Record the answers of cases anew."""
    cases = {pathlib.Path(path): Case.load(pathlib.Path(path)) for path in paths}
    configurations = [{**USUAL, **case.options} for case in cases.values()]
    with reachable_folder() as folder, Server(folder / "server", configurations, GROUPS) as server:
        host = Host(server)
        for number, (path, case) in enumerate(cases.items()):
            case.served(host, number).save(path)
        host.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
