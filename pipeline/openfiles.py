"""How many files and connections this process may have open at a time."""

from __future__ import annotations

import resource

# More than any run needs; a limit that is higher by much slows down the starting of children.
_ENOUGH = 4096


def open_file_limit() -> int:
    """The limit, after raising it as far as the system lets anybody and a run may need."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH)
    if soft != resource.RLIM_INFINITY and soft < most:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        except (OSError, ValueError):
            return soft
        return most
    return _ENOUGH if soft == resource.RLIM_INFINITY else soft
