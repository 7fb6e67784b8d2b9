"""Generic: rows with a text and its label, for classification and clustering."""

from collections.abc import Iterator, Mapping, Sequence

from f2llm.sources.archives import RawFile
from f2llm.sources.formats.fields import group_of, text_of
from f2llm.sources.formats.rows import Layout, read_rows
from f2llm.sources.formats.words import first_words
from f2llm.sources.records import Labelled, Skipped


def labelled(
    files: Sequence[RawFile],
    *,
    text: str = "text",
    label: str = "label",
    labels: Mapping[str, str] | None = None,
    group: str = "",
    max_words: int | None = None,
    member: str = "",
    columns: Sequence[str] = (),
    delimiter: str = "",
    comment: str = "",
    skip_rows: int = 0,
    encoding: str = "utf-8-sig",
    errors: str = "strict",
) -> Iterator[Labelled | Skipped]:
    """Yield one labelled text a row.

    `text`, `label` and `group` are column names. `labels` maps what stands in the label column to
    the words that a model reads ("1": positive); rows with other labels are left out. Without
    `group` rows are split by their text. Texts are cut to `max_words`. The rest is the layout of
    the file (`formats.rows.Layout`).
    """
    layout = Layout(
        member=member, columns=columns, delimiter=delimiter, comment=comment, skip_rows=skip_rows, encoding=encoding,
        errors=errors,
    )  # fmt: skip
    for row in read_rows(files, layout, needed=[text, label, *([group] if group else [])]):
        content, given = text_of(row.values, text), text_of(row.values, label)
        name = labels.get(given, "") if labels else given
        if not content or not given:
            yield Skipped(f"{label if content else text!r} is empty", row.file, row.row)
        elif not name:
            yield Skipped("label is not one of those listed in the stanza", row.file, row.row)
        else:
            cut = content if max_words is None else first_words(content, max_words)
            where = group_of(row.values, group, default=content)
            yield Labelled(cut, name, where, row.file, row.row, text, label)
