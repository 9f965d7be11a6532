"""The verdict on a seed, from the provider's ledger and what lies on the disk.

What the program says of itself is held against these, and counts for nothing else.
"""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

from simulation.fittings import prompt_of
from simulation.run import Stage
from simulation.world import SPOILT_FATES, Task, clip_bytes, read_clip

from pipeline.errors import ExitCode
from pipeline.ledger import DOUBTFUL, Attempt, AttemptState, Ledger

# A life is one run of the program; none lasts longer, whatever the world does to it.
LIFE_LIMIT_S = 7200.0
# Wall clocks count microseconds, and their sums round.
_ROUNDING_S = 1e-5
_CENT = Decimal("0.01")
_HOPELESS = frozenset({AttemptState.FAILED, AttemptState.LOST, AttemptState.DAMAGED})
# With a submission in doubt, a run that says one of these hides it.
_NO_WORD_OF_A_DOUBT = frozenset(
    {ExitCode.DONE, ExitCode.SHOT_FAILED, ExitCode.UNAVAILABLE, ExitCode.TRY_LATER}
)
# A clip that came damaged this often is given up, paid as it is.
_DAMAGE_BORNE = 3
_DAY_S = 86_400.0


def judge(stage: Stage) -> list[str]:
    """Every promise that was broken; nothing where all were kept."""
    breaches = [*stage.world.violations, *_limits(stage), *_billing(stage)]
    ledgers = {board.name: stage.ledger(board) for board in stage.storyboards}
    attempts = [attempt for ledger in ledgers.values() for attempt in ledger.attempts]
    breaches += _books(stage, attempts)
    breaches += [
        f"life {ended.life} lasted {ended.ended_s - ended.began_s:.0f} s"
        for ended in stage.ended
        if ended.ended_s - ended.began_s > LIFE_LIMIT_S
    ]
    for board in stage.storyboards:
        breaches += _ending(stage, board.name, ledgers[board.name], attempts)
        if ledgers[board.name].spent_usd > (board.budget_usd or 0):
            breaches.append(f"{board.name}: over its budget")
    breaches += [
        f"life {ended.life} ends with {ended.code!r} and {ended.doubts} submissions in doubt"
        for ended in stage.ended
        if ended.doubts and ended.code in _NO_WORD_OF_A_DOUBT
    ]
    return breaches


def _limits(stage: Stage) -> list[str]:
    """The account's limits as the provider sees them: by arrival, whatever became of it."""
    scenario, world = stage.scenario, stage.world
    breaches: list[str] = []
    if scenario.forgets is not None:
        # Who takes the journal away takes with it what is under way.
        return breaches
    arrivals_s = sorted(world.arrivals_s)
    for first_s, one_too_many_s in zip(arrivals_s, arrivals_s[scenario.starts :], strict=False):
        if one_too_many_s - first_s < scenario.window_s - _ROUNDING_S:
            breaches.append(
                f"LIMIT: {scenario.starts + 1} submissions within {one_too_many_s - first_s:.2f} s"
            )
            break
    # An end before a beginning at the same moment.
    changes = [(task.created_s, 1) for task in world.ours]
    changes += [(task.ends_s, -1) for task in world.ours]
    running = 0
    for at_s, change in sorted(changes):
        running += change
        if running > scenario.max_tasks:
            breaches.append(f"LIMIT: {running} tasks at once at {at_s:.2f} s")
            break
    return breaches


def _billing(stage: Stage) -> list[str]:
    """No content is billed more often than takes of it are wanted; a failed one included."""
    edited = [board[0] for board in stage.boards if board not in stage.scenario.boards]
    wanted: Counter[str] = Counter()
    orders = {}
    for shot in (*stage.scenario.shots, *edited):
        wanted[prompt_of(shot.key)] += shot.takes
        orders[prompt_of(shot.key)] = (shot.duration_s, shot.resolution)
    billed: Counter[str] = Counter()
    for task in stage.world.ours:
        billed[str(task.body["prompt"])] += task.results
    breaches = [
        f"PAID TWICE: {count} clips for {wanted[prompt]} takes of {prompt!r}"
        for prompt, count in billed.items()
        if count > wanted[prompt]
    ]
    for task in stage.world.ours:
        body = task.body
        if (body["duration"], body["resolution"]) != orders[str(body["prompt"])]:
            breaches.append(f"task {task.task_id} is not what was ordered")
        if set(body) != {"prompt", "images", "duration", "resolution"}:
            breaches.append(f"a submission with the keys {sorted(body)}")
        if stage.scenario.uploads and not all(
            url in stage.world.uploaded for url in body["images"]
        ):
            breaches.append("a submission names an image that was never uploaded")
    return breaches


def _books(stage: Stage, attempts: list[Attempt]) -> list[str]:
    """Journal against bill: every task known once, and the same sum on both sides."""
    world = stage.world
    breaches = []
    known = Counter(a.task_id for a in attempts if a.task_id is not None)
    breaches += [
        f"task {task_id} is in the journal {n} times"
        for task_id, n in known.items()
        if n != (world.tasks[task_id].results if task_id in world.tasks else 1)
    ]
    foreign = [a for a in attempts if a.task_id is not None and not _is_ours(world.tasks, a)]
    breaches += [f"{a.slate} took over a stranger's task" for a in foreign]
    doubtful = Counter(
        str((a.request or {}).get("prompt")) for a in attempts if a.state in DOUBTFUL
    )
    for task in world.ours:
        if known[task.task_id]:
            continue
        prompt = str(task.body["prompt"])
        if doubtful[prompt] <= 0:
            breaches.append(f"task {task.task_id} is paid and no journal knows it")
        doubtful[prompt] -= 1
    spent_usd = sum((a.price_usd for a in attempts if _has_task(a)), Decimal(0))
    reserved_usd = sum((a.price_usd for a in attempts if a.state in DOUBTFUL), Decimal(0))
    bill_usd = world.billed_cents * _CENT
    if not spent_usd <= bill_usd <= spent_usd + reserved_usd:
        breaches.append(f"journal says ${spent_usd} (+ ${reserved_usd} open), bill ${bill_usd}")
    return breaches


def _ending(stage: Stage, name: str, ledger: Ledger, attempts: list[Attempt]) -> list[str]:
    """The last life's exit code against what there is on disk and why."""
    world = stage.world
    last = [ended for ended in stage.ended if ended.board == name][-1]
    breaches = []
    explained = {
        ExitCode.DONE: True,
        ExitCode.SHOT_FAILED: any(_is_spoilt(world.tasks, a) for a in attempts),
        ExitCode.IN_DOUBT: any(
            _is_undecidable(stage, a, attempts) for a in attempts if a.state in DOUBTFUL
        ),
        ExitCode.OVER_BUDGET: stage.scenario.short_budget,
    }
    if last.code is None or not explained.get(last.code, False):
        breaches.append(f"{name} ends with {last.code!r} in a calm world, unexplained")
    # An edit may cost more than is left: then nothing at all is done until a person has decided.
    is_held_up = last.code is ExitCode.OVER_BUDGET and stage.scenario.edits is not None
    for attempt in () if is_held_up else ledger.attempts:
        task = world.tasks.get(attempt.task_id or "")
        if task is None:
            continue
        clip = stage.folder / name / "clips" / (attempt.clip or "none")
        if attempt.state is AttemptState.VERIFIED:
            if not clip.is_file() or clip.read_bytes() != clip_bytes(task.task_id, task.body):
                breaches.append(f"{attempt.slate}: its clip is not that of its task")
        elif attempt.state not in _HOPELESS or not _is_spoilt(world.tasks, attempt):
            breaches.append(f"{attempt.slate} is paid and not fetched: {attempt.state}")
    if last.code is ExitCode.DONE:
        breaches += _film(stage, name)
        if any(a.state in DOUBTFUL for a in ledger.attempts):
            breaches.append(f"{name} says done with a submission in doubt")
    job = stage.job(next(b for b in stage.storyboards if b.name == name), ledger)
    if last.code is ExitCode.DONE and not job.is_finished:
        breaches.append(f"{name} says done, but another run would find work")
    return breaches


def _film(stage: Stage, name: str) -> list[str]:
    """The film is one whole clip a shot, in order, each of a task made for that shot."""
    board = stage.boards[int(name.removeprefix("board"))]
    film = stage.folder / name / "film.mp4"
    if not film.is_file():
        return [f"{name} says done and there is no film"]
    content, at = film.read_bytes(), 0
    for shot in board:
        letters = 36 if stage.scenario.provider == "runware" else 32
        order = {"duration": shot.duration_s, "resolution": shot.resolution}
        sample = clip_bytes("0" * letters, order)
        piece = content[at : at + len(sample)]
        at += len(sample)
        found = read_clip(piece)
        task = stage.world.tasks.get(found[0]) if found is not None else None
        if task is None or task.body["prompt"] != prompt_of(shot.key):
            return [f"{name}: the film shows something else for {shot.shot_id}"]
    return [] if at == len(content) else [f"{name}: the film is too long"]


def _is_undecidable(stage: Stage, attempt: Attempt, attempts: list[Attempt]) -> bool:
    """Whether what the history shows leaves open what became of a submission."""
    scenario, world = stage.scenario, stage.world
    if scenario.provider == "runware":
        return _is_past_asking(stage, attempt)
    if scenario.history_off_s == float("inf"):
        return True
    known = {a.task_id for a in attempts}
    nobodys = [task for task in world.tasks.values() if task.task_id not in known]
    prompt = (attempt.request or {}).get("prompt")
    alike = [task for task in nobodys if task.body["prompt"] == prompt]
    if scenario.echo == "exact":
        return len(alike) > 1
    if scenario.echo == "rewritten":
        return bool(alike)
    return bool(nobodys)


def _is_past_asking(stage: Stage, attempt: Attempt) -> bool:
    """Whether a submission under an id of ours may stay open: asking again is always an answer,
    but nobody may ask again for what no shot wants, or by an id that may be forgotten; and that a
    task is not shown proves nothing."""
    scenario, world = stage.scenario, stage.world
    if attempt.chosen_id in world.tasks:
        return False
    # Another shot may ask for the same: it has a submission of its own.
    wanted = {shot.shot_id: prompt_of(shot.key) for board in stage.boards for shot in board}
    is_unasked = wanted.get(attempt.shot_id) != str((attempt.request or {}).get("prompt"))
    # Of the very first submission the provider's clock is not known yet.
    is_blind = attempt.server_ahead_s is None and scenario.skew_s >= _DAY_S
    return is_unasked or is_blind or bool(scenario.clock_ahead_s)


def _is_spoilt(tasks: dict[str, Task], attempt: Attempt) -> bool:
    """Whether the world saw to it that this attempt gives no clip."""
    task = tasks.get(attempt.task_id or "")
    return task is not None and (task.fate in SPOILT_FATES or task.bad_clips >= _DAMAGE_BORNE)


def _has_task(attempt: Attempt) -> bool:
    return attempt.task_id is not None


def _is_ours(tasks: dict[str, Task], attempt: Attempt) -> bool:
    task = tasks.get(attempt.task_id or "")
    return task is not None and task.ours
