"""``storyboard conform``: make the film again from the clips on disk; no network, no money."""

from __future__ import annotations

import argparse
import json
import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.commands.options import add_manifests, add_out, add_output_style
from pipeline.errors import ExitCode, StoryboardError, gravest

if TYPE_CHECKING:
    from pipeline.journal import Journal
    from pipeline.model import Storyboard

HELP = "join the clips on disk into the film again"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = "Join the paid, checked clips on disk into the film. Sends nothing."
    parser.epilog = "example:\n  storyboard conform manifests/aurora-bottle.yaml"
    add_manifests(parser)
    add_out(parser)
    add_output_style(parser)


def main(args: argparse.Namespace) -> int:
    """Make each film whose clips are all there; say what is missing for the others."""
    import anyio  # noqa: PLC0415 - this and the next are slow to import

    from pipeline.commands.inputs import load, provider_of  # noqa: PLC0415
    from pipeline.commands.jobs import plan_job  # noqa: PLC0415
    from pipeline.filming import make_film, open_studio  # noqa: PLC0415
    from pipeline.journal import Journal  # noqa: PLC0415
    from pipeline.ledger import fold  # noqa: PLC0415
    from pipeline.media.ffmpeg import find_ffmpeg  # noqa: PLC0415
    from pipeline.planning import film_cut  # noqa: PLC0415
    from pipeline.report import Messages, Progress, film_text  # noqa: PLC0415
    from pipeline.summary import Outcome, summarise, write_summary  # noqa: PLC0415
    from pipeline.workspace import find_folder  # noqa: PLC0415

    messages = Messages(sys.stderr, quiet=args.quiet)
    loaded = load(args, messages)
    codes = list(loaded.codes)
    studio = open_studio(find_ffmpeg(os.environ))

    summaries = []

    def remake(storyboard: Storyboard, journal: Journal, folder: Path) -> str:
        ledger = fold(journal.events())
        job = plan_job(args, storyboard, folder, ledger)
        cut = film_cut(job.plan, ledger)
        if cut is None:
            raise StoryboardError(
                f"{storyboard.name}: not every shot has its clip",
                hint="see `storyboard plan`; `storyboard run` gets them",
            )
        progress = Progress(messages, takes=0, films=1, bar=sys.stderr.isatty())
        work = partial(
            make_film,
            storyboard,
            cut,
            folder,
            recorded=None,
            studio=studio,
            on_progress=partial(progress.film, storyboard.name),
        )
        try:
            film = anyio.run(work)
        finally:
            progress.close()
        outcome = Outcome(
            plan=job.plan, ledger=ledger, folder=folder, exit_code=ExitCode.DONE, film=film
        )
        summary = summarise(outcome, job.estimate, job.provider)
        write_summary(folder, summary)
        summaries.append(summary | {"folder": str(folder)})
        return film_text(outcome, film)

    for storyboard in loaded.storyboards:
        folder = find_folder(args.out, storyboard.name, provider_of(args, storyboard))
        try:
            with Journal(folder) as journal:
                text = remake(storyboard, journal, folder)
                if not args.json and not args.quiet:
                    sys.stdout.write(f"{text}\n")
        except StoryboardError as exc:
            messages.error(str(exc))
            codes.append(exc.exit_code)
    if args.json:
        text = json.dumps({"runs": summaries}, indent=2, ensure_ascii=False)
        sys.stdout.write(f"{text}\n")
    return gravest([*codes, ExitCode.DONE])
