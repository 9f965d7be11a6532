"""What a seed means: the storyboard, the account, the world's moods, the deaths. Pure."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace

from simulation.lives import Fate

# What can go wrong with a submission, by whether the provider made a task of it all the same.
ACCEPTED_FAULTS = (
    "lost_after",
    "reset_after",
    "500_after",
    "502_after",
    "503_after",
    "504_after",
    "hang_after",
    "late_after",
    "half_json_after",
    "empty_after",
    "no_id_after",
    "envelope_500_after",
    "drip_after",
)
UNMADE_FAULTS = (
    "unreachable",
    "lost_before",
    "reset_before",
    "500_before",
    "502_before",
    "503_before",
    "504_before",
    "hang_before",
    "half_json_before",
    "empty_before",
    "no_id_before",
    "envelope_500_before",
    "envelope_422",
    "400",
    "401",
    "402",
    "429",
    "429_seconds",
    "429_silly",
    "307",
)
POLL_FAULTS = ("500", "503", "429", "429_seconds", "drop", "hang", "garbage", "half_json", "401")
POLL_MOODS = ("404_at_first", "404_for_long", "unknown_word", "regress")
TASK_FATES = (
    "failed",
    "moderated",
    "cancelled",
    "timeout",
    "deleted",
    "barren",
    "late_outputs",
    "two_outputs",
    "object_output",
    "flagged",
    "stuck",
    "slow",
)
DOWNLOAD_FAULTS = (
    "expired",
    "404_once",
    "500",
    "503",
    "drop",
    "reset_mid",
    "cut_with_length",
    "cut_without_length",
    "flipped",
    "hang",
)
# How a second sending of a known id may be answered, where a conflict would be the truth.
RESEND_FAULTS = ("refused", "bare_404", "429", "402", "500")
HISTORY_FAULTS = ("500", "429", "drop", "hang", "garbage", "half_json")
OTHER_FAULTS = ("500", "429", "drop", "garbage", "hang")
UPLOAD_FAULTS = ("500", "drop", "hang")

# Points around the paid request, where a death costs most.
TENDER_POINTS = (
    "account try_start",
    "journal intent",
    "journal intent done",
    "submit sent",
    "submit made",
    "submit answered",
    "journal accepted",
    "journal accepted done",
    "account answered",
    "journal doubt",
    "journal absent",
    "history sent",
    "history answered",
    "poll answered",
    "journal completed",
    "journal downloaded",
    "journal downloaded done",
    "journal verified",
    "clip sent",
    "clip answered",
    "disk _sync",
    "disk _rename",
    "film",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """Chance of each fault at each of its chances to happen, by the kind of request."""

    submit: dict[str, float] = field(default_factory=dict)
    poll: dict[str, float] = field(default_factory=dict)
    task: dict[str, float] = field(default_factory=dict)
    download: dict[str, float] = field(default_factory=dict)
    history: dict[str, float] = field(default_factory=dict)
    other: dict[str, float] = field(default_factory=dict)
    upload: dict[str, float] = field(default_factory=dict)
    resend: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedShot:
    """A shot as the judge knows it: equal ``key`` means equal content; ``results`` takes at most
    are made by one task."""

    shot_id: str
    key: int
    takes: int
    duration_s: int
    resolution: str
    results: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """Everything about one simulated production that is decided beforehand.

    ``boards``: storyboards of the run, each a tuple of shots. ``together``: they are made by
    processes of their own, at the same time, on one account. ``echo`` of inputs in the
    history: ``exact``, ``rewritten`` images, or ``none``. ``history_off``: seconds from the
    start during which the history answers nothing, infinite for ever. ``fates``: one for each
    life that does not end as it pleases. ``forgets``: after how many lives a board's folder is
    deleted, journal and all; ``edits``: after how many its first shot is given another content.
    ``clock_ahead_s``: how far the program's own clock is ahead in the first life.
    """

    seed: int
    boards: tuple[tuple[PlannedShot, ...], ...]
    provider: str = "wavespeed"
    together: bool = False
    uploads: bool = False
    faults: Faults = field(default_factory=Faults)
    fates: tuple[Fate | None, ...] = ()
    pauses_s: tuple[float, ...] = ()
    starts: int = 1000
    window_s: float = 60.0
    max_tasks: int = 1000
    poll_interval_s: float = 5.0
    submit_timeout_s: float = 20.0
    settle_s: float = 5.0
    task_limit_s: float = 300.0
    latency_s: tuple[float, float] = (0.01, 0.2)
    task_s: tuple[float, float] = (4.0, 14.0)
    history_lag_s: float = 0.0
    history_off_s: float = 0.0
    poll_off_s: tuple[float, float] = (0.0, 0.0)
    echo: str = "exact"
    strangers: int = 0
    skew_s: float = 0.0
    short_budget: bool = False
    forgets: int | None = None
    edits: int | None = None
    clock_ahead_s: float = 0.0

    @property
    def shots(self) -> list[PlannedShot]:
        """Every shot of every storyboard."""
        return [shot for board in self.boards for shot in board]

    def edited(self, board: tuple[PlannedShot, ...]) -> tuple[PlannedShot, ...]:
        """A board whose first shot shows something else; the others are as they were."""
        first, *rest = board
        return (replace(first, key=first.key + EDITED), *rest)


# Added to a shot's key where its content is changed between two lives.
EDITED = 1000


def plain_board(shots: int, *, first: int = 0) -> tuple[PlannedShot, ...]:
    """A storyboard of shots that are all different."""
    return tuple(
        PlannedShot(
            shot_id=f"sh{n:03d}",
            key=n,
            takes=1,
            duration_s=10 if n % 3 == 0 else 6,
            resolution="480p" if n % 4 == 0 else "720p",
        )
        for n in range(first, first + shots)
    )


def random_scenario(seed: int, *, shots: int = 20, provider: str = "wavespeed") -> Scenario:
    """The scenario of a seed: anything may be wrong, most things are not."""
    rng = random.Random(f"scenario {seed}")
    # A world with everything broken at once tests little: how rough it is differs, too.
    roughness = rng.choice((0.0, 0.03, 0.1, 0.25))
    boards = _boards(rng, shots)
    starts, window_s, max_tasks = rng.choice(
        ((2, 6.0, 2), (5, 10.0, 3), (20, 20.0, 8), (60, 60.0, 30), (500, 60.0, 300))
    )
    lives = rng.choice((0, 0, 1, 1, 2, 3, 5))
    settle_s = rng.choice((1.0, 5.0, 10.0))
    submit_timeout_s = rng.choice((3.0, 10.0, 20.0))
    off_s = 0.0
    if rng.random() < 0.15:
        off_s = rng.choice((20.0, 300.0, float("inf")))
    together = len(boards) > 1 and rng.random() < 0.5
    chosen = _chosen_ids(seed, boards, roughness) if provider == "runware" else None
    boards = boards if chosen is None else chosen.boards
    echo = rng.choice(("exact", "exact", "exact", "none", "rewritten"))
    strangers = rng.choice((0, 0, 0, 1, 3, 130))
    made = Scenario(
        seed=seed,
        boards=boards,
        provider=provider,
        together=together,
        uploads=rng.random() < 0.2,
        faults=_faults(rng, roughness),
        fates=tuple(_fate(rng) for _ in range(lives)),
        pauses_s=tuple(rng.choice((0.05, 1.0, 8.0, 40.0, 200.0)) for _ in range(lives)),
        starts=starts,
        window_s=window_s,
        max_tasks=max_tasks,
        poll_interval_s=rng.choice((2.0, 5.0)),
        submit_timeout_s=submit_timeout_s,
        settle_s=settle_s,
        task_limit_s=rng.choice((120.0, 300.0)),
        latency_s=rng.choice(((0.001, 0.01), (0.01, 0.2), (0.1, 1.0))),
        task_s=rng.choice(((0.5, 2.0), (4.0, 14.0), (5.0, 40.0))),
        history_lag_s=_history_lag_s(seed, settle_s, rng.choice((0.0, 0.0, 0.5, 1.0))),
        history_off_s=off_s,
        poll_off_s=(30.0, 210.0) if rng.random() < 0.05 else (0.0, 0.0),
        echo=echo,
        strangers=strangers,
        skew_s=rng.choice((0.0, 0.0, -40.0, 40.0, 86_400.0, -86_400.0)),
        short_budget=rng.random() < 0.03,
    )
    return made if chosen is None else chosen.put_on(made)


@dataclass(frozen=True, slots=True, kw_only=True)
class _ChosenIds:
    """What can go wrong only where the ids of tasks are ours."""

    boards: tuple[tuple[PlannedShot, ...], ...]
    resend: dict[str, float]
    forgets: int | None
    edits: int | None
    clock_ahead_s: float

    def put_on(self, scenario: Scenario) -> Scenario:
        pauses_s = scenario.pauses_s
        if self.clock_ahead_s and pauses_s:
            # A day and more, so that the provider may have forgotten an id.
            pauses_s = (30 * 3600.0, *pauses_s[1:])
        return replace(
            scenario,
            faults=replace(scenario.faults, resend=self.resend),
            forgets=self.forgets,
            edits=self.edits,
            clock_ahead_s=self.clock_ahead_s,
            pauses_s=pauses_s,
        )


def _chosen_ids(
    seed: int, boards: tuple[tuple[PlannedShot, ...], ...], roughness: float
) -> _ChosenIds:
    # A source of its own: the rest of a seed is the same story on every provider.
    rng = random.Random(f"chosen ids {seed}")
    if rng.random() < 0.4:
        boards = tuple(
            tuple(
                replace(shot, takes=rng.choice((1, 2, 3)), results=rng.choice((1, 2)))
                if rng.random() < 0.5
                else shot
                for shot in board
            )
            for board in boards
        )
    armed = [kind for kind in RESEND_FAULTS if rng.random() < 0.4]
    chance = rng.choice((roughness, 2 * roughness, 0.6))
    forgets = rng.choice((1, 2)) if rng.random() < 0.2 else None
    edits = rng.choice((1, 1, 2)) if rng.random() < 0.3 else None
    ahead_s = rng.choice((0.0,) * 8 + (20 * 3600.0, 40 * 3600.0, -20 * 3600.0))
    return _ChosenIds(
        boards=boards,
        resend={kind: chance / max(len(armed), 1) for kind in armed},
        forgets=forgets,
        # Without a journal nobody knows what was asked for before, nor by which id.
        edits=edits if forgets is None else None,
        clock_ahead_s=ahead_s if forgets is None else 0.0,
    )


def _history_lag_s(seed: int, settle_s: float, usual: float) -> float:
    """Within the settle time mostly; in some worlds so late that only the bill tells of a task."""
    rng = random.Random(f"history {seed}")
    return settle_s * (rng.choice((3.0, 20.0, 500.0)) if rng.random() < 0.15 else usual)


def _boards(rng: random.Random, shots: int) -> tuple[tuple[PlannedShot, ...], ...]:
    count = 2 if shots > 1 and rng.random() < 0.2 else 1
    twins, retakes = rng.random() < 0.15, rng.random() < 0.15
    boards: list[tuple[PlannedShot, ...]] = []
    left = shots
    for index in range(count):
        size = left // (count - index)
        left -= size
        board: list[PlannedShot] = []
        for shot in plain_board(size, first=sum(map(len, boards))):
            takes = rng.choice((1, 1, 1, 2)) if retakes else 1
            is_twin = twins and bool(board) and rng.random() < 0.15
            content = rng.choice(board) if is_twin else shot
            board.append(replace(content, shot_id=shot.shot_id, takes=takes))
        boards.append(tuple(board))
    return tuple(boards)


def _faults(rng: random.Random, roughness: float) -> Faults:
    def arm(kinds: tuple[str, ...], total: float = 0.5) -> dict[str, float]:
        armed = {kind: roughness for kind in kinds if rng.random() < 0.25}
        scale = min(1.0, total / max(sum(armed.values()), 1e-9))
        return {kind: chance * scale for kind, chance in armed.items()}

    return Faults(
        submit=arm(ACCEPTED_FAULTS + UNMADE_FAULTS),
        poll=arm(POLL_FAULTS),
        task=arm(TASK_FATES + POLL_MOODS, 0.4),
        download=arm(DOWNLOAD_FAULTS),
        history=arm(HISTORY_FAULTS),
        other=arm(OTHER_FAULTS),
        upload=arm(UPLOAD_FAULTS),
    )


def _fate(rng: random.Random) -> Fate:
    what = rng.choice(("kill", "kill", "kill", "kill", "interrupt", "terminate"))
    if rng.random() < 0.5:
        return Fate(what=what, label="", count=int(rng.expovariate(1 / 250)) + 1)
    return Fate(what=what, label=rng.choice(TENDER_POINTS), count=rng.randint(1, 12))
