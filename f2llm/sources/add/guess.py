"""Guess from a few rows what a data set is for: task, adapter and columns, each with the reason for it."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

from f2llm.records.errors import InputError
from f2llm.rows.fields import number_in, number_text
from f2llm.rows.layout import Values

TEXT, NUMBER, TEXTS, OBJECTS = "text", "number", "list of texts", "objects"
MOST_CLASSES = 10  # labels of a guessed classification; more make a clustering
LEAST_TEXTS_A_LABEL = 2.0  # of the rows that were seen
QUERY = ("query", "question", "anchor", "queries", "prompt", "claim", "premise", "input")
POSITIVE = (
    "positive", "positives", "pos", "positivepassages", "passage", "passages", "document", "context", "answer",
    "answers", "response", "output", "hypothesis", "abstract", "body", "content", "text", "summary",
)  # fmt: skip
HEADS = ("title", "headline", "subject", "summary", "highlights")
BODIES = ("abstract", "body", "content", "article", "document", "text")
NEGATIVE = re.compile(r"(hard)?neg(ative)?s?(passages?)?\d*")
PAIRS = (
    ("sentence1", "sentence2"), ("sentencea", "sentenceb"), ("text1", "text2"), ("texta", "textb"), ("s1", "s2"),
    ("question1", "question2"), ("title1", "title2"), ("text", "other"),
)  # fmt: skip
GRADE = ("score", "similarityscore", "similarity", "grade", "relatedness", "relatednessscore", "label")
SAME = ("isduplicate", "duplicate", "isparaphrase", "paraphrase", "same", "label")
LABEL = (
    "labeltext", "labelname", "label", "labels", "category", "categories", "class", "intent", "topic", "sentiment",
    "target", "tag", "stars", "rating",
)  # fmt: skip
LABELLED = ("text", "sentence", "utterance", "content", "body", "review", "tweet", "title", "query", "question")
GROUP = ("group", "groupid", "docid", "documentid", "topicid", "threadid", "conversationid", "userid", "author")
YES = ("1", "true", "yes", "duplicate", "same")


class Guess(NamedTuple):
    """The guessed keys of a stanza, and why (key, or option -> reason)."""

    task: str
    adapter: str
    options: dict[str, Any]
    instruction: str
    group: str
    why: dict[str, str]


class Column(NamedTuple):
    """A column of the rows that were seen: its name, what it holds, and its cells."""

    name: str
    kind: str
    cells: list[Any]

    @property
    def short(self) -> str:
        """Its name in small letters without marks, by which it is recognised."""
        return re.sub(r"[^a-z0-9]", "", self.name.lower())

    @property
    def values(self) -> set[str]:
        """The distinct values, as labels are written."""
        return {number_text(cell) if isinstance(cell, int | float) else str(cell).strip() for cell in self.cells}

    @property
    def characters(self) -> float:
        """Mean length of its texts."""
        return sum(map(len, map(str, self.cells))) / max(1, len(self.cells))


Columns = Sequence[Column]


def guess(rows: Sequence[Values]) -> Guess:
    """What the rows are most likely for.

    Raises:
        InputError: they hold neither two texts nor a text with a label.
    """
    names = dict.fromkeys(name for row in rows for name in row)
    columns = [_column(name, rows) for name in names]
    guessed = next(filter(None, (rule(columns) for rule in RULES)), None)
    if guessed is None:
        listed = ", ".join(f"{column.name!r} ({column.kind or 'empty'})" for column in columns) or "none"
        raise InputError(
            f"the columns are {listed}: neither two texts nor a text with a label was recognised; write the stanza by "
            "hand, as docs/adding-a-source.md shows"
        )
    group = _named(columns, GROUP, (TEXT, NUMBER))
    if group is None or len(group.values) == len(group.cells) or guessed.adapter in ("nli", "nested_passages"):
        return guessed
    why = guessed.why | {"group": f"rows with the same {group.name!r} belong together, by its name"}
    return guessed._replace(options=guessed.options | {"group": group.name}, group=group.name, why=why)


def _column(name: str, rows: Sequence[Values]) -> Column:
    cells = [row[name] for row in rows if row.get(name) not in (None, "", [])]
    return Column(name, _kind(cells), cells)


def _kind(cells: Sequence[Any]) -> str:
    """What most cells are; "" where there is none."""
    if not cells:
        return ""
    if all(isinstance(cell, int | float) or (isinstance(cell, str) and number_in(cell) is not None) for cell in cells):
        return NUMBER
    if all(isinstance(cell, list) and all(isinstance(entry, str) for entry in cell) for cell in cells):
        return TEXTS
    if all(isinstance(cell, Mapping | list) for cell in cells):
        return OBJECTS
    return TEXT


def _named(columns: Columns, names: Sequence[str], kinds: Collection[str] = (TEXT,)) -> Column | None:
    """The column that has the first of these names, of those that hold one of `kinds`."""
    fitting = {column.short: column for column in reversed(columns) if column.kind in kinds}
    return next((fitting[name] for name in names if name in fitting), None)


def _two_texts(columns: Columns) -> tuple[Column, Column] | None:
    texts = {column.short: column for column in columns if column.kind == TEXT}
    return next(((texts[one], texts[other]) for one, other in PAIRS if one in texts and other in texts), None)


def _graded(columns: Columns) -> Guess | None:
    pair, grade = _two_texts(columns), _named(columns, GRADE, (NUMBER,))
    if pair is None or grade is None or len(grade.values) <= 2:
        return None
    return Guess(
        "sts", "graded_pairs", {"text": pair[0].name, "other": pair[1].name, "grade": grade.name},
        "Retrieve semantically similar text.", pair[0].name,
        {"task": f"two texts and a number of more than two values, {grade.name!r}", "grade": "more is more alike"},
    )  # fmt: skip


def _entailment(columns: Columns) -> Guess | None:
    columns_of = {name: _named(columns, (name,), (TEXT, NUMBER)) for name in ("premise", "hypothesis", "label")}
    options = {option: column.name for option, column in columns_of.items() if column is not None}
    if len(options) < len(columns_of):
        return None
    labels = "0 or entailment, 1 or neutral, 2 or contradiction; others are named with the options of these words"
    return Guess(
        "retrieval", "nli", options,
        "Given a premise, retrieve hypotheses that are entailed by the premise.", "premise",
        {"task": "premise, hypothesis and label", "label": labels},
    )  # fmt: skip


def _duplicates(columns: Columns) -> Guess | None:
    pair = _two_texts(columns)
    if pair is None:
        return None
    options: dict[str, Any] = {"text": pair[0].name, "other": pair[1].name}
    why = {"task": "two texts of equal standing, each a query for the other"}
    same = _named(columns, SAME, (TEXT, NUMBER))
    if same is not None and len(same.values) == 2:
        yes = next((value for value in sorted(same.values) if value.lower() in YES), max(same.values))
        options |= {"label": same.name, "same": [yes]}
        why["same"] = (
            f"{same.name!r} holds {' and '.join(map(repr, sorted(same.values)))}; the pairs that mean the same"
        )
    return Guess("retrieval", "duplicates", options, "Retrieve texts that mean the same.", "the smaller text", why)


def _answers(columns: Columns) -> Guess | None:
    query = _named(columns, QUERY)
    positive = _named([column for column in columns if column is not query], POSITIVE, (TEXT, TEXTS, OBJECTS))
    if query is None or positive is None:
        return None
    why = {"task": f"{query.name!r} and {positive.name!r} look like a question and its passage"}
    given = "Given a query, retrieve passages that answer it."
    options: dict[str, Any] = {"query": query.name}
    if positive.kind == OBJECTS:
        keys = _keys(positive)
        if "text" not in keys:
            return None
        if "title" in keys:
            options["positives"] = positive.name
            if others := [
                column.name for column in columns if column.kind == OBJECTS and NEGATIVE.fullmatch(column.short)
            ]:
                options["passages"] = others[0]
                why["passages"] = "by its name; its passages are searched, and which are hard negatives the run finds"
            return Guess("retrieval", "nested_passages", options, given, "query", why)
        options["positive"] = f"{positive.name}.text"
    else:
        options["positive"] = positive.name
    negatives = [column.name for column in columns if NEGATIVE.fullmatch(column.short) and column.kind in (TEXT, TEXTS)]
    if negatives:
        options["negatives"] = negatives
        why["negatives"] = "by their names"
    return Guess("retrieval", "pairs", options, given, "positive", why)


def _keys(column: Column) -> set[str]:
    objects = [cell if isinstance(cell, Mapping) else (cell[0] if cell else {}) for cell in column.cells]
    return {str(key) for entry in objects if isinstance(entry, Mapping) for key in entry}


def _titles(columns: Columns) -> Guess | None:
    head, body = _named(columns, HEADS), _named(columns, BODIES)
    if head is None or body is None:
        return None
    why = {"task": f"{head.name!r} as the query, {body.name!r} as its passage"}
    options = {"query": head.name, "positive": body.name}
    return Guess("retrieval", "pairs", options, "Given a title, retrieve the text that it heads.", "positive", why)


def _labels(columns: Columns) -> Guess | None:
    text, label = _named(columns, LABELLED), _named(columns, LABEL, (TEXT, NUMBER, TEXTS))
    if label is None:
        return None
    text = text or max(
        (column for column in columns if column.kind == TEXT and column is not label),
        key=lambda column: column.characters, default=None,
    )  # fmt: skip
    if text is None or text is label:
        return None
    values = label.values
    few = len(values) <= MOST_CLASSES
    if not few and len(label.cells) < LEAST_TEXTS_A_LABEL * len(values):
        return None
    why = {
        "task": f"{len(values)} labels in the rows that were seen; with {MOST_CLASSES} or fewer classification, else "
        "clustering"
    }
    if label.kind == NUMBER:
        why["label"] = 'numbers; give them words that a model can read: labels: {"1": positive, ...}'
    task = "classification" if few else "clustering"
    options = {"text": text.name, "label": label.name}
    return Guess(task, "labelled", options, f"Identify the {label.name} of the given text.", "text", why)


def _any_two(columns: Columns) -> Guess | None:
    texts = sorted((column for column in columns if column.kind == TEXT), key=lambda column: -column.characters)[:2]
    if len(texts) < 2:
        return None
    positive, query = texts
    why = {"task": f"by their length alone: {query.name!r} is shorter, so the query; {positive.name!r} its passage"}
    options = {"query": query.name, "positive": positive.name}
    return Guess("retrieval", "pairs", options, "Given a query, retrieve passages that answer it.", "positive", why)


# The first that fits counts.
RULES: tuple[Callable[[Columns], Guess | None], ...] = (
    _entailment, _graded, _duplicates, _answers, _labels, _titles, _any_two,
)  # fmt: skip
