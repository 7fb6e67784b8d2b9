"""The guard that tells a copy (same words, or more) from a look-alike (other numbers, negations, names, signs).

No similarity threshold separates a copy from a passage with one number or name changed
(docs/curation.md has the measurements), so the difference itself is looked at.
"""

import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import regex
from rapidfuzz.distance import DamerauLevenshtein

from f2llm.records.text_keys import without_tags
from f2llm.records.words import has_unspaced, spaced

NEGATIONS = frozenset({"not", "no", "never", "cannot", "without", "non", "t", "disable", "disabled", "false"})
# Of scripts without spaces: not, have not, do not, cannot and need not in Chinese, not in Thai. A prefix of one letter
# ("unknown") is a letter more, and Japanese negates by the ending of a word, which is a swap.
_NEGATION = re.compile("[\u4e0d\u6ca1\u6c92\u52ff]|[\u65e0\u7121][\u6cd5\u9700]|\u0e44\u0e21\u0e48")
COPIES = frozenset({"same", "spacing", "insert"})  # say the same: one of the two may go
ALIKE = COPIES | {"typo"}  # may say the same: both stay, but neither is a negative for the other
SHORTEST_TYPO = 3  # letters of the shorter word
MOST_PAIRS = 40_000  # of differing words; texts that differ more are no misspellings of each other
_DIGIT = regex.compile(r"\p{N}")
_DASH = regex.compile(r"[\p{Pd}\u2212]")  # one minus, however it is typed
# Signs whose change is another statement. A hyphen inside a word is spelling, elsewhere it is a minus.
_SIGN = regex.compile(r"[\p{Sm}\p{Sc}%#*/^&@]|(?<!\w)-|-(?!\w)")

_HYPHEN = re.compile(r"-(?=\w)(?<=\w-)", re.ASCII)  # the literal first: found at once
_NO_SIGNS = bytes(code for code in range(128) if not re.match(r"[-+<=>|~$%#*/^&@]", chr(code)))


class ComparedText(NamedTuple):
    """The two forms of a text that the guard compares."""

    words: str  # E2 form
    signs: str  # `signs_of` the E1 form


def signs_of(e1: str) -> str:
    """The meaningful signs of an E1 form, in order: mathematical, currency, %, #, *, /, ^, &, @, minus.

    Signs of HTML tags mean nothing.
    """
    e1 = without_tags(e1)
    if e1.isascii():  # the same, several times as fast
        plain = _HYPHEN.sub("", e1) if "-" in e1 else e1
        return plain.encode().translate(None, _NO_SIGNS).decode()
    return "".join(_SIGN.findall(_DASH.sub("-", e1)))


def difference(left: ComparedText, right: ComparedText) -> str:
    """How two texts differ: same, spacing, insert, typo, number, negation, sign or swap. Symmetric.

    "same": the same words; "spacing": but for spaces inside words; "insert": one has all words
    of the other and more; "typo": the differing words are one edit apart; "number",
    "negation", "sign": those differ; "swap": a word stands for another.

    Misspellings and other words cannot be told apart by their letters (abduction and
    adduction, xpu and npu), hence "typo" is alike but no copy. In scripts without spaces
    letters are compared like words.
    """
    # From the surest sign of another statement to the weakest: the first that applies decides.
    extra = _extra(*(spaced(text.words).split() for text in (left, right)))
    signs = _extra(left.signs, right.signs)
    if not extra[0] and not extra[1]:
        return "sign" if signs[0] or signs[1] else "same"
    numbers = [[word for word in words if _DIGIT.search(word)] for words in extra]
    if numbers[0] and numbers[1]:
        return "number"
    if _negations(left.words, extra[0]) != _negations(right.words, extra[1]):
        return "negation"
    if signs[0] and signs[1]:
        return "sign"
    if not extra[0] or not extra[1]:
        # A single letter of a script without spaces may be missing, or make another word.
        return "typo" if len(more := extra[0] + extra[1]) == 1 and has_unspaced(more[0]) else "insert"
    if "".join(extra[0]) == "".join(extra[1]):
        return "spacing"
    return "typo" if _misspelt(*sorted(map(sorted, extra), key=lambda words: (len(words), words))) else "swap"


def _negations(form: str, extra: Sequence[str]) -> tuple[frozenset[str], list[str]]:
    """The negations among the words that another text lacks, and all of the form in scripts without spaces."""
    return NEGATIONS.intersection(extra), sorted(_NEGATION.findall(form)) if has_unspaced(form) else []


def _extra(left: Sequence[str], right: Sequence[str]) -> tuple[list[str], list[str]]:
    """What each of two bags has beyond the other, in the order of its first appearance."""
    if left == right:
        return [], []
    counts = Counter(left), Counter(right)
    changed = {value for value, _ in counts[0].items() ^ counts[1].items()}
    return (
        [value for value in counts[0] if value in changed for _ in range(counts[0][value] - counts[1][value])],
        [value for value in counts[1] if value in changed for _ in range(counts[1][value] - counts[0][value])],
    )


def _misspelt(fewer: list[str], more: list[str]) -> bool:
    """Whether each of the `fewer` words pairs up with a misspelling of it among `more`."""
    if len(fewer) * len(more) > MOST_PAIRS:
        return False
    free = list(more)
    for word in fewer:
        misspelling = next((other for other in free if _is_typo(word, other)), None)
        if misspelling is None:
            return False
        free.remove(misspelling)
    return True


def _is_typo(word: str, other: str) -> bool:
    if _DIGIT.search(word) or _DIGIT.search(other) or min(len(word), len(other)) < SHORTEST_TYPO:
        return False
    return DamerauLevenshtein.distance(word, other, score_cutoff=1) <= 1
