"""Generic: rows with a text and its label, for classification and clustering."""

from collections.abc import Iterator, Mapping

from f2llm.records.words import first_words
from f2llm.rows.fields import Columns, field_of, group_of, label_of, text_of, texts_of
from f2llm.rows.reader import RawRows
from f2llm.sources.records import Labelled, Skipped


def labelled(
    rows: RawRows,
    *,
    text: Columns = "text",
    label: str = "label",
    labels: Mapping[str, str] | None = None,
    label_separator: str = "",
    group: str = "",
    max_words: int | None = None,
) -> Iterator[Labelled | Skipped]:
    """Yield one labelled text a row.

    `text`, `label` and `group` are column names; several columns for `text` make one text. `labels`
    maps what stands in the label column to the words that a model reads ("1": positive); rows with
    other labels are left out. Of several labels (a list, or separated by `label_separator`) the first
    counts. Without `group` rows are split by their text. Texts are cut to `max_words`.
    """
    names = {label_of(key): word for key, word in (labels or {}).items()}
    for row in rows.read(text, label, group):
        content, raw_label = text_of(row.values, text), next(iter(texts_of(row.values, label)), "")
        if label_separator:
            raw_label = raw_label.split(label_separator)[0].strip()
        raw_label = label_of(raw_label)
        name = names.get(raw_label, "") if labels else raw_label
        if not content or not raw_label:
            yield Skipped(f"{label if content else field_of(text)!r} is empty", row.file, row.row)
        elif not name:
            yield Skipped("label is not one of those listed in the stanza", row.file, row.row)
        else:
            cut = content if max_words is None else first_words(content, max_words)
            split_group = group_of(row.values, group, default=content)
            yield Labelled(cut, name, split_group, row.file, row.row, field_of(text), label)
