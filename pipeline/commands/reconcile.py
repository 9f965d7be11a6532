"""``storyboard reconcile``: the journals beside the provider's bill. Reads; spends nothing."""

from __future__ import annotations

import argparse
import json
import os
import sys
from functools import partial
from typing import TYPE_CHECKING

from pipeline.capabilities import is_free
from pipeline.commands.options import add_manifests, add_out, add_output_style
from pipeline.errors import ExitCode, UsageError, gravest

if TYPE_CHECKING:
    from pipeline.reconciling import Reconciliation

HELP = "compare what was spent with the provider's own bill"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = (
        "Ask the provider for its bill and name every difference: charges that no journal knows\n"
        "(orphans), prices other than expected, tasks without a charge, refunds. Refunds are\n"
        "written into the journals. Exit 0 where all agrees, 1 where something does not."
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
    from datetime import timedelta  # noqa: PLC0415

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
        if not attempts:
            raise UsageError("nothing was submitted yet, so there is nothing to compare")
        if is_free(provider):
            server = embedded_sandbox(args.out / SANDBOX_FOLDER / "server", os.environ)
            access = stack.enter_context(server)
        else:
            access = read_access(provider, os.environ)
        since = min(attempt.intended_at for _, attempt in attempts.values()) - timedelta(hours=1)
        rows = anyio.run(partial(read_bill, provider, access, since))
        file = account_file(settings, args.out, provider, access.account)
        account = stack.enter_context(AccountStore(file))
        result = reconcile(
            [attempt for _, attempt in attempts.values()], rows, known_elsewhere=account.knows_task
        )
        refunds = {f.task_id: f for f in result.findings if f.kind is FindingKind.REFUND}
        for name, attempt in attempts.values():
            if (refund := refunds.get(attempt.task_id or "")) is not None:
                data = {"usd": str(refund.billed_usd)}
                journals[name].append(attempt.attempt_id, EventKind.REFUNDED, data)
    sys.stdout.write(_as_json(result) if args.json else _as_text(result))
    code = ExitCode.DONE if result.agrees else ExitCode.SHOT_FAILED
    return gravest([*loaded.codes, code])


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
    verdict = "journal and bill agree" if result.agrees else "journal and bill do NOT agree"
    lines.append(
        f"  {verdict}: spent {dollars(result.spent_usd)}, billed {dollars(result.billed_usd)}, "
        f"refunded {dollars(result.refunded_usd)}"
    )
    return "\n".join(lines) + "\n"
