"""Checks between the rows of a task from a user's files: ids, judgements, labels, lengths of lists."""

from collections.abc import Iterator, Mapping
from typing import Any

from f2llm.config.benchmarks import SEARCHED, Task
from f2llm.evaluate.tasks.data import PROBE, SCORED

RowsByPart = dict[str, list[dict[str, Any]]]
RELEVANT = 1  # least judgement of a passage that answers the query


def faults_between_rows(task: Task, rows: RowsByPart, *, files: Mapping[str, str]) -> list[str]:
    """All faults between rows, each with the file of its part (`files`: part -> name) and its row.

    `rows` have our names of columns; each of them has been checked by itself.
    """
    if task.type in SEARCHED:
        known, judged = {}, {}
        faults = [*_faults_of_ids(rows, known), *_faults_of_judgements(rows["qrels"], known, judged)]
        if "top_ranked" in rows:
            faults += _faults_of_rankings(rows["top_ranked"], known, judged)
    elif task.type == "summarisation":
        faults = list(_faults_of_lengths(rows[SCORED]))
    else:
        faults = list(_faults_of_labels(task, rows))
    return [f"{files[part]}: {fault}" for part, fault in faults]


def _faults_of_ids(rows: RowsByPart, known: dict[str, set[str]]) -> Iterator[tuple[str, str]]:
    """Ids that occur twice; fills `known` with the ids of queries and corpus."""
    for part in ("queries", "corpus"):
        known[part] = set()
        for number, row in enumerate(rows[part], 1):
            if row["_id"] in known[part]:
                yield part, f"row {number}: _id {row['_id']!r} is there twice; give each row its own"
            known[part].add(row["_id"])


def _faults_of_judgements(
    qrels: list[dict[str, Any]], known: Mapping[str, set[str]], judged: dict[str, tuple[int, int]]
) -> Iterator[tuple[str, str]]:
    """Judgements of unknown or repeated pairs; fills `judged`: query -> its best judgement, the row of its first."""
    pairs = set()
    for number, row in enumerate(qrels, 1):
        query, passage = pair = row["query-id"], row["corpus-id"]
        for column, part in (("query-id", "queries"), ("corpus-id", "corpus")):
            if row[column] not in known[part]:
                yield "qrels", f"row {number}: {column} {row[column]!r} is not in {part}; mend this row"
        if pair in pairs:
            yield "qrels", f"row {number}: query-id {query!r} with corpus-id {passage!r} is there twice; keep one"
        pairs.add(pair)
        best, first = judged.get(query, (row["score"], number))
        judged[query] = max(best, row["score"]), first
    for query, (best, first) in judged.items():
        if best < RELEVANT:
            yield (
                "qrels",
                f"row {first}: query-id {query!r} has no judgement above 0; judge a passage relevant, or take its "
                "rows out",
            )


def _faults_of_rankings(
    ranked: list[dict[str, Any]], known: Mapping[str, set[str]], judged: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    seen = set()
    for number, row in enumerate(ranked, 1):
        query, passages = row["query-id"], row["corpus-ids"]
        if query not in known["queries"]:
            yield "top_ranked", f"row {number}: query-id {query!r} is not in queries; mend this row"
        if query in seen:
            yield "top_ranked", f"row {number}: query-id {query!r} is there twice; give all its passages in one row"
        seen.add(query)
        for passage in sorted({passage for passage in passages if passage not in known["corpus"]}):
            yield "top_ranked", f"row {number}: corpus-id {passage!r} is not in corpus; mend this row"
        if len(set(passages)) < len(passages):
            twice = next(passage for place, passage in enumerate(passages) if passage in passages[:place])
            yield "top_ranked", f"row {number}: corpus-id {twice!r} is there twice; list each passage once"
    for query, (_, first) in judged.items():
        if query not in seen:
            yield "top_ranked", f"no row is for query-id {query!r}, which row {first} of qrels judges; add one"


def _faults_of_lengths(rows: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    for number, row in enumerate(rows, 1):
        if len(row["machine_summaries"]) != len(row["relevance"]):
            yield SCORED, f"row {number}: relevance has not one number for each of machine_summaries; mend it"
    if all(len(set(row["relevance"])) < 2 for row in rows):
        yield SCORED, "no row has two different numbers in relevance; nothing can be scored"


def _faults_of_labels(task: Task, rows: RowsByPart) -> Iterator[tuple[str, str]]:
    column = {"classification": "label", "clustering": "labels", "pairs": "labels", "sts": "score"}[task.type]
    for part, of_part in rows.items():
        if len({row[column] for row in of_part}) < 2:
            yield part, f"all rows have one {column}, {of_part[0][column]!r}; nothing can be scored"
    if task.type == "classification":
        taught = {row[column] for row in rows[PROBE]}
        for number, row in enumerate(rows[SCORED], 1):
            if row[column] not in taught:
                yield (
                    SCORED,
                    f"row {number}: {column} {row[column]!r} is not in {PROBE}, so no model can know it; add such rows "
                    "there, or take this one out",
                )
