"""Results as a table for people and as JSON for programs."""

from __future__ import annotations

import functools
import json
import os
import platform
import subprocess
import time
from pathlib import Path
from typing import Any

import lmdb
from rich.console import Console
from rich.table import Table

from benchmarks.measure import Result
from benchmarks.plan import Plan

__all__ = ["save", "show", "write_table"]

_MOST_LINES, _FEW_LINES = 12, 4
_BEGIN, _END = "<!-- bench: begin -->", "<!-- bench: end -->"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def show(results: list[Result]) -> None:
    """The table: each number beside its baseline, with the bar and whether it is met."""
    table = Table(title="Measured beside their baselines, medians", title_justify="left")
    for name, side in (("question", "left"), ("what", "left"), ("measured", "right"), ("against", "left"),
                       ("baseline", "right"), ("unit", "left"), ("ratio", "right"), ("bar", "right"),
                       ("verdict", "left")):  # fmt: skip
        table.add_column(name, justify="right" if side == "right" else "left", overflow="fold")
    for r in results:
        bar = "" if r.bar is None else f"{'>=' if r.at_least else '<='} {r.bar:g}"
        table.add_row(r.question, r.what, _number(r.measured), r.against, _number(r.baseline), r.unit,
                      _number(r.ratio), bar, r.verdict)  # fmt: skip
    Console(width=None if os.isatty(1) else 180).print(table)


def write_table(path: Path, plan: Plan, asked: dict[str, list[Result]]) -> None:
    """Replace what stands between the marks in a Markdown file by a table and the plots that lie in `docs` beside
    the file.  The table has a row for each bar; where a question has very many, for the worst.

    Raises ValueError where the marks are missing.
    """
    text = path.read_text(encoding="utf-8")
    before, begin, rest = text.partition(_BEGIN)
    _old, end, after = rest.partition(_END)
    if not begin or not end:
        raise ValueError(f"{path}: expected the marks {_BEGIN} and {_END}")
    lines = ["| what | measured | beside | | ratio | bar | | `--only` |", "|---|--:|---|--:|--:|--:|---|---|"]
    for name, results in asked.items():
        for r in _worst(results):
            bar = f"{'≥' if r.at_least else '≤'} {r.bar:,g}"
            lines.append(
                f"| {r.what} | {_number(r.measured)} {r.unit} | {r.against} | {_number(r.baseline)} {r.unit} "
                f"| {_number(r.ratio)} | {bar} | {r.verdict} | {name} |"
            )
    plots = sorted((path.parent / "docs").glob("bench-*.svg"))
    lines += ["", *(f"![{plot.stem.removeprefix('bench-')}](docs/{plot.name})" for plot in plots)]
    machine = _machine()
    lines += [
        "",
        f"Commit {_commit()}; {machine['processors']} processors ({machine['processor']}), Python {machine['python']}, "
        f"Linux {machine['system']}; medians; a main world of {plan.main.users:,} users.",
    ]
    path.write_text(before + begin + "\n" + "\n".join(lines) + "\n" + end + after, encoding="utf-8")


def _worst(results: list[Result]) -> list[Result]:
    """What a question's answers are to show: all that have a bar; of very many only those nearest to it or beyond."""
    barred = [result for result in results if result.bar is not None]
    if len(barred) <= _MOST_LINES:
        return barred
    return sorted(barred, key=lambda result: result.ratio, reverse=True)[:_FEW_LINES]


@functools.cache
def _commit() -> str:
    """What was measured, as it was before the plots and the table of the README were written."""
    here = Path(__file__).parent
    run = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=here, capture_output=True, text=True, check=False
    )
    return run.stdout.strip() or "unknown"


def _machine() -> dict[str, Any]:
    model = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if "model name" in line
    ]
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "processor": model[0] if model else platform.processor(),
        "processors": os.cpu_count(),
        "memory_bytes": memory,
        "system": platform.release(),
        "python": platform.python_version(),
        "lmdb": lmdb.version(),
    }


def save(folder: Path, plan: Plan, results: list[Result]) -> Path:
    """Write what was measured, on which machine, from which commit, in which worlds; the file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{time.strftime('%Y%m%d-%H%M%S')}.json"
    content = {
        "commit": _commit(),
        "machine": _machine(),
        "worlds": {name: repr(getattr(plan, name)) for name in ("main", "public", "wide", "worst", "sizes")},
        "results": [{**result._asdict(), "verdict": result.verdict} for result in results],
    }
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")
    return path
