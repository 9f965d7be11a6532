"""How parts of a film may give way to each other: the names producers write, and ffmpeg's own."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pipeline.film.spec import CUT

# What ``xfade`` offers from ffmpeg 5.1 on. Its "dissolve" is left out: it is a dissolve of noise,
# and ours is the cross-fade that editors call so. "custom" needs an expression.
# Source: ffmpeg 5.1, ``ffmpeg -h filter=xfade``.
XFADES = (
    *("fade", "fadeblack", "fadewhite", "fadegrays", "fadefast", "fadeslow", "distance", "hblur"),
    *("wipeleft", "wiperight", "wipeup", "wipedown", "wipetl", "wipetr", "wipebl", "wipebr"),
    *("slideleft", "slideright", "slideup", "slidedown"),
    *("smoothleft", "smoothright", "smoothup", "smoothdown"),
    *("circlecrop", "circleopen", "circleclose", "rectcrop", "radial", "pixelize"),
    *("vertopen", "vertclose", "horzopen", "horzclose", "squeezeh", "squeezev", "zoomin"),
    *("diagtl", "diagtr", "diagbl", "diagbr", "hlslice", "hrslice", "vuslice", "vdslice"),
)

# Editors' words and the ``xfade`` that is meant.
_NAMED: Mapping[str, str] = MappingProxyType(
    {"dissolve": "fade", "fade-black": "fadeblack", "fade-white": "fadewhite"}
)

# Everything that a manifest may name.
TRANSITIONS = (CUT, *_NAMED, *XFADES)


def xfade_of(kind: str) -> str:
    """The name of the ``xfade`` that makes a transition, which is no hard cut.

    Raises:
        KeyError: there is no such transition.
    """
    if kind in XFADES:
        return kind
    return _NAMED[kind]
