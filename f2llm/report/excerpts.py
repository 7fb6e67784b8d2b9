"""Two texts side by side, cut to where they can be compared, with the words that only one of them has marked."""

from collections.abc import Sequence
from difflib import SequenceMatcher
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from f2llm.records.sql import rows_at
from f2llm.records.tables import read_batches
from f2llm.records.words import tokens_of

WORDS_SHOWN = 60
WORDS_BEFORE = 12  # of what is compared
MOST_WORDS = 2000  # looked at
MOST_CHARACTERS = 300


class Piece(NamedTuple):
    """A part of a text."""

    text: str
    marked: bool  # the other text does not have it here


def side_by_side(left: str, right: str) -> tuple[list[Piece], list[Piece]]:
    """Both texts in pieces, from a little before their first difference."""
    left_words, right_words = _words(left), _words(right)
    pairs = zip(_keys(left_words), _keys(right_words), strict=False)
    shorter, longer = sorted((len(left_words), len(right_words)))
    same = next((place for place, (left_key, right_key) in enumerate(pairs) if left_key != right_key), shorter)
    start = max(0, min(same - WORDS_BEFORE, longer - WORDS_SHOWN))
    return _marked((left_words, right_words), starts=(start, start))


def found_inside(text: str, part: str) -> tuple[list[Piece], list[Piece]]:
    """A text, from a little before where it has the most of `part`, and `part`, both in pieces."""
    words, wanted = _words(text), _words(part)
    match = SequenceMatcher(None, _keys(words), _keys(wanted), autojunk=False).find_longest_match()
    return _marked((words, wanted), starts=(max(0, match.a - match.b - WORDS_BEFORE), 0))


def _words(text: str) -> list[str]:
    return list(islice(tokens_of(text[: 20 * MOST_WORDS]), MOST_WORDS))


def _keys(words: Sequence[str]) -> list[str]:
    """What of words is compared."""
    return [word.strip().casefold() for word in words]


def _marked(words: tuple[Sequence[str], Sequence[str]], *, starts: tuple[int, int]) -> tuple[list[Piece], list[Piece]]:
    windows = [slice(start, start + WORDS_SHOWN) for start in starts]
    shown = [side_words[window] for side_words, window in zip(words, windows, strict=True)]
    pieces: tuple[list[Piece], list[Piece]] = ([], [])
    for tag, a, b, c, d in SequenceMatcher(None, *map(_keys, shown), autojunk=False).get_opcodes():
        for side, (start, end) in enumerate(((a, b), (c, d))):
            if start < end:
                pieces[side].append(Piece("".join(shown[side][start:end]), tag != "equal"))
    for side in range(2):
        if windows[side].start:
            pieces[side].insert(0, Piece("\u2026 ", False))
        if windows[side].stop < len(words[side]):
            pieces[side].append(Piece(" \u2026", False))
    return pieces


def shown_rows(path: Path, column: str, wanted: set[bytes], *, most: int = MOST_CHARACTERS) -> dict[bytes, str]:
    """Id -> text, cut to `most` characters, of the rows whose `column` is among `wanted`."""
    texts = {}
    for batch in read_batches(path, columns=[column, "text"]):
        for identity, text in zip(batch[column].to_pylist(), batch["text"].to_pylist(), strict=True):
            if identity in wanted:
                texts[identity] = text[:most]
    return texts


def texts_at(path: Path, column: str, wanted: set[int]) -> dict[int, str]:
    """Texts of a table by row, cut to what a page shows."""
    return {row: text[:MOST_CHARACTERS] for row, (_, text) in rows_at(path, column, wanted).items()}
