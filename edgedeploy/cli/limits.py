"""How a limit in percent is written on the command line; apart from ``cycles``, so that reading words loads nothing."""

from __future__ import annotations

LIMIT_OPTION = "--fail-if-slower"


def join_percent(words: list[str]) -> list[str]:
    """Return a command line's words with a percent sign that stands alone put to the limit before it.

    Example:
        >>> join_percent(["--fail-if-slower", "1", "%"])
        ['--fail-if-slower', '1 %']
    """
    joined: list[str] = []
    for word in words:
        is_limit = joined[-2:-1] == [LIMIT_OPTION] or (bool(joined) and joined[-1].startswith(f"{LIMIT_OPTION}="))
        if word == "%" and is_limit:
            joined[-1] += " %"
        else:
            joined.append(word)
    return joined
