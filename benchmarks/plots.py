"""Results as plots that a person can read: small SVG files with text as text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.measure import Result

__all__ = ["draw"]

_INK, _GRID = "#333333", "#dddddd"
_COLOURS = {"pyxlist": "#1b6ca8", "SQLite": "#d17a22", "scan": "#8c8c8c", "imapd": "#a83232", "floor": "#5a9e6f"}


def draw(results: Sequence[Result], folder: Path) -> None:
    """Draw what the results allow into `folder`: plots whose question was not asked are left as they are."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams.update({
        "svg.fonttype": "none", "svg.hashsalt": "pyxlist", "font.family": "sans-serif", "font.size": 10,
        "text.color": _INK, "axes.edgecolor": _INK, "axes.labelcolor": _INK, "xtick.color": _INK, "ytick.color": _INK,
        "axes.spines.top": False, "axes.spines.right": False, "figure.facecolor": "white",
    })  # fmt: skip
    folder.mkdir(exist_ok=True)
    for name, plot in (("list", _by_size), ("build", _build), ("change", _change), ("memory", _memory)):
        figure = plot(results)
        if figure is not None:
            figure.savefig(folder / f"bench-{name}.svg", metadata={"Date": None}, bbox_inches="tight")


def _axes(title: str, height: float = 2.8) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, height))
    axes = figure.subplots()
    axes.set_title(title, loc="left", fontsize=11)
    axes.set_axisbelow(True)
    return figure, axes


def _users(result: Result) -> int:
    return int(result.what.split(", ")[1].split()[0].replace(",", ""))


def _by_size(results: Sequence[Result]) -> Any:
    """LIST by users of the server, a line for each contender; both axes logarithmic."""
    lines: dict[str, dict[int, float]] = {}
    for result in results:
        if result.question == "growth":
            lines.setdefault("pyxlist", {})[_users(result)] = result.measured
        elif result.question == "peers":
            lines.setdefault(result.what.split(", ")[2], {})[_users(result)] = result.measured
            lines.setdefault("pyxlist", {}).setdefault(_users(result), result.baseline)
        elif result.question == "servers" and "*" in result.what and result.what.startswith("imapd"):
            name, _command, users, rows, _way = result.what.split(", ")
            lines.setdefault(f"{name}, {rows}", {})[int(users.split()[0].replace(",", ""))] = result.measured
    if not lines:
        return None
    figure, axes = _axes('LIST "" "*" of an ordinary user', 3.4)
    for name, points in lines.items():
        sizes = sorted(points)
        colour = next((colour for key, colour in _COLOURS.items() if name.startswith(key)), _INK)
        axes.plot(sizes, [points[size] for size in sizes], "o-", color=colour, markersize=4)
        axes.annotate(
            name, (sizes[-1], points[sizes[-1]]), (6, 0), textcoords="offset points", va="center", color=colour
        )
    axes.set(xscale="log", yscale="log", xlabel="users (seven mailboxes each)", ylabel="microseconds")
    axes.minorticks_off()
    axes.grid(True, color=_GRID, linewidth=0.6)
    return figure


def _bars(title: str, unit: str, bars: list[tuple[str, float, str]], log: bool = False) -> Any:
    if not bars:
        return None
    figure, axes = _axes(title, 0.9 + 0.36 * len(bars))
    names = [name for name, _value, _colour in bars][::-1]
    values = [value for _name, value, _colour in bars][::-1]
    axes.barh(names, values, color=[colour for _name, _value, colour in bars][::-1], height=0.62)
    for row, value in enumerate(values):
        label = f" {value:,.0f}" if value >= 100 else f" {value:.3g}"
        axes.text(value, row, label, va="center")
    axes.set_xlabel(unit)
    if log:
        axes.set_xscale("log")
    axes.minorticks_off()
    axes.margins(x=0.12)
    axes.tick_params(axis="y", length=0)
    return figure


def _picked(results: Sequence[Result], *wanted: tuple[str, str]) -> list[Result]:
    """The first result of each (question, beginning of what); nothing at all if one is missing."""
    found = [
        next((result for result in results if result.question == question and result.what.startswith(what)), None)
        for question, what in wanted
    ]
    return [result for result in found if result is not None] if None not in found else []


def _sqlite(results: Sequence[Result], name: str, what: str) -> list[tuple[str, float, str]]:
    """A bar of SQLite's, if it was asked."""
    return [(f"SQLite: {name}", peer.measured, _COLOURS["SQLite"]) for peer in _picked(results, ("SQLite", what))]


def _bars_of(colour: str, *bars: tuple[str, float]) -> list[tuple[str, float, str]]:
    return [(name, value, _COLOURS[colour]) for name, value in bars]


def _build(results: Sequence[Result]) -> Any:
    picked = _picked(results, ("build", "build"), ("build", "parse"), ("build", "build by difference, 1 "))
    if not picked:
        return None
    build, parse, one = picked
    floor = _bars_of("floor", ("read and one CRC", parse.baseline), ("read, CRC and raw append", build.baseline))
    ours = _bars_of(
        "pyxlist", ("pyxlist: parse alone", parse.measured), ("pyxlist: build by difference, 1 change", one.measured),
        ("pyxlist: build", build.measured),
    )  # fmt: skip
    bars = [*floor, *ours, *_sqlite(results, "build", "build")]
    return _bars("Building the index", "seconds, logarithmic", bars, log=True)


def _change(results: Sequence[Result]) -> Any:
    picked = _picked(results, ("change", "one durable"), ("change", "the same in SQLite"))
    if not picked:
        return None
    ours, theirs = picked
    return _bars("One durable ACL change", "microseconds", [
        *_bars_of("floor", ("one durable py-lmdb put", ours.baseline)),
        *_bars_of("pyxlist", ("pyxlist: all tables", ours.measured)),
        *_bars_of("SQLite", ("SQLite: one posting", theirs.measured)),
    ])  # fmt: skip


def _memory(results: Sequence[Result]) -> Any:
    picked = _picked(results, ("build", "peak memory"), ("build", "index"), ("sharing", "private memory"))
    if not picked:
        return None
    peak, index, reader = picked
    ours = _bars_of(
        "pyxlist", ("peak memory of a build", peak.measured), ("index on disk", index.measured),
        ("private memory of a reader", reader.measured),
    )  # fmt: skip
    bars = [*_bars_of("floor", ("mailboxes.db", peak.baseline)), *ours, *_sqlite(results, "on disk", "size")]
    return _bars("Memory and disk", "MB", bars)
