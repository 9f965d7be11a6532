"""Which moments of a run it is killed at: drawn from a seed, named, and told apart in a report."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TypeAlias

# What the sandbox can tell apart: how a submission goes, and a clip half way home.
MOMENTS = (
    ("submit", "before_accept"),
    ("submit", "after_accept"),
    ("submit", "after_answer"),
    ("download", "mid_body"),
)
# Which accounts random moments are tried on, and how often.
_SHARES = {"wide": 20, "slow": 25, "one lane": 20, "tight": 10, "runware": 25}


@dataclass(frozen=True, slots=True, kw_only=True)
class AtMoment:
    """The provider kills the command at an exact moment of the protocol, the ``nth`` time."""

    on: str
    when: str
    nth: int

    def __str__(self) -> str:
        return f"{self.on} {self.nth} {self.when}"

    def rule(self) -> dict[str, object]:
        """The same as a line of the sandbox's fault script."""
        return {"on": self.on, "fault": "kill_client", "when": self.when, "nth": self.nth}


@dataclass(frozen=True, slots=True, kw_only=True)
class AtWrite:
    """The command dies before or after one of its own writes, numbered from 1."""

    which: str
    n: int

    def __str__(self) -> str:
        return f"{self.which} write {self.n}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AtRandom:
    """Killed after this share of the time that an undisturbed run takes."""

    share: float

    def __str__(self) -> str:
        return f"at {self.share:.4f}"


Death: TypeAlias = AtMoment | AtWrite | AtRandom


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One run to be judged: its account, and one death for each of its first starts."""

    terms: str
    deaths: tuple[Death, ...]
    kind: str

    def __str__(self) -> str:
        deaths = ", then ".join(str(death) for death in self.deaths) or "undisturbed"
        return f"{deaths} ({self.terms})"


def exact_points(shots: int, *, terms: str = "wide") -> list[Point]:
    """Every moment of the protocol for every shot."""
    return [
        Point(terms=terms, deaths=(AtMoment(on=on, when=when, nth=nth),), kind="exact")
        for nth in range(1, shots + 1)
        for on, when in MOMENTS
    ]


def random_points(
    count: int, *, seed: int, kills: int = 0, terms: str | None = None
) -> list[Point]:
    """Random moments, on accounts of every kind.

    Args:
        kills: deaths of each; 0 for two or three.
        terms: the account; None for a mix.
    """
    # Replays, nothing secret.
    chance = random.Random(seed)
    points = []
    for _ in range(count):
        account = terms or chance.choices(list(_SHARES), weights=list(_SHARES.values()))[0]
        deaths = kills or chance.choice((2, 3))
        shares = tuple(AtRandom(share=chance.random()) for _ in range(deaths))
        points.append(
            Point(terms=account, deaths=shares, kind="random" if kills == 1 else "repeated")
        )
    return points


def write_point(which: str, n: int, *, terms: str = "wide") -> Point:
    """Death at one of the command's own writes."""
    return Point(terms=terms, deaths=(AtWrite(which=which, n=n),), kind=f"{which} writes")
