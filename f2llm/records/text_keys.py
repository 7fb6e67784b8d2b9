r"""The two normal forms of a text: E1, the only key that may drop a row, and E2, for comparing.

E1 keeps every character that carries meaning ("C++" and "C" differ). E2 keeps letters, marks
and digits only; it is for shingles, candidates and decontamination. Marks survive, so Hindi
vowel signs do too (Python's `\W` would delete them). Neither has characters that are not
displayed (soft hyphens, zero-width spaces, bidirectional marks), but E1 keeps the few of them
that make another word or emoji. Letters that only look alike (Latin a, Cyrillic а) stay apart.
"""

import html
import unicodedata

import regex
import xxhash

from f2llm.records.words import is_latin, without_idle_spaces

SOFT_HYPHEN = "\u00ad"
MOST_ESCAPES = 2  # times that a text may have been escaped
_NOT_WORD = regex.compile(r"[^\p{L}\p{M}\p{N}]+")
_ASCII_WORDS = bytes(ord(chr(code).lower()) if chr(code).isalnum() else 32 for code in range(128)) + bytes(128)
_IGNORABLE = regex.compile(r"\p{Default_Ignorable_Code_Point}+")
_INVISIBLE = regex.compile(r"[\s\p{Default_Ignorable_Code_Point}]*+")
# Joiners (U+200C, U+200D) and tags (U+E0020 to U+E007F) can make another word or emoji, the others cannot.
_NEVER_MEANT = regex.compile(r"(?V1)[\p{Default_Ignorable_Code_Point}--[\u200c\u200d\U000e0020-\U000e007f]]+")
# Letters and marks of the scripts whose spelling has joiners, and emoji, which they tie together.
_JOINING_SCRIPTS = (
    "Arabic Syriac Nko Mongolian Devanagari Bengali Gurmukhi Gujarati Oriya Tamil Telugu Kannada Malayalam Sinhala "
    "Khmer Myanmar Tibetan"
)
_JOINED = (
    r"(?V1)[\p{Emoji_Modifier}\p{Extended_Pictographic}[[\p{L}\p{M}]&&["
    + "".join(rf"\p{{Script={script}}}" for script in _JOINING_SCRIPTS.split())
    + "]]]"
)
_IDLE = regex.compile(
    # Joiners at the edge of a word or in other scripts, and tags that spell no flag.
    rf"(?<!{_JOINED})[\u200c\u200d]+|[\u200c\u200d]+(?!{_JOINED}|[\u200c\u200d])"
    r"|(?<![\U0001f3f4\U000e0020-\U000e007f])[\U000e0020-\U000e007f]+"
)
# Only elements that HTML has: the type in `vector<int>` is content.
_ELEMENTS = (
    "a abbr article aside b blockquote body br caption center cite code dd div dl dt em figcaption figure font footer "
    "h1 h2 h3 h4 h5 h6 head header hr html i img kbd li main nav ol p pre q s samp section small span strike strong "
    "sub sup table tbody td tfoot th thead title tr tt u ul var wbr"
)
_TAG = regex.compile(rf"(?i)</?(?:{_ELEMENTS.replace(' ', '|')})(?:\s[^<>]{{0,300}})?/?>")


def e1_text(text: str) -> str:
    """E1 form: html.unescape, ignorable characters left out, NFKC, casefold, whitespace collapsed to one space.

    Zero-width joiners stay inside words of scripts that spell with them and inside emoji, tags in flags.
    """
    plain = html.unescape(text)
    if not plain.isascii():
        if _has_ignorable(plain):
            plain = _IDLE.sub("", _NEVER_MEANT.sub("", plain))
        plain = unicodedata.normalize("NFKC", plain)
    return " ".join(plain.casefold().split())


def content_key(text: str) -> str:
    """E1 key: xxh3_128 of the E1 form, 32 hex digits."""
    return xxhash.xxh3_128_hexdigest(e1_text(text).encode())


def e2_text(text: str) -> str:
    """E2 form: as E1 without any ignorable character or HTML tag, only letters, marks and digits, spaces between.

    Beside a letter of a script without spaces there is none: "你好，世界" has the form "你好世界".
    """
    plain = text
    for _ in range(MOST_ESCAPES if "&" in text else 0):
        plain = html.unescape(plain)
    plain = without_tags(plain)
    if plain.isascii():  # gives what the last line would, several times as fast
        return b" ".join(plain.encode().translate(_ASCII_WORDS).split()).decode()
    plain = unicodedata.normalize("NFKC", without_ignorable(plain)).casefold()
    return without_idle_spaces(_NOT_WORD.sub(" ", plain).strip())


def without_ignorable(text: str) -> str:
    """The text without the characters that Unicode calls default-ignorable: they are not displayed."""
    return _IGNORABLE.sub("", text) if _has_ignorable(text) else text


def is_empty(text: str) -> bool:
    """Whether a text shows nothing: it is white space and default-ignorable characters."""
    return not text.strip() if text.isascii() else _INVISIBLE.fullmatch(text) is not None


def without_tags(text: str) -> str:
    """The text with a space for every HTML tag."""
    return _TAG.sub(" ", text) if "<" in text else text


def _has_ignorable(text: str) -> bool:
    return SOFT_HYPHEN in text if is_latin(text) else _IGNORABLE.search(text) is not None
