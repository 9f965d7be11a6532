"""What people read: tables for results, one line for each problem, a bar or lines for progress.

Results are text for stdout; progress and messages go to stderr. No colours and no control
characters, except for the bar on a terminal.
"""

from __future__ import annotations

import shutil
import sys
import textwrap
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import IO, TYPE_CHECKING, Any

from pipeline.capabilities import is_free
from pipeline.errors import ExitCode
from pipeline.film.naming import film_line
from pipeline.ledger import DOUBTFUL, FREE, Attempt, Ledger
from pipeline.model import Storyboard
from pipeline.planning import Action, Plan
from pipeline.pricing import Estimate, dollars
from pipeline.summary import FilmRecord, Outcome, former_film
from pipeline.text import clean

if TYPE_CHECKING:
    from tqdm import tqdm

# Of work on a film: how long what need not be made is counted, and the share that must be done
# before its pace tells when the rest will be.
_REUSE_S, _TELLING_SHARE = 1.0, 0.03
# Characters beside a bar that still is one on a screen of 80 columns.
_BAR_WORDS = 50
# Where nothing tells the width of the reader's screen.
_LOG_WIDTH = 100
_NARROWEST = 40


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], numeric: Sequence[int]) -> str:
    """Columns under headers, two blanks apart; the last column is cut to the screen's width.

    Args:
        numeric: indices of the columns that are set flush right.
    """
    cells = [list(headers), *(list(row) for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(headers))]
    room = screen_width() - sum(widths[:-1]) - 2 * len(widths)
    lines = []
    for row in cells:
        parts = [
            cell.rjust(widths[i]) if i in numeric else cell.ljust(widths[i])
            for i, cell in enumerate(row)
        ]
        if len(row[-1]) > max(room, 12):
            parts[-1] = row[-1][: max(room, 12) - 1] + "…"
        lines.append(("  " + "  ".join(parts)).rstrip())
    return "\n".join(lines)


def screen_width() -> int:
    """Columns of the reader's screen, or a fair guess where there is none."""
    fallback = (_LOG_WIDTH, 24)
    return max(_NARROWEST, shutil.get_terminal_size(fallback).columns)


def estimate_text(storyboard: Storyboard, estimate: Estimate, provider: str) -> str:
    """The price of every shot and of all, with the list that the prices come from."""
    rows = [
        (
            line.shot_id,
            f"{_plain(line.billed_s)} s",
            line.resolution.value,
            str(line.references),
            str(line.takes),
            dollars(line.total_usd),
        )
        for line in estimate.lines
    ]
    seconds = sum((line.billed_s * line.takes for line in estimate.lines), Decimal(0))
    takes = sum(line.takes for line in estimate.lines)
    rows.append(("total", f"{_plain(seconds)} s", "", "", str(takes), dollars(estimate.total_usd)))
    body = table(
        ("shot", "length", "size", "images", "takes", "price"), rows, numeric=(1, 2, 3, 4, 5)
    )
    return f"{heading(storyboard)}\n{body}\n{_price_note(estimate, provider)}"


def plan_text(plan: Plan, estimate: Estimate, provider: str) -> str:
    """What a run would do with every take, and the money before and after it."""
    rows = [
        (
            take.slate,
            take.action.value,
            dollars(take.price_usd) if take.action is Action.BUY else "-",
            clean(take.reason, limit=300),
        )
        for take in plan.takes
    ]
    rows += [
        (orphan.slate, "look", "-", "in doubt, and no shot asks for it any more; never sent again")
        if orphan.state in DOUBTFUL
        else (orphan.slate, "fetch", "-", "paid, but no shot asks for it any more")
        for orphan in plan.orphans
    ]
    body = table(("take", "action", "price", "why"), rows, numeric=(2,))
    parts = [f"estimate {dollars(estimate.total_usd)}", f"spent {dollars(plan.spent_usd)}"]
    if plan.reserved_usd:
        parts.append(f"in doubt {dollars(plan.reserved_usd)}")
    parts.append(f"to buy {dollars(plan.buy_usd)}")
    if plan.storyboard.budget_usd is not None:
        parts.append(f"budget {dollars(plan.storyboard.budget_usd)}")
    lines = [heading(plan.storyboard), body]
    if plan.storyboard.film is not None:
        told = textwrap.wrap(
            film_line(plan.storyboard),
            screen_width(),
            initial_indent="  ",
            subsequent_indent="    ",
        )
        lines += told
    return "\n".join([*lines, f"  {' · '.join(parts)}", _price_note(estimate, provider)])


def heading(storyboard: Storyboard) -> str:
    """Title and name of a storyboard on one line."""
    title = clean(storyboard.title, limit=120)
    return title if title == storyboard.name else f"{title} ({storyboard.name})"


def _place(attempt: Attempt, plan: Plan) -> str:
    """Whether a take still shows what the manifest asks for."""
    current = {take.attempt.attempt_id for take in plan.takes if take.attempt is not None}
    return "" if attempt.attempt_id in current else "of an earlier version"


def _plain(seconds: Decimal) -> str:
    """Seconds without zeros that say nothing."""
    return f"{seconds.normalize():f}"


def duration_text(seconds: float) -> str:
    """A length as people write it: ``30.0 s``, from a minute on ``1:05.0``."""
    # Rounded first, or 119.96 s would read 1:60.0.
    tenths = round(seconds * 10)
    if tenths < 600:
        return f"{tenths / 10:.1f} s"
    return f"{tenths // 600}:{tenths % 600 / 10:04.1f}"


def outcome_text(outcome: Outcome, provider: str) -> str:
    """How a run ended: the film's path last, or what stands in its way."""
    storyboard = outcome.plan.storyboard
    lines = [
        f"{result.slate}: {clean(result.message, limit=400)}"
        for result in outcome.takes
        if result.message and result.message != outcome.message
    ]
    if outcome.message and outcome.exit_code is not ExitCode.DONE:
        lines.append(clean(outcome.message, limit=400))
    money = _money(outcome.ledger, provider)
    if outcome.film is None:
        why = "every shot asked for is ready" if outcome.exit_code is ExitCode.DONE else "not made"
        former = former_film(outcome.folder)
        none = "no film yet" if former is None else f"no new film ({former.name} is an earlier one)"
        state = f"{storyboard.name}: {none}, {why}; {money}"
        return "\n".join([*lines, state])
    return "\n".join([*lines, f"{storyboard.name}: {money}", film_text(outcome, outcome.film)])


def film_text(outcome: Outcome, film: FilmRecord) -> str:
    """A finished film, what else was made of its cut, and its path last."""
    facts = f"{duration_text(film.duration_s)}, {film.width_px}x{film.height_px}"
    lines = [f"{outcome.plan.storyboard.name}: {facts}"]
    if film.deliverables:
        rows = [
            (
                each["file"],
                duration_text(each["duration_s"]),
                f"{each['width_px']}x{each['height_px']}",
                "" if each["integrated_lufs"] is None else f"{each['integrated_lufs']:.1f} LUFS",
                "as it was" if each["reused"] else "new",
            )
            for each in film.deliverables
        ]
        lines.append(table(("file", "length", "size", "loudness", ""), rows, numeric=(1, 2, 3)))
    return "\n".join([*lines, str(outcome.folder / film.path)])


def status_text(outcome: Outcome, provider: str) -> str:
    """Every take that the journal knows, and the money."""
    storyboard, ledger = outcome.plan.storyboard, outcome.ledger
    rows = [
        (
            attempt.slate,
            attempt.state.value,
            "-" if attempt.state in FREE else dollars(attempt.cost_usd),
            attempt.task_id or "-",
            clean(attempt.reason, limit=300) or _place(attempt, outcome.plan),
        )
        for attempt in ledger.attempts
    ]
    lines = [heading(storyboard)]
    if rows:
        lines.append(table(("take", "state", "cost", "task", "why"), rows, numeric=(2,)))
    else:
        lines.append("  nothing has been submitted yet")
    lines.append(f"  {_money(ledger, provider)}")
    if outcome.film is not None:
        lines.append(f"  film {outcome.folder / outcome.film.path}, up to date")
    else:
        left = sum(take.action is not Action.KEEP for take in outcome.plan.takes)
        lines.append(f"  no film yet, or not up to date; takes left to do: {left}")
    return "\n".join(lines)


def start_times_note(takes: int, submits_per_minute: int, max_tasks: int) -> str:
    """How the account's limits stretch a run; empty where they do not."""
    last_start_s = (takes - 1) // submits_per_minute * 60
    if last_start_s < 60:
        return ""
    return (
        f"  the account may start {submits_per_minute} tasks a minute and run {max_tasks} at once: "
        f"the last of {takes} starts after {timedelta(seconds=last_start_s)} or later"
    )


def _money(ledger: Ledger, provider: str) -> str:
    if is_free(provider):
        return f"free on the sandbox (would have cost {dollars(ledger.spent_usd)})"
    text = f"spent {dollars(ledger.spent_usd)}"
    return f"{text}, in doubt {dollars(ledger.reserved_usd)}" if ledger.reserved_usd else text


def _price_note(estimate: Estimate, provider: str) -> str:
    card = estimate.card
    source = f"{card.provider}'s price list of {card.read_on.isoformat()}"
    who = "sandbox: free" if is_free(provider) else f"paid to {provider}"
    return "\n".join(f"  {line}" for line in (*estimate.notes, f"{who}; prices as on {source}"))


class Messages:
    """Writes to stderr: problems, notes, errors. ``quiet`` leaves only errors."""

    def __init__(self, stream: IO[str], *, quiet: bool = False) -> None:
        self._stream = stream
        self.quiet = quiet

    def say(self, text: str) -> None:
        """A note that a person may like to read."""
        if not self.quiet:
            self.error(text)

    def error(self, text: str) -> None:
        """Something that must be read; a reader who has gone away, or a log on a full disk, is
        no reason to stop."""
        try:
            self._stream.write(f"{text}\n")
            self._stream.flush()
        except (OSError, ValueError):
            pass


@dataclass(slots=True, kw_only=True)
class _Pace:
    """How fast a film comes along, from ``since_s`` on, when ``share`` of it was done."""

    began_s: float
    since_s: float
    share: float = 0.0

    def left_s(self, now_s: float, share: float) -> float | None:
        """Seconds to go; None while nothing can be said."""
        if now_s - self.began_s <= _REUSE_S:
            # What is taken as it was comes in at once, and says nothing of the rest.
            self.since_s, self.share = now_s, share
        if share - self.share < _TELLING_SHARE:
            return None
        return (1 - share) * (now_s - self.since_s) / (share - self.share)


def _left_text(seconds: float) -> str:
    """``40 s left``, from a minute on ``1:05 left``."""
    whole = max(1, round(seconds))
    if whole < 60:
        return f"{whole} s left"
    clock = timedelta(seconds=whole)
    return f"{clock} left" if whole >= 3600 else f"{whole // 60}:{whole % 60:02} left"


class Progress:
    """Shows a run's progress: a bar on a terminal, a line for each step in a log."""

    def __init__(
        self,
        messages: Messages,
        *,
        takes: int,
        films: int,
        bar: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``clock`` gives seconds, of which only differences count."""
        self._messages = messages
        self._clock = clock
        self._paces: dict[str, _Pace] = {}
        self._many = films > 1
        self._steps = takes + films
        self._phases: dict[str, str] = {}
        self._film_shown: dict[str, int] = {}
        self._bar: tqdm[Any] | None = None
        if bar and not messages.quiet:
            from tqdm import tqdm  # noqa: PLC0415 - 50 ms that only a terminal needs

            self._bar = tqdm(
                total=self._steps,
                unit="step",
                file=sys.stderr,
                leave=False,
                dynamic_ncols=True,
                bar_format="{l_bar}{bar}| {n:.1f}/{total} [{elapsed}{postfix}]",
            )

    def take(self, storyboard: str, slate: str, phase: str, detail: str = "") -> None:
        """A take entered a phase; the same phase again only moves the bar's clock."""
        name = f"{storyboard} {slate}" if self._many else slate
        before = self._phases.get(name)
        self._phases[name] = phase
        if self._bar is not None:
            self._refresh(self._bar)
        elif phase != before:
            text = f"{name}: {phase}"
            self._messages.say(f"{text} {clean(detail, limit=200)}" if detail else text)

    def film(self, storyboard: str, fraction: float) -> None:
        """Part of the work on a film that is done, 0 to 1.

        A log gets a line each quarter of work that is long enough to tell when it will end.
        """
        now_s = self._clock()
        pace = self._paces.setdefault(storyboard, _Pace(began_s=now_s, since_s=now_s))
        left_s = pace.left_s(now_s, fraction)
        before = self._film_shown.get(storyboard, 0)
        percent = min(100, int(fraction * 100))
        if percent <= before:
            return
        self._film_shown[storyboard] = percent
        left = "" if left_s is None or percent == 100 else f", {_left_text(left_s)}"
        if self._bar is not None:
            self._phases[f"film {storyboard}"] = f"film {percent} %{left}"
            self._refresh(self._bar)
        elif percent == 100 or (left and percent // 25 > before // 25):
            self._messages.say(f"{storyboard}: film {percent} %{left}")

    def note(self, storyboard: str, text: str) -> None:
        """Something a person should know while the run goes on."""
        line = f"{storyboard}: {text}"
        if self._bar is not None:
            # The bar itself bears a terminal that has gone away; this line must as well.
            with suppress(OSError):
                self._bar.write(line, file=sys.stderr)
        else:
            self._messages.say(line)

    def clear(self) -> None:
        """Make room on the screen for other lines; the bar comes back with the next step."""
        if self._bar is not None:
            self._bar.clear()

    def close(self) -> None:
        """Take the bar off the screen."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _refresh(self, bar: tqdm[Any]) -> None:
        # Counted anew each time: a hundred hundredths added up are a little more than one, and a
        # take that no shot asks for was not counted on; tqdm complains of both on the screen.
        ready = sum(phase == "ready" for phase in self._phases.values())
        bar.n = min(ready + sum(self._film_shown.values()) / 100, self._steps)
        counts: dict[str, int] = {}
        for phase in self._phases.values():
            if phase != "ready":
                counts[phase] = counts.get(phase, 0) + 1
        words = [f"{count} {phase}" if count > 1 else phase for phase, count in counts.items()]
        while len(", ".join(words)) > _BAR_WORDS:
            words.pop()
        bar.set_postfix_str(", ".join(words), refresh=True)
