"""Ids for tasks of providers that let us choose them: the same take, the same id. Pure.

Such a provider refuses an id that it has seen, so an id that follows from what is bought cannot be
bought twice: not after a crash, not by a second process, not even with the journal deleted. The
definition is part of every task ever made; it must not change.
"""

from __future__ import annotations

import hashlib
import json


def choose_task_id(
    *, account: str, storyboard: str, fingerprint: str, number: int, results: int
) -> str:
    """A version 4 shaped UUID, lower case.

    Args:
        number: of tasks of this content that exist, or may, in the storyboard, from 0. A
            submission that was refused made none, so its number is given out again: without the
            journal, nobody would know that there was one.
        results: how many clips the task makes; another number is another task.
    """
    parts = [account, storyboard, fingerprint, number, results]
    text = json.dumps(parts, ensure_ascii=True, separators=(",", ":"))
    digest = hashlib.sha256(b"storyboard task\n" + text.encode("ascii")).hexdigest()
    # The version and variant bits of RFC 4122; the other 122 are the digest's.
    variant = "89ab"[int(digest[16], 16) % 4]
    return f"{digest[:8]}-{digest[8:12]}-4{digest[13:16]}-{variant}{digest[17:20]}-{digest[20:32]}"
