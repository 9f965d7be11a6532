"""Cut the power after some of a run's calls to the disk, run the command again, ask the bill.

Every cut is looked at twice: as the disk is found when the power is back, and after the same
command has been run on it. What the provider's books say at the cut is drawn from all that they
may have said before the next call; what they say at the end is the judge.
"""

from __future__ import annotations

import hashlib
import random
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from kill.stage import Stage, read_json
from kill.verdicts import Evidence, Fault, FaultKind, judge
from power.books import Books
from power.disk import Kind, Loss, Symlink, Tree, write_tree
from power.recording import (
    Place,
    Recording,
    play,
    record,
    restore_provider,
)

from pipeline.errors import StoryboardError
from pipeline.files import file_sha256
from pipeline.filming import EDL_NAME
from pipeline.journal import JOURNAL_NAME, read_events
from pipeline.ledger import Attempt, fold
from pipeline.summary import CLIPS_FOLDER, FILM_NAME, SUMMARY_NAME

_NAMING = frozenset({Kind.SYNC, Kind.RENAME, Kind.LINK})


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """When the power goes: after so many calls, with this loss; ``seed`` draws all that is left
    to chance."""

    calls: int
    loss: Loss
    seed: int

    def __str__(self) -> str:
        return f"after call {self.calls}, {self.loss} (seed {self.seed})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of one run after one or more cuts. ``bought``: tasks on the bill at the last cut.

    ``unread``: of those, how many the journal had no answer for. ``kept``: where the leavings of
    one that failed lie.
    """

    cuts: tuple[Cut, ...]
    faults: tuple[Fault, ...]
    bought: int
    unread: int
    kept: Path | None = None

    def __str__(self) -> str:
        cuts = "; then ".join(str(cut) for cut in self.cuts)
        return f"{cuts}: {'; '.join(map(str, self.faults)) or 'recovered'} ({self.kept})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wreck:
    """A disk as it was found, before anything was done about it."""

    faults: tuple[Fault, ...]
    bought: int
    unread: int


@dataclass(slots=True, kw_only=True)
class Bench:
    """One worker's place, and the run that was recorded in it.

    ``film_sha256``, ``edl``: of an undisturbed run. ``clips``: hashes of all clips there can be.
    ``recordings``: how many runs cut once were recorded to be cut again.
    """

    stage: Stage
    place: Place
    recorder: Path
    recording: Recording
    film_sha256: str | None
    edl: bytes
    clips: frozenset[str]
    recordings: int = field(default=0)

    @property
    def base(self) -> str:
        """The storyboard's folder, as trees name it."""
        return f"out/{self.stage.name}"

    @property
    def out(self) -> Path:
        """The storyboard's folder."""
        return self.place.disk / self.base

    def look(self, tree: Tree, books: Books) -> Wreck:
        """What is wrong with a disk as it was found, before anything is repaired."""
        found = [Fault(kind=FaultKind.FILM, text=text) for text in self._damaged(tree)]
        bought = books.tasks()
        try:
            attempts = self._attempts(tree)
        except StoryboardError as exc:
            found.append(Fault(kind=FaultKind.LOST, text=f"the journal cannot be read: {exc}"))
            return Wreck(faults=tuple(found), bought=len(bought), unread=0)
        prompts = {str((attempt.request or {}).get("prompt")) for attempt in attempts}
        if unknown := set(bought.values()) - prompts:
            text = f"{len(unknown)} paid tasks of which the journal knows nothing"
            found.append(Fault(kind=FaultKind.LOST, text=text))
        unread = bought.keys() - {attempt.task_id for attempt in attempts}
        return Wreck(faults=tuple(found), bought=len(bought), unread=len(unread))

    def find(self, recording: Recording, cut: Cut) -> tuple[Tree, Books]:
        """The disk and the provider's books as a cut leaves them.

        Where the disk loses most, the provider has done most; else its state is drawn.
        """
        tree = recording.disk_after(cut.calls).left(cut.loss, seed=cut.seed)
        books = recording.books_between(cut.calls)
        # Replays, nothing secret.
        drawn = random.Random(cut.seed).choice(books)
        return tree, books[-1] if cut.loss is Loss.ALL else drawn

    def inspect(self, cut: Cut) -> Result:
        """Only look at what a cut leaves."""
        tree, books = self.find(self.recording, cut)
        wreck = self.look(tree, books)
        faults = list(wreck.faults)
        if cut.calls == len(self.recording.calls) and self.recording.exit_code == 0:
            faults += self._undone(tree)
        return _result((cut,), wreck, faults)

    def recover(self, *cuts: Cut) -> Result:
        """Cut the power, run the command again; with more cuts, cut the power of that run too.

        A second cut's ``calls`` are taken as a share of the calls that there turn out to be, in
        thousandths.
        """
        recording = self.recording
        happened: list[Cut] = []
        found: list[Fault] = []
        for number, planned in enumerate(cuts, start=1):
            share = 1.0 if number == 1 else len(recording.calls) / 1000
            cut = replace(planned, calls=round(planned.calls * share))
            happened.append(cut)
            tree, books = self.find(recording, cut)
            wreck = self.look(tree, books)
            found += wreck.faults
            write_tree(tree, self.place.disk)
            restore_provider(recording, books, self.place)
            if number < len(cuts):
                self.recordings += 1
                keep = self.place.folder / f"again{self.recordings}"
                recording, _ = record(self.stage, self.place, self.recorder, keep)
        code, books_at_end = play(self.stage, self.place)
        found += self._judge(code, books_at_end, len(cuts))
        result = _result(tuple(happened), wreck, found)
        return self._keep(result, tree) if found else result

    def _judge(self, code: int | None, record: Mapping[str, Any], cuts: int) -> Iterator[Fault]:
        film = self.out / FILM_NAME
        evidence = Evidence(
            record=record,
            summary=read_json(self.out / SUMMARY_NAME),
            exit_code=code,
            film_sha256=file_sha256(film) if film.is_file() else None,
            kills=cuts,
        )
        yield from judge(
            evidence,
            shots=self.stage.shots,
            price_usd=self.stage.price_usd,
            film_sha256=self.film_sha256,
        )
        clips = {file_sha256(path) for path in (self.out / CLIPS_FOLDER).glob("*.mp4")}
        if clips != self.clips:
            yield Fault(kind=FaultKind.LOST, text=f"{len(self.clips - clips)} clips are not there")

    def _attempts(self, tree: Tree) -> tuple[Attempt, ...]:
        """What the journal says, read from a copy: reading it may change it."""
        scratch = self.place.folder / "copy"
        scratch.mkdir(exist_ok=True)
        for old in scratch.iterdir():
            old.unlink()
        for name, data in tree.items():
            if name.startswith(f"{self.base}/{JOURNAL_NAME}") and isinstance(data, bytes):
                (scratch / Path(name).name).write_bytes(data)
        return fold(read_events(scratch)).attempts

    def _damaged(self, tree: Tree) -> Iterator[str]:
        """Files under their final names that are not what they should be."""
        for path, data in tree.items():
            name = path.removeprefix(f"{self.base}/")
            if isinstance(data, bytes) and name != path and not self._is_whole(name, data):
                yield f"{name} is damaged"

    def _is_whole(self, name: str, data: bytes) -> bool:
        """Whether a file may have this content; of those that have a meaning to somebody."""
        if name == FILM_NAME:
            return hashlib.sha256(data).hexdigest() == self.film_sha256
        if name.startswith(f"{CLIPS_FOLDER}/") and name.endswith(".mp4"):
            return hashlib.sha256(data).hexdigest() in self.clips
        if name == SUMMARY_NAME:
            return data.startswith(b"{") and data.endswith(b"}\n") and b"\0" not in data
        return name != EDL_NAME or data == self.edl

    def _undone(self, tree: Tree) -> Iterator[Fault]:
        """What is missing although the command had said that all was done."""
        for name in (FILM_NAME, EDL_NAME, SUMMARY_NAME, JOURNAL_NAME):
            if f"{self.base}/{name}" not in tree:
                yield Fault(kind=FaultKind.LOST, text=f"{name} was lost after the end of the run")
        clips = sum(name.startswith(f"{self.base}/{CLIPS_FOLDER}/") for name in tree)
        if clips != self.stage.shots:
            yield Fault(kind=FaultKind.LOST, text=f"{clips} clips are left after the end")

    def _keep(self, result: Result, tree: Tree) -> Result:
        """Keep the disk of a failure as it was found, and as it became."""
        name = "-".join(str(cut.calls) + cut.loss.name.lower() for cut in result.cuts)
        kept = self.place.folder.with_name(f"failed-{self.place.folder.name}-{name}")
        shutil.rmtree(kept, ignore_errors=True)
        (kept / "found").mkdir(parents=True)
        write_tree(tree, kept / "found")
        shutil.copytree(self.place.folder, kept / "became", symlinks=True)
        return replace(result, kept=kept)


def make_bench(
    stage: Stage, place: Place, recorder: Path, *, film_sha256: str | None = None, broken: str = ""
) -> Bench:
    """Record an undisturbed run in a place.

    Args:
        film_sha256: of an earlier undisturbed run; None for the first.
    Raises:
        AssertionError: the run did not go well, so nothing could be judged by it.
    """
    recording, found = record(stage, place, recorder, place.folder / "undisturbed", broken=broken)
    out = place.disk / "out" / stage.name
    film = out / FILM_NAME
    bench = Bench(
        stage=stage,
        place=place,
        recorder=recorder,
        recording=recording,
        film_sha256=film_sha256 or file_sha256(film),
        edl=(out / EDL_NAME).read_bytes(),
        clips=stage.clip_hashes(),
    )
    faults = [str(fault) for fault in bench._judge(recording.exit_code, found, 0)]
    assert not faults, f"an undisturbed run went wrong: {faults}"
    # What the model says is there must be what is there, or it models something else.
    tree = recording.disk_after(len(recording.calls)).left(Loss.NOTHING)
    really = {str(path.relative_to(place.disk)): path for path in place.disk.rglob("*")}
    assert tree.keys() == really.keys(), sorted(tree.keys() ^ really.keys())
    assert [name for name, data in tree.items() if data != _content(really[name])] == []
    return bench


def cut_points(recording: Recording, count: int, *, seed: int) -> list[int]:
    """So many different moments, as numbers of calls: those beside each sync and rename first.

    All there are where ``count`` is more.
    """
    # Replays, nothing secret.
    chance = random.Random(seed)
    calls = recording.calls
    beside = {n + side for n, call in enumerate(calls) if call.kind in _NAMING for side in (0, 1)}
    others = sorted(set(range(len(calls) + 1)) - beside)
    chosen = sorted(beside)
    if len(chosen) > count:
        chosen = chance.sample(chosen, count)
    return sorted([*chosen, *chance.sample(others, min(count - len(chosen), len(others)))])


def cuts_at(points: Sequence[int], *, seed: int) -> list[Cut]:
    """Each of these moments with each loss."""
    return [
        Cut(calls=calls, loss=loss, seed=seed + number)
        for number, calls in enumerate(points)
        for loss in Loss
    ]


def _content(path: Path) -> object:
    if path.is_symlink():
        return Symlink(str(path.readlink()))
    return None if path.is_dir() else path.read_bytes()


def _result(cuts: tuple[Cut, ...], wreck: Wreck, faults: Sequence[Fault]) -> Result:
    return Result(cuts=cuts, faults=tuple(faults), bought=wreck.bought, unread=wreck.unread)
