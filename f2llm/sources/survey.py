"""What the records of a source hold: a sample of all of them, every label, and what looks wrong.

All questions go to the database of `used_records`, so memory does not grow with the source. The sample is drawn by a
hash of each record's place: it is the same on every machine, and a row stays in it until one of a smaller hash comes.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from f2llm.sources.staging import POSITIVE

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

EXAMPLES = 10
LISTED_LABELS = 20
MOST_CHARACTERS = 300  # of a text in an example
MOST_TEXTS = 0.5  # share of a column's texts that look like something else
# Names that models in use have for control tokens; which ones a model has, its tokenizer says.
CONTROL_TOKENS = r"<\|\w+\|>|</?s>|<(?:bos|cls|eos|mask|pad|sep|unk)>|\[(?:BOS|CLS|EOS|MASK|PAD|SEP|UNK)\]"


class Labels(NamedTuple):
    """The most frequent labels (label, texts, one of these texts), and how many other labels and texts there are."""

    listed: list[tuple[str, int, str]]
    others: int
    texts_of_others: int


_HASH = """md5(concat_ws('|', file, "row", field))"""
_EXAMPLES = f"""
    SELECT record, text, label, grade, file, "row" FROM queries
    WHERE label IS NOT NULL OR record IN (SELECT record FROM links WHERE kind = {POSITIVE})
    ORDER BY {_HASH}, record LIMIT {EXAMPLES}
"""
# One text a key: those of a benchmark may have several in a part of its files.
_PASSAGES = """
    SELECT links.record, kind, key, min(text) FROM links LEFT JOIN passages USING (key)
    WHERE links.record IN (SELECT unnest(?::BIGINT[])) GROUP BY links.record, kind, ordinal, key
    ORDER BY links.record, kind, ordinal
"""
_LABELS = f"""
    SELECT label, count(*) AS texts, min_by(text, {_HASH}) FROM queries WHERE label IS NOT NULL
    GROUP BY label ORDER BY texts DESC, label LIMIT {LISTED_LABELS}
"""
_TEXTS = "SELECT record, field, text FROM queries UNION ALL SELECT record, field, text FROM passages"
_LOOKS = f"""
    SELECT field, count(*), count(*) FILTER (text LIKE '[%]'), count(*) FILTER (text LIKE '"%"') FROM ({_TEXTS})
    GROUP BY field ORDER BY min(record), field
"""
_CONTROL = f"""
    WITH named AS (
        SELECT text, regexp_extract_all(text, ?) AS names
        FROM (SELECT DISTINCT text FROM ({_TEXTS}) WHERE regexp_matches(text, ?))
    )
    SELECT count(*), list_sort(list_distinct(flatten(list(names)))) FROM named
"""
_ONE_NUMBER = """
    SELECT list_sort(list(DISTINCT label)) FROM queries
    WHERE isfinite(try_cast(label AS DOUBLE)) GROUP BY try_cast(label AS DOUBLE)
    HAVING count(DISTINCT label) > 1 ORDER BY try_cast(label AS DOUBLE)
"""


def examples_of(database: "DuckDBPyConnection") -> list[str]:
    """A keyed sample of the records, each as a line with its file and 0-based row, in the order of the files."""
    chosen = sorted(database.execute(_EXAMPLES).fetchall())
    positives, negatives = defaultdict(list), defaultdict(list)
    for record, kind, key, text in database.execute(_PASSAGES, [[row[0] for row in chosen]]).fetchall():
        (positives if kind == POSITIVE else negatives)[record].append((text is not None, text or f"passage {key}"))
    lines = []
    for record, text, label, grade, file, row in chosen:
        right = [passage for there, passage in positives[record] if there] or [text for _, text in positives[record]]
        if label is not None:
            said = f"is {label!r}"
        elif grade is not None:
            said = f"and {short(right[0])}: {grade:g}"
        else:
            wrong = [f"not {short(passage)}" for _, passage in negatives[record]]
            said = " | ".join([f"-> {' or '.join(map(short, right))}", *wrong])
        lines.append(f"{file} row {row}: {short(text)} {said}")
    return lines


def labels_of(database: "DuckDBPyConnection") -> Labels:
    """Every label with its texts, the most frequent ones by name; none where records have no label."""
    listed = database.execute(_LABELS).fetchall()
    labels, texts = database.execute("SELECT count(DISTINCT label), count(label) FROM queries").fetchone()
    return Labels(listed, labels - len(listed), texts - sum(count for _, count, _ in listed))


def in_one_group(database: "DuckDBPyConnection") -> bool:
    """Whether there are several records and all have one group, so that no split can be made."""
    return database.execute('SELECT count(*) > 1 AND min("group") = max("group") FROM queries').fetchone()[0]


def control_tokens(database: "DuckDBPyConnection") -> tuple[int, list[str]]:
    """How many texts hold the name of a control token, and these names, sorted."""
    count, names = database.execute(_CONTROL, [CONTROL_TOKENS, CONTROL_TOKENS]).fetchone()
    return count, names or []


def doubts(database: "DuckDBPyConnection", *, tabs: bool) -> Iterator[str]:
    """Yield what is read to the letter and may be meant otherwise: lists and marks in texts, numbers as labels.

    `tabs`: a file is tab-separated, where quotation marks are letters.
    """
    for field, texts, lists, marks in database.execute(_LOOKS).fetchall():
        if lists > MOST_TEXTS * texts:
            yield (
                f"most texts of {field!r} begin with [ and end with ]; if they are lists, read them with the option "
                f"`lists: [{field}]`"
            )
        if tabs and marks > MOST_TEXTS * texts:
            yield (
                f"most texts of {field!r} stand between quotation marks; if these are none of the text, give the "
                "option `quoting: minimal`"
            )
    for (labels,) in database.execute(_ONE_NUMBER).fetchall():
        listed = " and ".join(map(repr, labels))
        yield f"the labels {listed} are one number and different classes; give them one word with the option `labels`"


def short(text: str) -> str:
    """A text on one line between marks, cut to MOST_CHARACTERS."""
    line = " ".join(text.split())
    return repr(line if len(line) <= MOST_CHARACTERS else f"{line[:MOST_CHARACTERS]}...")
