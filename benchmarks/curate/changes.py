"""Ways in which one text is made from another: copies that say the same, and look-alikes that do not."""

import html
import random
import re
from collections.abc import Callable, Sequence

NAMES = ("Kestrel", "Oslo", "Marlow", "Benin", "Quorum")
HEADS = ("Title: Reference manual. ", "Passage: ", "[1] Documentation | Home > Library > ", "Q: ")
TAILS = (
    " Read more at the project web site.", " [edit] [source] Share this page", " (Source: manual page)",
    " Copyright the authors. All rights reserved.",
)  # fmt: skip
Change = Callable[[str, random.Random], str | None]


def copies(words: Sequence[str]) -> dict[str, Change]:
    """Return the changes that keep what is said, more or less; `words` are what others are replaced by."""
    return {
        "copy": lambda text, draw: text,
        "case": lambda text, draw: draw.choice((str.upper, str.lower, str.title))(_spaced(text, draw)),
        "punctuation": lambda text, draw: re.sub(
            r"[.,;:!?'\"()\-]", lambda found: draw.choice(("", "", found[0], " ")), text
        ),
        "unicode": lambda text, draw: text.replace('"', "\u201d").replace("'", "\u2019").replace("-", "\u2010")
        .replace(" ", "\u00a0", 3).replace("fi", "\ufb01"),
        "html": lambda text, draw: html.escape(text).replace("\n", "<br/>"),
        "prefix": lambda text, draw: draw.choice(HEADS) + text,
        "suffix": lambda text, draw: text + draw.choice(TAILS),
        "reorder": reorder,
        "drop 5 %": lambda text, draw: _kept(text, 0.05, draw),
        "cut to 80 %": lambda text, draw: cut(text, 0.8),
        "typos 1 %": lambda text, draw: typos(text, 0.01, draw),
        "substitute 5 %": lambda text, draw: substitute(text, 0.05, words, draw),
    }  # fmt: skip


def look_alikes() -> dict[str, Change]:
    """Return the changes of one fact; None where a text has none of its kind."""
    return {"number": _number, "name": _name, "negation": _negation}


def typos(text: str, rate: float, draw: random.Random) -> str:
    """Swap, replace or delete this share of the characters, at least one."""
    letters = list(text)
    for _ in range(max(1, int(len(letters) * rate))):
        place, kind = draw.randrange(len(letters)), draw.random()
        if kind < 0.33 and place + 1 < len(letters):
            letters[place], letters[place + 1] = letters[place + 1], letters[place]
        else:
            letters[place] = draw.choice("abcdefghijklmnopqrstuvwxyz") if kind < 0.66 else ""
    return "".join(letters)


def cut(text: str, share: float, *, least: int = 4) -> str:
    """Keep the first words."""
    words = text.split()
    return " ".join(words[: max(least, int(len(words) * share))])


def substitute(text: str, rate: float, words: Sequence[str], draw: random.Random) -> str:
    """Replace this share of the words by others."""
    return " ".join(draw.choice(words) if draw.random() < rate else word for word in text.split())


def reorder(text: str, draw: random.Random) -> str:
    """Shuffle the sentences, or swap the halves of a text of one or two."""
    sentences = re.split(r"(?<=[.\n])\s+", text)
    if len(sentences) < 3:
        words = text.split()
        return " ".join(words[len(words) // 2 :] + words[: len(words) // 2])
    draw.shuffle(sentences)
    return " ".join(sentences)


def _spaced(text: str, draw: random.Random) -> str:
    return re.sub(" ", lambda _: draw.choice((" ", "  ", "\n", " ")), text)


def _kept(text: str, rate: float, draw: random.Random) -> str:
    words = text.split()
    return " ".join([word for word in words if draw.random() > rate] or words)


def _number(text: str, draw: random.Random) -> str | None:
    found = list(re.finditer(r"\d+", text))
    if not found:
        return None
    one = draw.choice(found)
    return text[: one.start()] + str(int(one[0][:9]) + draw.randrange(1, 9)) + text[one.end() :]


def _name(text: str, draw: random.Random) -> str | None:
    found = [one[0] for one in re.finditer(r"\b[A-Z][a-z]{3,}\b", text) if one.start() > 1]
    return re.sub(rf"\b{draw.choice(found)}\b", draw.choice(NAMES), text) if found else None


def _negation(text: str, draw: random.Random) -> str | None:
    pairs = ((" is ", " is not "), (" are ", " are not "), (" can ", " cannot "), (" will ", " will not "))
    return next((text.replace(old, new, 1) for old, new in pairs if old in text), None)
