"""The tables that are printed, and the list for machines."""

from collections.abc import Mapping, Sequence
from typing import Final

from scripts.gas.goals import GOALS, Goal
from scripts.gas.meter import Figure, Method
from scripts.gas.schedule import Breakdown

WIDTH: Final = 110
LEGEND: Final = """\
* cited, not measured here (scripts/gas/cited.py says whence); (1) one alone, as it has no batch of this size
floor: what the schedule charges for the same call data, storage, events and calls if computing were free
[n] transactions that were needed: one call each, or a batch beyond 16,777,216 gas or 128 KiB
the system "floor": throw-away contracts that did nothing but this one operation, no peers
cited figures:"""
Parts = Mapping[tuple[str, int], Sequence[Breakdown]]
"""Of ours, by operation and size: its transactions taken apart."""


def goal_table(figures: Sequence[Figure], parts: Parts) -> str:
    """Ours against goals, the schedule's floor and peers."""
    lines = [f"{'gas for each row':52}{'ours':>9}{'goal':>9}{'':8}{'floor':>9}"]
    for goal in GOALS:
        ours = goal.ours(figures)
        if ours is None:
            continue
        verdict = "met" if ours <= goal.gas else f"+{ours / goal.gas - 1:.1%}"
        computing = sum(one.computing for one in parts[goal.operation, goal.n]) / goal.n
        floor = f"{ours - computing:9,.0f}  ours is {computing / (ours - computing):.1%} above it"
        lines.append(f"{goal.title:52}{ours:9,.0f}{goal.gas:9,}  {verdict:6}{floor}")
        lines += _wrapped([_rival(goal, one) for one in goal.rivals(figures)])
    return "\n".join(lines)


def size_table(figures: Sequence[Figure]) -> str:
    """All that was measured, at every size; in brackets the transactions it took."""
    measured = [one for one in figures if one.method is Method.MEASURED]
    sizes = sorted({one.n for one in measured})
    lines = [f"{'measured gas for each row, at sizes':36}" + "".join(f"{n:>15,}" for n in sizes)]
    for name in dict.fromkeys((one.system, one.operation) for one in measured):
        found = {one.n: one for one in measured if (one.system, one.operation) == name}
        cells = [_cell(found[n]) if n in found else "" for n in sizes]
        note = next(iter(found.values())).note
        lines.append(
            f"{' '.join(name):36}" + "".join(f"{cell:>15}" for cell in cells) + (f"  {note}" if note else "")
        )
    return "\n".join(lines)


def floor_table(parts: Parts) -> str:
    """Ours taken apart: the schedule's floor for the same storage, events and call data, and our code.

    EIP-7623: the price of call data alone decided the sum, and the rest is within it.
    """
    columns = ("total", "floor", "intrinsic", "call data", "storage", "logs", "calls", "computing")
    lines = [f"{'what it is charged for, for each row':36}" + "".join(f"{name:>11}" for name in columns)]
    for (operation, n), transactions in sorted(parts.items(), key=lambda part: part[0][1]):
        sums = [sum(getattr(one, name.replace(" ", "_")) for one in transactions) / n for name in columns]
        rule = "  EIP-7623" if any(one.floor_rule for one in transactions) else ""
        lines.append(f"{f'{operation} {n}':36}" + "".join(f"{gas:11,.0f}" for gas in sums) + rule)
    return "\n".join(lines)


def notes(figures: Sequence[Figure]) -> str:
    """How to read the tables, and what to know about cited figures."""
    cited = [one for one in figures if one.method is Method.CITED and one.note]
    said = dict.fromkeys(f"{one.system} {one.operation}: {one.note}" for one in cited)
    return "\n".join([LEGEND, *(f"  {line}" for line in said)])


def as_json(figures: Sequence[Figure]) -> list[dict[str, str | int]]:
    """The list for machines."""
    return [
        {
            "system": one.system,
            "operation": one.operation,
            "n": one.n,
            "gas_per_unit": round(one.gas),
            "method": one.method.value,
        }
        for one in figures
    ]


def _rival(goal: Goal, one: Figure) -> str:
    mark = "*" if one.method is Method.CITED else ""
    alone = " (1)" if one.n != goal.n else ""
    return f"{one.system} {one.gas:,.0f}{mark}{alone}"


def _cell(one: Figure) -> str:
    return f"{one.gas:,.0f}" + (f" [{one.transactions}]" if one.transactions > 1 else "")


def _wrapped(words: Sequence[str]) -> list[str]:
    lines: list[str] = []
    for word in words:
        if lines and len(lines[-1]) + len(word) + 3 <= WIDTH:
            lines[-1] += f" · {word}"
        else:
            lines.append(f"      {word}")
    return lines
