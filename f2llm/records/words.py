"""The words of a text: what stands between spaces, and the letters of scripts that are written without them.

Chinese, Japanese, Thai, Lao, Khmer and Burmese set no word apart. There each letter, with the marks on it, is a token
that is worth part of a word, so that limits and runs of words ask for as much content as in English. In messages of
software, 1.5 Chinese characters say what an English word does; beside them kana have 3.6, Thai 3.4 letters a word
(docs/curation.md). Korean sets words apart, and so do all other scripts.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Letters(NamedTuple):
    """The letters of some scripts."""

    codes: tuple[tuple[int, int], ...]  # first and last code point of each block
    worth: int  # of a letter, in WORD-ths of a word
    wide: int  # characters of an English text that a letter stands for in a shingle


WORD = 21  # what a word is worth; 1.5 letters of 14 make one, and 3.5 of 6
HAN = Letters(
    ((0x2E80, 0x2FDF), (0x3005, 0x3007), (0x3021, 0x3029), (0x3038, 0x303B), (0x3400, 0x4DBF), (0x4E00, 0x9FFF),
     (0xF900, 0xFAFF), (0x20000, 0x3FFFD)), worth=14, wide=4,
)  # fmt: skip
KANA = Letters(((0x3041, 0x30FF), (0x31F0, 0x31FF), (0xFF66, 0xFF9F), (0x1AFF0, 0x1B16F)), worth=6, wide=2)
# Thai and Lao, Burmese, Khmer: vowels and tones are characters too, so one character holds what it does in English.
OTHERS = Letters(((0x0E01, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0xA9E0, 0xA9FE), (0xAA60, 0xAA7F)), 6, 1)
UNSPACED = (HAN, KANA, OTHERS)


# One character of the blocks; a letter is a word character, but no digit. `re` finds these several times as fast as
# `regex` does, and most texts have none.
_IN_BLOCKS = "".join(f"{chr(first)}-{chr(last)}" for script in UNSPACED for first, last in script.codes)
_LETTER = rf"[{_IN_BLOCKS}](?<=[^\W\d_])"
_MARKS = rf"(?:[{_IN_BLOCKS}](?<=\W)|[\u0300-\u036f\u3099\u309a\ufe00-\ufe0f\U000e0100-\U000e01ef])*"
_LETTERS = re.compile(_LETTER)
_HAN = re.compile("[" + "".join(f"{chr(first)}-{chr(last)}" for first, last in HAN.codes) + r"](?<=[^\W\d_])")
# A letter with its marks, or what stands together beside such letters; and the spaces behind it.
_TOKEN = re.compile(rf"(?:{_LETTER}{_MARKS}|(?:[^\s{_IN_BLOCKS}]|[{_IN_BLOCKS}](?<![^\W\d_]))+)\s*")
_IDLE_SPACE = re.compile(rf"({_LETTER}{_MARKS}) | (?={_LETTER})")
_IN_WORD = re.compile(r"[^\W_]")
_BLOCKS = sorted((*block, script.wide) for script in UNSPACED for block in script.codes)
_BOUNDS = np.array([[first, last + 1] for first, last, _ in _BLOCKS], np.uint32).ravel()
_WIDTHS = np.array([1, *(width for *_, wide in _BLOCKS for width in (wide, 1))], np.int64)


def is_latin(text: str) -> bool:
    """Whether a text has no character beyond U+00FF; told at once for those that have none."""
    try:
        text.encode("latin-1")  # such texts lie in memory like this
    except UnicodeEncodeError:
        return False
    return True


def has_unspaced(text: str) -> bool:
    """Whether a text has a letter of a script without spaces."""
    return not text.isascii() and not is_latin(text) and _LETTERS.search(text) is not None


def count_words(text: str) -> int:
    """Number of words; letters of scripts without spaces count in part, and together at least one."""
    if not has_unspaced(text):
        return len(text.split())
    han, letters = len(_HAN.findall(text)), len(_LETTERS.findall(text))
    words = sum(_IN_WORD.search(piece) is not None for piece in _LETTERS.sub(" ", text).split())
    return max(1, (han * HAN.worth + (letters - han) * KANA.worth + words * WORD) // WORD)


def count_form_words(form: str) -> int:
    """Number of words of an E2 form, which has single spaces between them."""
    return count_words(form) if has_unspaced(form) else form.count(" ") + bool(form)


def first_words(text: str, count: int | None) -> str:
    """The text on one line, cut to its first `count` words; None cuts nothing."""
    if count is None or not has_unspaced(text):
        return " ".join(text.split()[:count])
    line, left = " ".join(text.split()), count * WORD
    for token in _TOKEN.finditer(line):
        left -= _worth(token[0])
        if left < 0:
            return line[: token.start()].rstrip()
    return line


def tokens_of(text: str) -> Iterator[str]:
    """Yield the words of a text and its letters of scripts without spaces, each with the white space behind it."""
    return (token[0] for token in _TOKEN.finditer(text))


def spaced(form: str) -> str:
    """An E1 or E2 form with single spaces between all its tokens: words, and letters of scripts without spaces."""
    return " ".join(token.rstrip() for token in _TOKEN.findall(form)) if has_unspaced(form) else form


def without_idle_spaces(form: str) -> str:
    """An E2 form without the spaces beside letters of scripts that have none."""
    return _IDLE_SPACE.sub(r"\1", form) if has_unspaced(form) else form


def worths_of(tokens: Sequence[str]) -> list[int]:
    """What each token of a `spaced` form is worth, in WORD-ths of a word."""
    return [_worth(token) or WORD for token in tokens]


def widths_of(codes: NDArray[np.uint32]) -> NDArray[np.int64] | None:
    """How many characters of an English text each code point stands for; None if all stand for one."""
    if codes.max(initial=0) < _BOUNDS[0]:
        return None
    high = np.flatnonzero(codes >= _BOUNDS[0])
    wide = _WIDTHS[np.searchsorted(_BOUNDS, codes[high], side="right")]
    if wide.max() == 1:
        return None
    widths = np.ones(len(codes), np.int64)
    widths[high] = wide
    return widths


def _worth(token: str) -> int:
    if _LETTERS.match(token):
        return HAN.worth if _HAN.match(token) else KANA.worth
    return WORD if _IN_WORD.search(token) else 0
