"""What was measured, as rows against the first one of their group; as text and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from meter import Cost

_HEAD = f"  {'':<34}{'CPU':>10}{'':>8}{'wall':>10}{'':>8}{'memory':>10}{'':>8}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One contestant: the run of median processor time of ``runs``; what came out, in words."""

    name: str
    cost: Cost
    runs: int
    outcome: str = ""

    @classmethod
    def of(cls, name: str, costs: Sequence[Cost], outcome: str = "") -> Row:
        """The middle one of several runs; with the most memory that any of them took."""
        middle = sorted(costs, key=lambda cost: cost.cpu_s)[len(costs) // 2]
        cost = Cost(
            cpu_s=middle.cpu_s,
            wall_s=middle.wall_s,
            peak_bytes=max(each.peak_bytes for each in costs),
            was_stopped=any(each.was_stopped for each in costs),
        )
        return cls(name=name, cost=cost, runs=len(costs), outcome=outcome)


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Rows that do the same work; ratios are to the first."""

    key: str
    title: str
    rows: tuple[Row, ...]


def build_text(group: Group) -> str:
    """The group for a terminal."""
    base = group.rows[0].cost
    lines = [group.title, _HEAD]
    for row in group.rows:
        cost = row.cost
        least = ">" if cost.was_stopped else ""
        lines.append(
            f"  {row.name:<34}"
            f"{cost.cpu_s:8.2f} s{_ratio(cost.cpu_s, base.cpu_s, least)}"
            f"{cost.wall_s:8.2f} s{_ratio(cost.wall_s, base.wall_s, least)}"
            f"{cost.peak_bytes / 1e6:7.0f} MB{_ratio(cost.peak_bytes, base.peak_bytes, least)}"
            f"  {row.outcome}".rstrip()
        )
    return "\n".join(lines) + "\n"


def build_data(group: Group) -> dict[str, Any]:
    """The group as JSON data."""
    base = group.rows[0].cost
    return {
        "key": group.key,
        "title": group.title,
        "rows": [
            {
                "name": row.name,
                **asdict(row.cost),
                "cpu_ratio": row.cost.cpu_s / base.cpu_s,
                "wall_ratio": row.cost.wall_s / base.wall_s,
                "memory_ratio": row.cost.peak_bytes / base.peak_bytes,
                "runs": row.runs,
                "outcome": row.outcome,
            }
            for row in group.rows
        ],
    }


def _ratio(value: float, base: float, least: str) -> str:
    return f"{f'{least}{value / base:.2f}x':>8}"
