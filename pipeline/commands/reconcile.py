"""``storyboard reconcile``: the journals beside the provider's bill. Reads; spends nothing."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Collection
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.capabilities import is_free
from pipeline.commands.options import add_manifests, add_out, add_output_style
from pipeline.errors import ExitCode, UsageError, gravest

if TYPE_CHECKING:
    from pipeline.account import AccountStore, KnownTask
    from pipeline.reconciling import Reconciliation

HELP = "compare what was spent with the provider's own bill"
_NOTHING = "nothing was submitted yet, so there is nothing to compare"
_GONE = (
    "  gone: bought by a journal that is not there any more. If it was moved, name its manifest;\n"
    "  else `storyboard resolve SHOT MANIFEST --adopt TASK` fetches the clip for its shot."
)
# As long as the provider keeps a clip, so that what is found can still be fetched.
_LOOKED_BACK = timedelta(days=7)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = (
        "Ask the provider for its bill and name every difference: charges that no journal knows\n"
        "(orphans), tasks of the last week whose journal is gone, prices other than expected,\n"
        "tasks without a charge, refunds. Refunds are written into the journals. Exit 0 where all\n"
        "agrees, 1 where something does not."
    )
    parser.epilog = "example:\n  storyboard reconcile --provider wavespeed manifests/*.yaml"
    add_manifests(parser)
    add_out(parser)
    add_output_style(parser)


def main(args: argparse.Namespace) -> int:
    """Compare all the storyboards named, as one account.

    Raises:
        UsageError: they belong to different providers, or nothing was submitted yet.
    """
    from contextlib import ExitStack  # noqa: PLC0415 - this and the next are only for here

    import anyio  # noqa: PLC0415

    from pipeline.account import AccountStore  # noqa: PLC0415
    from pipeline.commands.inputs import load, provider_of  # noqa: PLC0415
    from pipeline.embedded import embedded_sandbox  # noqa: PLC0415
    from pipeline.journal import Journal  # noqa: PLC0415
    from pipeline.ledger import EventKind, fold  # noqa: PLC0415
    from pipeline.reconciling import FindingKind, reconcile  # noqa: PLC0415
    from pipeline.report import Messages  # noqa: PLC0415
    from pipeline.session import read_bill  # noqa: PLC0415
    from pipeline.settings import read_access, read_settings  # noqa: PLC0415
    from pipeline.workspace import SANDBOX_FOLDER, account_file, find_folder  # noqa: PLC0415

    loaded = load(args, Messages(sys.stderr, quiet=args.quiet))
    providers = {provider_of(args, storyboard) for storyboard in loaded.storyboards}
    if len(providers) > 1:
        raise UsageError("the storyboards belong to different providers", hint="use --provider")
    if not providers:
        return gravest(loaded.codes)
    (provider,) = providers
    settings = read_settings(os.environ)
    with ExitStack() as stack:
        journals = {}
        for storyboard in loaded.storyboards:
            folder = find_folder(args.out, storyboard.name, provider)
            journals[storyboard.name] = stack.enter_context(Journal(folder))
        attempts = {
            attempt.attempt_id: (name, attempt)
            for name, journal in journals.items()
            for attempt in fold(journal.events()).attempts
            if attempt.task_id is not None and attempt.provider == provider
        }
        if not attempts and is_free(provider):
            raise UsageError(_NOTHING)
        if is_free(provider):
            server = embedded_sandbox(args.out / SANDBOX_FOLDER / "server", os.environ)
            access = stack.enter_context(server)
        else:
            access = read_access(provider, os.environ)
        file = account_file(settings, args.out, provider, access.account)
        account = stack.enter_context(AccountStore(file))
        ours = {attempt.task_id for _, attempt in attempts.values()}
        gone = [] if is_free(provider) else _gone(account, ours)
        times = [attempt.intended_at for _, attempt in attempts.values()]
        times += [task.at for task in gone]
        if not times:
            raise UsageError(_NOTHING)
        rows = anyio.run(partial(read_bill, provider, access, min(times) - timedelta(hours=1)))
        result = reconcile(
            [attempt for _, attempt in attempts.values()],
            rows,
            known_elsewhere=account.knows_task,
            gone=[task.task_id for task in gone],
        )
        refunds = {f.task_id: f for f in result.findings if f.kind is FindingKind.REFUND}
        for name, attempt in attempts.values():
            if (refund := refunds.get(attempt.task_id or "")) is not None:
                data = {"usd": str(refund.billed_usd)}
                journals[name].append(attempt.attempt_id, EventKind.REFUNDED, data)
    sys.stdout.write(_as_json(result) if args.json else _as_text(result))
    code = ExitCode.DONE if result.agrees else ExitCode.SHOT_FAILED
    return gravest([*loaded.codes, code])


def _gone(account: AccountStore, ours: Collection[str | None]) -> list[KnownTask]:
    """The account's tasks of the last week that stand neither in the journals named nor in the
    one that they were written into: it was deleted, or put back from an older copy."""
    from datetime import UTC, datetime  # noqa: PLC0415 - these are only for here

    from pipeline.errors import StorageError  # noqa: PLC0415
    from pipeline.journal import read_events  # noqa: PLC0415
    from pipeline.ledger import fold  # noqa: PLC0415

    def tasks_in(folder: str) -> set[str | None]:
        try:
            return {attempt.task_id for attempt in fold(read_events(Path(folder))).attempts}
        except StorageError:
            return set()

    tasks = account.tasks_since(datetime.now(UTC) - _LOOKED_BACK)
    strangers = [task for task in tasks if task.task_id not in ours]
    known = {folder: tasks_in(folder) for folder in {task.folder for task in strangers} if folder}
    return [task for task in strangers if task.task_id not in known.get(task.folder, ())]


def _as_json(result: Reconciliation) -> str:
    from pipeline.pricing import usd_text  # noqa: PLC0415 - only here

    data = {
        "agrees": result.agrees,
        "spent_usd": usd_text(result.spent_usd),
        "billed_usd": usd_text(result.billed_usd),
        "refunded_usd": usd_text(result.refunded_usd),
        "findings": [
            {
                "kind": finding.kind.value,
                "task_id": finding.task_id,
                "slate": finding.slate,
                "billed_usd": usd_text(finding.billed_usd),
                "expected_usd": usd_text(finding.expected_usd),
            }
            for finding in result.findings
        ],
    }
    return json.dumps(data, indent=2) + "\n"


def _as_text(result: Reconciliation) -> str:
    from pipeline.pricing import dollars  # noqa: PLC0415 - only here
    from pipeline.report import table  # noqa: PLC0415

    lines = []
    if result.findings:
        rows = [
            (
                finding.kind.value,
                finding.slate or "-",
                dollars(finding.billed_usd),
                dollars(finding.expected_usd),
                finding.task_id,
            )
            for finding in result.findings
        ]
        headers = ("finding", "take", "billed", "expected", "task")
        lines.append(table(headers, rows, numeric=(2, 3)))
    if any(finding.kind.value == "gone" for finding in result.findings):
        lines.append(_GONE)
    verdict = "journal and bill agree" if result.agrees else "journal and bill do NOT agree"
    lines.append(
        f"  {verdict}: spent {dollars(result.spent_usd)}, billed {dollars(result.billed_usd)}, "
        f"refunded {dollars(result.refunded_usd)}"
    )
    return "\n".join(lines) + "\n"
