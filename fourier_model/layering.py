"""Where the nodes of a graph without circles stand in a drawing: in rows, so that every edge leads down."""

from collections.abc import Mapping
from dataclasses import dataclass

Point = tuple[float, int]
"""Column, in widths of a node, and row."""


@dataclass(frozen=True)
class Placed:
    """Where nodes are, and which way edges go."""

    points: dict[str, Point]
    ways: list[list[Point]]
    """For each edge its points from row to row, the two nodes' at its ends."""
    rows: int


def place_nodes(reads: Mapping[str, list[str]]) -> Placed:
    """Place the nodes of a graph; `reads` names, for each node after all that it reads, what those are.

    A node stands in the row behind the last one that it reads. An edge over several rows takes a place of its own in each of
    them. In a row, nodes stand in the order of the mean column of what leads to them, at least one column apart: the layered
    drawing of Sugiyama et al. 1981, from top to bottom once.
    """
    rows: dict[str, int] = {}
    for name, makers in reads.items():
        rows[name] = 1 + max((rows[maker] for maker in makers), default=-1)
    parents: dict[tuple[str, ...], list[tuple[str, ...]]] = {(name,): [] for name in reads}
    levels: dict[int, list[tuple[str, ...]]] = {}
    for name, row in rows.items():
        levels.setdefault(row, []).append((name,))
    ways = []
    for name, makers in reads.items():
        for maker in dict.fromkeys(makers):
            way: list[tuple[str, ...]] = [(maker,)]
            for row in range(rows[maker] + 1, rows[name]):
                passing = (maker, name, str(row))
                levels[row].append(passing)
                parents[passing] = [way[-1]]
                way.append(passing)
            parents[(name,)].append(way[-1])
            ways.append([*way, (name,)])
    columns: dict[tuple[str, ...], float] = {}
    for row in sorted(levels):
        columns |= _apart(
            {item: _mean([columns[parent] for parent in parents[item]]) for item in levels[row]}
        )
    heights = {item: row for row, items in levels.items() for item in items}
    return Placed(
        points={name: (columns[(name,)], rows[name]) for name in reads},
        ways=[[(columns[item], heights[item]) for item in way] for way in ways],
        rows=len(levels),
    )


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _apart(wanted: dict[tuple[str, ...], float]) -> dict[tuple[str, ...], float]:
    """Columns in the wanted order, at least one apart, around the mean of the wanted ones."""
    ordered = sorted(wanted, key=lambda item: wanted[item])
    columns: list[float] = []
    for item in ordered:
        columns.append(max(wanted[item], columns[-1] + 1) if columns else wanted[item])
    shift = _mean(list(wanted.values())) - _mean(columns)
    return {item: column + shift for item, column in zip(ordered, columns, strict=True)}
