r"""The two normal forms of a text: E1, the only key that may drop a row, and E2, for comparing.

E1 keeps every character that carries meaning ("C++" and "C" differ). E2 keeps letters, marks
and digits only; it is for shingles, candidates and decontamination. Marks survive, so Hindi
vowel signs do too (Python's `\W` would delete them).
"""

import html
import unicodedata

import regex
import xxhash

MOST_ESCAPES = 2  # times that a text may have been escaped
_NOT_WORD = regex.compile(r"[^\p{L}\p{M}\p{N}]+")
_ASCII_WORDS = bytes(ord(chr(code).lower()) if chr(code).isalnum() else 32 for code in range(128)) + bytes(128)
# Scripts whose words are not set apart by spaces.
_UNSPACED = regex.compile(r"([\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}])")
# Only elements that HTML has: the type in `vector<int>` is content.
_ELEMENTS = (
    "a abbr article aside b blockquote body br caption center cite code dd div dl dt em figcaption figure font footer "
    "h1 h2 h3 h4 h5 h6 head header hr html i img kbd li main nav ol p pre q s samp section small span strike strong "
    "sub sup table tbody td tfoot th thead title tr tt u ul var wbr"
)
_TAG = regex.compile(rf"(?i)</?(?:{_ELEMENTS.replace(' ', '|')})(?:\s[^<>]{{0,300}})?/?>")


def e1_text(text: str) -> str:
    """E1 form: html.unescape, NFKC, casefold, whitespace collapsed to one space."""
    plain = html.unescape(text)
    plain = plain if plain.isascii() else unicodedata.normalize("NFKC", plain)
    return " ".join(plain.casefold().split())


def content_key(text: str) -> str:
    """E1 key: xxh3_128 of the E1 form, 32 hex digits."""
    return xxhash.xxh3_128_hexdigest(e1_text(text).encode())


def e2_text(text: str) -> str:
    """E2 form: as E1 with HTML tags stripped, only letters, marks and digits, spaces between."""
    plain = text
    for _ in range(MOST_ESCAPES if "&" in text else 0):
        plain = html.unescape(plain)
    plain = without_tags(plain)
    if plain.isascii():  # gives what the last line would, several times as fast
        return b" ".join(plain.encode().translate(_ASCII_WORDS).split()).decode()
    return _NOT_WORD.sub(" ", unicodedata.normalize("NFKC", plain).casefold()).strip()


def without_tags(text: str) -> str:
    """The text with a space for every HTML tag."""
    return _TAG.sub(" ", text) if "<" in text else text


def spaced(form: str) -> str:
    """E1 or E2 form in which each letter of a script without spaces (Chinese, Thai) is a word of its own."""
    return form if form.isascii() else " ".join(_UNSPACED.sub(r" \1 ", form).split())
