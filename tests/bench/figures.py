"""Figures by rounds: their medians, their ratios, the goals, the table, and what got worse.

Within a round every subject is measured, one after the other, so that a ratio compares neighbours in
time: it survives a machine whose speed drifts, which an absolute figure does not.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

OURS, PEER = "ours", "peer"

# A change of a ratio by less than this is nothing, however still the machine was.
LEAST_CHANGE = 0.03


@dataclass(frozen=True)
class Goal:
    """A ratio of ours to `against`, at most."""

    at_most: float
    against: str = PEER


@dataclass(frozen=True)
class Spread:
    """A median, and the quartiles around it: half of the rounds lie between them."""

    median: float
    low: float
    high: float
    rounds: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        middle = statistics.median(values)
        if len(values) < 2:
            return cls(middle, middle, middle, len(values))
        low, _, high = statistics.quantiles(values, n=4, method="inclusive")
        return cls(middle, low, high, len(values))

    def json(self) -> dict[str, float]:
        return {"median": _short(self.median), "low": _short(self.low), "high": _short(self.high),
                "rounds": self.rounds}


@dataclass
class Figure:
    """One thing that is measured; less of it is better. A subject's values are one a round."""

    name: str
    unit: str
    values: dict[str, list[float]] = field(default_factory=dict)
    goal: Goal | None = None

    def spread(self, subject: str) -> Spread | None:
        return Spread.of(self.values[subject]) if self.values.get(subject) else None

    def ratio(self, against: str) -> Spread | None:
        """Of ours to another's, round by round; None if one of them was not measured."""
        ours, others = self.values.get(OURS), self.values.get(against)
        if not ours or not others:
            return None
        ratios = [mine / other for mine, other in zip(ours, others, strict=True) if other]
        return Spread.of(ratios) if ratios else None

    def met(self) -> bool | None:
        """None if there is no goal, or nothing to hold it against."""
        ratio = self.goal and self.ratio(self.goal.against)
        return round(ratio.median, 2) <= self.goal.at_most if ratio else None

    def bases(self) -> list[str]:
        return [subject for subject in self.values if subject not in (OURS, PEER)]

    def json(self) -> dict[str, Any]:
        ratios = {name: ratio for name in self.values if name != OURS and (ratio := self.ratio(name))}
        result: dict[str, Any] = {
            "figure": self.name, "unit": self.unit,
            "subjects": {name: self.spread(name).json() for name in self.values},
            "ratios": {name: ratio.json() for name, ratio in ratios.items()},
        }
        if self.goal:
            result |= {"goal": self.goal.at_most, "goal_against": self.goal.against, "met": self.met()}
        return result


class Board:
    """All figures of a run, in the order in which they were first measured."""

    def __init__(self, goals: dict[str, Goal]):
        self._goals = goals
        self._figures: dict[str, Figure] = {}

    def add(self, name: str, unit: str, subject: str, value: float) -> None:
        figure = self._figures.setdefault(name, Figure(name, unit, goal=self._goals.get(name)))
        figure.values.setdefault(subject, []).append(value)

    @property
    def figures(self) -> list[Figure]:
        return list(self._figures.values())


def table(figures: Sequence[Figure]) -> str:
    """At most 100 columns, for the figures that the scenarios have."""
    lines = [["", OURS, PEER, "ratio", "goal", "met", "base", "ratio", "base is"]]
    for figure in figures:
        peer = figure.ratio(PEER)
        goal = figure.goal
        bases: list[str | None] = [*figure.bases()] or [None]
        for number, base in enumerate(bases):
            first = number == 0
            base_ratio = figure.ratio(base) if base else None
            lines.append([
                f"{figure.name}, {figure.unit}" if first else "",
                _amount(figure.spread(OURS)) if first else "",
                _amount(figure.spread(PEER)) if first else "",
                _ratio(peer) if first else "",
                ("" if goal is None else f"{goal.at_most:.2f}" + ("" if goal.against == PEER else "*"))
                if first else "",
                {None: "", True: "yes", False: "NO"}[figure.met()] if first else "",
                _amount(figure.spread(base)) if base else "",
                _ratio(base_ratio),
                base or "",
            ])
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    text = []
    for line in lines:
        cells = [cell.rjust(width) for cell, width in zip(line, widths, strict=True)]
        cells[0], cells[-1] = line[0].ljust(widths[0]), line[-1]
        text.append("  ".join(cells).rstrip())
    return "\n".join(text)


def markdown(figures: Sequence[dict[str, Any]], rows: dict[str, str]) -> str:
    """A short table for people: some figures of a result, each beside the peer and one base."""
    lines = ["| | ours | peer | ratio | beside it | ratio |", "|---|---|---|---|---|---|"]
    for figure in figures:
        if figure["figure"] not in rows:
            continue
        base = rows[figure["figure"]]
        cells = [f"{figure['figure']}, {figure['unit']}", _cell(figure, OURS), _cell(figure, PEER),
                 _ratio_cell(figure, PEER), f"{base} {_cell(figure, base)}" if base else "",
                 _ratio_cell(figure, base)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def worse(old: Sequence[dict[str, Any]], new: Sequence[dict[str, Any]]) -> list[str]:
    """A line for each ratio that is worse than before by more than its noise.

    That is: the quartiles of the rounds then and now don't meet, and the medians differ by more than
    LEAST_CHANGE. Only ratios that both runs have are compared. Both are lists of Figure.json().
    """
    before = {figure["figure"]: figure["ratios"] for figure in old}
    lines = []
    for figure in new:
        for against, now in figure["ratios"].items():
            then = before.get(figure["figure"], {}).get(against)
            if then and now["low"] > then["high"] and \
                    now["median"] > then["median"] * (1 + LEAST_CHANGE):
                lines.append(f"{figure['figure']}, to {against}: {then['median']:.2f} "
                             f"({then['low']:.2f} to {then['high']:.2f}) has become "
                             f"{now['median']:.2f} ({now['low']:.2f} to {now['high']:.2f})")
    return lines


def _short(value: float) -> float:
    return float(f"{value:.4g}")


def _amount(spread: Spread | None) -> str:
    if spread is None:
        return ""
    value = spread.median
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _ratio(spread: Spread | None) -> str:
    return f"{spread.median:.2f}" if spread else ""


def _cell(figure: dict[str, Any], subject: str) -> str:
    found = figure["subjects"].get(subject)
    return _amount(Spread(**found)) if found else ""


def _ratio_cell(figure: dict[str, Any], against: str) -> str:
    found = figure["ratios"].get(against)
    return _ratio(Spread(**found)) if found else ""


# The computing's own test ----------------------------------------------------------------------


def self_test() -> None:
    board = Board({"read": Goal(0.5), "rotate": Goal(0.25, "runbook")})
    for ours, peer, kv in ((100, 200, 50), (110, 200, 50), (400, 800, 200)):  # the last: a slow moment
        board.add("read", "µs", OURS, ours)
        board.add("read", "µs", PEER, peer)
        board.add("read", "µs", "KV v2", kv)
    board.add("rotate", "ms", OURS, 1.5)
    board.add("rotate", "ms", "runbook", 5)
    board.add("refused", "%", OURS, 0)
    board.add("refused", "%", "transit", 0)
    read, rotate, refused = board.figures

    ratio = read.ratio(PEER)
    _same((ratio.median, ratio.rounds), (0.5, 3))
    _same((ratio.low, ratio.high), (0.5, 0.525))
    _same(read.spread(OURS), Spread(110, 105, 255, 3))
    _same(Spread.of([7]), Spread(7, 7, 7, 1))
    _same((read.met(), rotate.met(), refused.met()), (True, False, None))
    _same(refused.ratio("transit"), None)  # no ratio to nothing
    _same(Figure("x", "", {OURS: [1.0]}, Goal(1)).met(), None)

    shown = table(board.figures).splitlines()
    _same(len(shown), 4)
    _same(shown[1].split(), ["read,", "µs", "110", "200", "0.50", "0.50", "yes", "50", "2.00", "KV", "v2"])
    _same(shown[2].split(), ["rotate,", "ms", "1.5", "0.25*", "NO", "5", "0.30", "runbook"])

    short = markdown([figure.json() for figure in board.figures], {"read": "KV v2", "refused": ""})
    _same(short.splitlines()[2:], ["| read, µs | 110 | 200 | 0.50 | KV v2 50 | 2.00 |",
                                   "| refused, % | 0 |  |  |  |  |"])

    def run(low: float, median: float, high: float) -> list[dict[str, Any]]:
        return [{"figure": "read", "ratios": {PEER: {"low": low, "median": median, "high": high}}}]

    _same(worse(run(0.4, 0.5, 0.6), run(0.59, 0.8, 0.9)), [])     # within the noise
    _same(worse(run(0.4, 0.5, 0.6), run(0.2, 0.3, 0.4)), [])      # better
    _same(worse(run(0.5, 0.5, 0.5), run(0.51, 0.51, 0.51)), [])   # nothing
    _same(worse([], run(1, 1, 1)), [])                            # new
    _same(worse(run(0.4, 0.5, 0.6), run(0.61, 0.7, 0.8)),
          ["read, to peer: 0.50 (0.40 to 0.60) has become 0.70 (0.61 to 0.80)"])


def _same(found: object, expected: object) -> None:
    if found != expected:
        raise AssertionError(f"found {found!r}, expected {expected!r}")
