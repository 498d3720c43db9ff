"""The one exception type for mistakes that the user can mend."""

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(ValueError):
    """A mistake in a command, a config or the data. The message names the culprit and the fix.

    Commands print it as one line and end with exit code 2; in a sweep it stays an exception.
    """


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `` Did you mean 'x'?`` where one of the known words is close, else an empty string."""
    close = get_close_matches(word, [str(k) for k in known], n=1, cutoff=0.6)
    return f" Did you mean {close[0]!r}?" if close else ""


def first_few(names: Iterable[object], count: int = 5) -> str:
    """Join the first names with commas and say how many follow."""
    listed = [str(name) for name in names]
    more = f", and {len(listed) - count:,} more" if len(listed) > count else ""
    return ", ".join(listed[:count]) + more
