"""Find out about a submission whose id we chose, where its answer was lost.

The provider refuses an id that it has seen, so sending the same task again under the same id
cannot buy a second one. Only its yes proves anything, though: a refusal of the second sending is
about that sending alone, and says nothing of the first.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from pipeline.errors import (
    ConfigurationError,
    KeyRefused,
    ProviderError,
    Rejected,
    SubmissionInDoubt,
    UnknownTask,
)
from pipeline.ledger import Attempt
from pipeline.production import Services
from pipeline.providers.records import read_request

# How long a provider that lets us choose ids is sure to refuse one that it has seen; longer is
# likely, but nowhere said.
_IDS_REMEMBERED = timedelta(hours=24)
# A `Date` header counts whole seconds, and answers take their time.
_CLOCK_SLACK = timedelta(seconds=120)
_ASKS = 5
# "No such task" is believed only if it is said twice, a settle time apart.
_NOES = 2


async def ask_by_id(
    services: Services,
    attempt: Attempt,
    task_id: str,
    *,
    permit: Callable[[], str],
    put_url: str | None = None,
) -> str | None:
    """The task's id where it exists now; None where it is proved that none does.

    Args:
        permit: called right before it is sent again; why that may not be, empty where it may.
        put_url: where the present manifest has its clip uploaded to.
    Raises:
        SubmissionInDoubt: the provider does not decide it; a person must.
    """
    said = ""
    for number in range(_ASKS):
        if number:
            await services.clock.sleep(services.settings.settle_s)
        try:
            await services.look(task_id, attempt.results)
        except UnknownTask:
            pass
        except (Rejected, ConfigurationError) as exc:
            raise _cannot_ask(attempt, exc) from exc
        except ProviderError as exc:
            # The question failed; an answer to the submission says as much.
            said = exc.message
            if task_id not in services.sent_at and services.provider.server_ahead_s is None:
                # Not even its clock is known, by which the id may be forgotten: ours may be wrong.
                continue
        else:
            return task_id
        if why_not := _too_old(services, attempt, task_id) or permit():
            return await _look_only(services, attempt, task_id, why_not)
        try:
            return await _send_again(services, attempt, task_id, put_url)
        except KeyRefused as exc:
            raise _cannot_ask(attempt, exc) from exc
        except Rejected:
            return await _look_only(services, attempt, task_id)
        except (ProviderError, ConfigurationError) as exc:
            said = exc.message
    raise _undecided(attempt, said)


async def _send_again(
    services: Services, attempt: Attempt, task_id: str, put_url: str | None
) -> str:
    request = read_request(
        attempt.request or {},
        model=attempt.model,
        task_id=task_id,
        webhook_url=services.webhook_url,
        put_url=put_url,
    )
    return await services.provider.submit(request)


async def _look_only(
    services: Services, attempt: Attempt, task_id: str, why_not_sent: str = ""
) -> str | None:
    """What the task and the archive say, once they must show whatever the submission made.

    Args:
        why_not_sent: empty where it was sent again and refused.
    Returns:
        The id; None where it was refused and neither knows it. A task that they know nothing of
        and that was not sent again may be there all the same.
    """
    settings, clock = services.settings, services.clock
    longest_s = settings.submit_timeout_s + settings.settle_s
    trusted_at = attempt.intended_at + timedelta(seconds=longest_s)
    wait_s = (trusted_at - clock.utc()).total_seconds()
    await clock.sleep(min(max(wait_s, settings.settle_s), longest_s))
    said, noes = "", 0
    for number in range(_ASKS):
        if number:
            await clock.sleep(settings.settle_s)
        try:
            if await _is_known(services, attempt, task_id):
                return task_id
        except (Rejected, ConfigurationError) as exc:
            raise _cannot_ask(attempt, exc) from exc
        except ProviderError as exc:
            said = exc.message
            continue
        noes += 1
        if noes == _NOES:
            break
    if noes < _NOES:
        raise _undecided(attempt, said)
    if not why_not_sent:
        return None
    raise SubmissionInDoubt(
        f"the provider shows no task of its id, which does not prove that there is none; "
        f"{why_not_sent}",
        hint=hint_of(attempt),
    )


async def _is_known(services: Services, attempt: Attempt, task_id: str) -> bool:
    """Whether the provider shows the task, or its archive does."""
    try:
        await services.look(task_id, attempt.results)
    except UnknownTask:
        return await services.provider.details(task_id)
    return True


def _too_old(services: Services, attempt: Attempt, task_id: str) -> str:
    """Why its id may be forgotten by now, so that it must not be sent again; empty where it may.

    Of a submission of this run the time is known. Of an earlier one it is reckoned by the
    provider's clock; where that is not known of both ends, the longest that it may have been holds.
    """
    sent_s = services.sent_at.get(task_id)
    if sent_s is not None:
        age_s = services.clock.monotonic() - sent_s
    else:
        age_s = (services.clock.utc() - attempt.intended_at).total_seconds()
        now_s, then_s = services.provider.server_ahead_s, attempt.server_ahead_s
        if now_s is not None and then_s is not None:
            age_s += now_s - then_s
        elif then_s is not None:
            age_s += max(0.0, -then_s)
        elif now_s is not None:
            age_s += max(0.0, now_s)
    if age_s > _IDS_REMEMBERED.total_seconds():
        return "it was sent over a day ago, so that it is not sent again"
    if age_s < -_CLOCK_SLACK.total_seconds():
        return "the clock was wrong when it was sent, so that it is not sent again"
    return ""


def hint_of(attempt: Attempt) -> str:
    """The cure where a person must decide."""
    return f"see `storyboard resolve` for shot {attempt.shot_id}"


def _cannot_ask(attempt: Attempt, exc: Rejected | ConfigurationError) -> SubmissionInDoubt:
    return SubmissionInDoubt(f"cannot ask: {exc.message}", hint=hint_of(attempt))


def _undecided(attempt: Attempt, said: str) -> SubmissionInDoubt:
    return SubmissionInDoubt(
        f"the provider does not say what became of it{f': {said}' if said else ''}",
        hint=hint_of(attempt),
    )
