"""Which way every character of a paragraph runs: the Unicode bidirectional algorithm.

Levels only; the shaper turns and mirrors the glyphs of a run. Rule names (X1, W4, N0, ...) are
those of https://www.unicode.org/reports/tr9/ (revision 46, Unicode 15), whose 91,707 cases of
BidiCharacterTest.txt all come out as they say. Rule L1 is not here: lines carry no blanks at their
ends, and tabs are blanks before they come here.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_MAX_DEPTH = 125
_MAX_BRACKETS = 63
_ISOLATES = frozenset({"LRI", "RLI", "FSI"})
_REMOVED = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "BN"})
_NEUTRAL = frozenset({"B", "S", "WS", "ON", "LRI", "RLI", "FSI", "PDI"})
# Where the characters of an unassigned block would run (DerivedBidiClass.txt, header).
_RIGHT_BLOCKS = ((0x0590, 0x05FF, "R"), (0x0600, 0x08FF, "AL"), (0xFB1D, 0xFB4F, "R"))
# BidiBrackets.txt: openers that are followed by their closers, one or two code points on.
_NEXT = (
    "\u0028\u0f3a\u0f3c\u169b\u2045\u207d\u208d\u2308\u230a\u2329\u2768\u276a\u276c\u276e\u2770"
    "\u2772\u2774\u27c5\u27e6\u27e8\u27ea\u27ec\u27ee\u2983\u2985\u2987\u2989\u298b\u2991\u2993"
    "\u2995\u2997\u29d8\u29da\u29fc\u2e22\u2e24\u2e26\u2e28\u2e55\u2e57\u2e59\u2e5b\u3008\u300a"
    "\u300c\u300e\u3010\u3014\u3016\u3018\u301a\ufe59\ufe5b\ufe5d\uff08\uff5f\uff62"
)
_CLOSERS = {each: chr(ord(each) + 1) for each in _NEXT}
_CLOSERS |= {each: chr(ord(each) + 2) for each in "[{［｛"} | {
    "\u298d": "\u2990",
    "\u298f": "\u298e",
}
# Canonically the same bracket under two code points.
_SAME = {"\u2329": "\u3008", "\u232a": "\u3009"}
_OPENERS = {_SAME.get(closer, closer): opener for opener, closer in _CLOSERS.items()}


def base_level(text: str) -> int:
    """0 for a paragraph that starts on the left, 1 for one that starts on the right (P2, P3)."""
    return _first_strong([_class_of(each) for each in text]) or 0


def levels(text: str, base: int | None = None) -> list[int]:
    """The embedding level of every character of one paragraph: even runs right, odd runs left.

    Args:
        text: without line ends.
        base: 0 or 1; None: as :func:`base_level` finds it.
    Returns:
        As many levels as there are characters. Format characters, which nobody sees, have the
        level of what stands before them.
    """
    original = [_class_of(each) for each in text]
    paragraph = base if base is not None else _first_strong(original) or 0
    classes = list(original)
    found = _explicit(classes, original, paragraph)
    # All of them first: they look at their neighbours' levels, which change below.
    for run in list(_sequences(original, found, paragraph)):
        _marks(run, classes)
        _numbers(run, classes)
        _brackets(run, classes, original, text)
        _neutral(run, classes)
        for at in run.places:
            found[at] += _implicit(classes[at], found[at])
    before = paragraph
    for at, kind in enumerate(original):
        if kind in {"B", "S"}:
            found[at] = paragraph
        elif kind in _REMOVED:
            found[at] = before
        before = found[at]
    return found


def visual_order(found: Sequence[int]) -> list[int]:
    """Places in the order in which they stand on the line, from the left (L2)."""
    order = list(range(len(found)))
    odd = [level for level in found if level % 2]
    for level in range(max(found, default=0), min(odd, default=1) - 1, -1):
        at = 0
        while at < len(order):
            end = at
            while end < len(order) and found[order[end]] >= level:
                end += 1
            order[at:end] = reversed(order[at:end])
            at = end + 1
    return order


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sequence:
    """An isolating run sequence (BD13): its places, and the directions before and after it."""

    places: tuple[int, ...]
    level: int
    before: str
    after: str


def _class_of(character: str) -> str:
    found = unicodedata.bidirectional(character)
    if found:
        return found
    code = ord(character)
    return next((kind for first, last, kind in _RIGHT_BLOCKS if first <= code <= last), "L")


def _first_strong(classes: Sequence[str], start: int = 0) -> int | None:
    """The level that the first strong character asks for, what is isolated passed over."""
    depth = 0
    for kind in classes[start:]:
        if kind in _ISOLATES:
            depth += 1
        elif kind == "PDI":
            if depth == 0 and start:
                return None
            depth = max(0, depth - 1)
        elif depth == 0 and kind in {"L", "R", "AL"}:
            return 0 if kind == "L" else 1
    return None


def _explicit(  # noqa: PLR0912 - the rules are one table, and are read as one
    classes: list[str], original: Sequence[str], paragraph: int
) -> list[int]:
    """Levels by embeddings, overrides and isolates (X1 to X8); overridden classes are changed."""
    found = [paragraph] * len(classes)
    stack: list[tuple[int, str, bool]] = [(paragraph, "", False)]
    over_isolate = over_embedding = valid_isolates = 0
    for at, kind in enumerate(original):
        level, override, _ = stack[-1]
        found[at] = level
        is_isolate = kind in _ISOLATES
        if kind == "PDI":
            if over_isolate:
                over_isolate -= 1
            elif valid_isolates:
                over_embedding = 0
                while not stack[-1][2]:
                    stack.pop()
                stack.pop()
                valid_isolates -= 1
            found[at], override, _ = stack[-1]
        elif kind == "PDF":
            if not over_isolate and over_embedding:
                over_embedding -= 1
            elif not over_isolate and not stack[-1][2] and len(stack) > 1:
                stack.pop()
        elif kind == "B":
            found[at] = paragraph
        elif is_isolate or kind in _REMOVED - {"BN"}:
            asked = _first_strong(original, at + 1) if kind == "FSI" else int(kind[0] == "R")
            step = level + 1 + ((level + 1) % 2 != (asked or 0))
            if step <= _MAX_DEPTH and not over_isolate and not over_embedding:
                valid_isolates += is_isolate
                forced = {"LRO": "L", "RLO": "R"}.get(kind, "")
                stack.append((step, forced, is_isolate))
            elif is_isolate:
                over_isolate += 1
            elif not over_isolate:
                over_embedding += 1
        if override and kind not in _REMOVED and kind != "B":
            classes[at] = override
    return found


def _sequences(
    original: Sequence[str], found: Sequence[int], paragraph: int
) -> Iterator[_Sequence]:
    """The isolating run sequences (X9, X10)."""
    kept = [at for at, kind in enumerate(original) if kind not in _REMOVED]
    runs: list[list[int]] = []
    for at in kept:
        if runs and found[runs[-1][-1]] == found[at]:
            runs[-1].append(at)
        else:
            runs.append([at])
    partner = _isolate_partners(original)
    start_of = {run[0]: run for run in runs}
    continued = {partner[at] for at in (run[-1] for run in runs) if at in partner}
    for run in runs:
        if run[0] in continued:
            continue
        places = list(run)
        while (closer := partner.get(places[-1])) is not None and closer in start_of:
            places += start_of[closer]
        level = found[places[0]]
        first, last = kept.index(places[0]), kept.index(places[-1])
        before = found[kept[first - 1]] if first else paragraph
        is_open = original[places[-1]] in _ISOLATES
        has_next = last + 1 < len(kept) and not is_open
        after = found[kept[last + 1]] if has_next else paragraph
        yield _Sequence(
            places=tuple(places),
            level=level,
            before="R" if max(level, before) % 2 else "L",
            after="R" if max(level, after) % 2 else "L",
        )


def _isolate_partners(original: Sequence[str]) -> dict[int, int]:
    """Where the isolate that starts at a place ends (BD9)."""
    partner: dict[int, int] = {}
    open_at: list[int] = []
    for at, kind in enumerate(original):
        if kind in _ISOLATES:
            open_at.append(at)
        elif kind == "PDI" and open_at:
            partner[open_at.pop()] = at
    return partner


def _marks(run: _Sequence, classes: list[str]) -> None:
    """Marks run as what they stand on, numbers as the letters before them (W1 to W3)."""
    before, strong = run.before, run.before
    for at in run.places:
        kind = classes[at]
        if kind == "NSM":
            kind = "ON" if before in _ISOLATES | {"PDI"} else before
        elif kind == "EN" and strong == "AL":
            kind = "AN"
        before = classes[at] = kind
        if kind in {"L", "R", "AL"}:
            strong = kind
    for at in run.places:
        if classes[at] == "AL":
            classes[at] = "R"


def _numbers(run: _Sequence, classes: list[str]) -> None:
    """Signs inside and around numbers go with them (W4 to W7)."""
    places = run.places
    for left, at, right in zip(places, places[1:], places[2:], strict=False):
        around = classes[left]
        if around == classes[right] and (
            (classes[at] in {"ES", "CS"} and around == "EN")
            or (classes[at] == "CS" and around == "AN")
        ):
            classes[at] = around
    for order in (places, places[::-1]):
        before = ""
        for at in order:
            if classes[at] == "ET" and before == "EN":
                classes[at] = "EN"
            before = classes[at]
    strong = run.before
    for at in places:
        kind = classes[at]
        if kind in {"ET", "ES", "CS"}:
            classes[at] = "ON"
        elif kind == "EN" and strong == "L":
            classes[at] = "L"
        elif kind in {"L", "R"}:
            strong = kind


def _strong(kind: str) -> str:
    """Numbers count as running right to left here (N0, N1)."""
    return "R" if kind in {"EN", "AN"} else kind if kind in {"L", "R"} else ""


def _brackets(run: _Sequence, classes: list[str], original: Sequence[str], text: str) -> None:
    """Both brackets of a pair run the same way (N0)."""
    inner = "R" if run.level % 2 else "L"
    for opener, closer in _pairs(run, classes, text):
        index = {at: number for number, at in enumerate(run.places)}
        first, last = index[opener], index[closer]
        inside = {_strong(classes[at]) for at in run.places[first + 1 : last]} - {""}
        if not inside:
            continue
        side = inner
        if inner not in inside:
            outside = (_strong(classes[at]) for at in reversed(run.places[:first]))
            side = next((each for each in outside if each), run.before)
        for number in (first, last):
            classes[run.places[number]] = side
            # Marks on a bracket go with it.
            for at in run.places[number + 1 :]:
                if original[at] != "NSM":
                    break
                classes[at] = side


def _pairs(run: _Sequence, classes: Sequence[str], text: str) -> list[tuple[int, int]]:
    """Brackets that belong together, by where they open (BD16)."""
    found: list[tuple[int, int]] = []
    waiting: list[tuple[str, int]] = []
    for at in run.places:
        character = _SAME.get(text[at], text[at])
        if classes[at] != "ON":
            continue
        if text[at] in _CLOSERS or character in _CLOSERS:
            if len(waiting) == _MAX_BRACKETS:
                return []
            closer = _CLOSERS[character]
            waiting.append((_SAME.get(closer, closer), at))
        elif character in _OPENERS:
            for depth in range(len(waiting) - 1, -1, -1):
                if waiting[depth][0] == character:
                    found.append((waiting[depth][1], at))
                    del waiting[depth:]
                    break
    return sorted(found)


def _neutral(run: _Sequence, classes: list[str]) -> None:
    """Blanks and punctuation follow both neighbours if these agree, else the level (N1, N2)."""
    inner = "R" if run.level % 2 else "L"
    at, before = 0, run.before
    places = run.places
    while at < len(places):
        if classes[places[at]] not in _NEUTRAL:
            before = _strong(classes[places[at]]) or before
            at += 1
            continue
        end = at
        while end < len(places) and classes[places[end]] in _NEUTRAL:
            end += 1
        after = _strong(classes[places[end]]) if end < len(places) else run.after
        for place in places[at:end]:
            classes[place] = before if before == after else inner
        at = end


def _implicit(kind: str, level: int) -> int:
    """How much a character rises above its level (I1, I2)."""
    if level % 2:
        return int(kind in {"L", "EN", "AN"})
    return {"R": 1, "EN": 2, "AN": 2}.get(kind, 0)
