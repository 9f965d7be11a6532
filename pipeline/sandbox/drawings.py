"""What is to be drawn for a task: its inputs, in either dialect, as a specification."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from pipeline.sandbox.animatic import AnimaticSpec
from pipeline.sandbox.bill import usd
from pipeline.sandbox.encoder import Container
from pipeline.sandbox.runware_orders import Kind, kind_of, tier_of
from pipeline.sandbox.store import Task

# What the slate calls a picture that is no reference.
_TAGS = {Kind.TEXT: ("TEXT",), Kind.FRAME: ("FIRST FRAME",), Kind.EDIT: ("VIDEO EDIT",)}


def spec_of(task: Task, index: int, *, uploads: Path) -> AnimaticSpec:
    """The clip number ``index`` (from 0) of a task; input files lie in ``uploads``."""
    files = tuple(uploads / name for name in task.image_files)
    form = task.inputs.get("outputFormat")
    if not isinstance(form, str):
        return AnimaticSpec(
            images=files,
            prompt=task.prompt,
            duration_s=int(str(task.inputs["duration"])),
            resolution=str(task.inputs["resolution"]),
            title="",
            price_usd=usd(task.price_micro_usd),
        )
    kind = kind_of(task.inputs)
    return AnimaticSpec(
        images=() if kind is Kind.EDIT else files,
        video=files[0] if kind is Kind.EDIT else None,
        prompt=task.prompt,
        duration_s=Decimal(str(task.inputs["duration"])),
        resolution=tier_of(task.inputs),
        title="" if task.results == 1 else f"{index + 1} of {task.results}",
        price_usd=usd(task.price_micro_usd // task.results),
        size_px=_size_px(task),
        take=index + 1,
        container=Container(form.lower()),
        quality=int(str(task.inputs["outputQuality"])),
        tags=_TAGS.get(kind, ()),
    )


def _size_px(task: Task) -> tuple[int, int] | None:
    width_px, height_px = task.inputs.get("width"), task.inputs.get("height")
    if isinstance(width_px, int) and isinstance(height_px, int):
        return width_px, height_px
    return None
