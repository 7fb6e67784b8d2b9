"""Text cleaning that adapters share: one line, first words, numbers."""

import math


def one_line(text: str | None) -> str:
    """The text with all white space collapsed to single spaces; "" for None."""
    return " ".join((text or "").split())


def first_words(text: str, count: int | None) -> str:
    """The text on one line, cut to its first `count` words; None cuts nothing."""
    return " ".join(text.split()[:count])


def number_in(text: str) -> float | None:
    """The finite number that a text spells; None for any other text."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
