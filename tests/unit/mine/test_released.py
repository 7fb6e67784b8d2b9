"""Two sets of tuples of one source, compared by their texts."""

import pyarrow as pa
import pytest

from f2llm.mine.released import compare_tuples, shares
from f2llm.records.files import read_json
from f2llm.records.ids import doc_id, query_id, tuple_id
from f2llm.records.schemas.mine import TUPLES
from f2llm.records.schemas.sources import CORPUS, QUERIES
from f2llm.records.tables import write_table
from f2llm.records.text_keys import content_key


def side(folder, tuples):
    """Write corpus and queries of (query, positive, negatives), and return the rows of both texts."""
    texts = sorted({text for _, positive, negatives in tuples for text in (positive, *negatives)}, key=doc_id)
    corpus = [{"doc_id": doc_id(text), "text": text, "content_key": content_key(text)} for text in texts]
    asked = sorted(tuples, key=lambda row: query_id("retrieval", row[0]))
    queries = [
        {
            "query_id": query_id("retrieval", query), "text": query, "positives": [doc_id(positive)],
            "negatives": [doc_id(text) for text in negatives], "label": None, "grade": None, "group": "g",
            "split": "train",
        }
        for query, positive, negatives in asked
    ]  # fmt: skip
    for name, schema, rows in (("corpus", CORPUS, corpus), ("queries", QUERIES, queries)):
        write_table(folder / f"{name}.parquet", schema=schema, rows=[pa.Table.from_pylist(rows, schema=schema)])
    return {text: row for row, text in enumerate(texts)}, {row[0]: at for at, row in enumerate(asked)}


@pytest.fixture
def compared(tmp_path):
    def compare(ours, theirs):
        passages, queries = side(tmp_path / "ours", ours)
        side(tmp_path / "theirs", theirs)
        rows = [
            {
                "tuple_id": tuple_id("s", query_id("retrieval", query), doc_id(positive)),
                "query_id": query_id("retrieval", query), "query_row": queries[query],
                "positive_row": passages[positive], "positive_score": None,
                "negative_rows": [passages[text] for text in negatives], "negative_scores": [None] * len(negatives),
                "negative_ranks": [None] * len(negatives), "negative_kinds": ["mined"] * len(negatives),
            }
            for query, positive, negatives in ours
        ]  # fmt: skip
        table = pa.Table.from_pylist(sorted(rows, key=lambda row: row["tuple_id"]), schema=TUPLES)
        write_table(tmp_path / "tuples.parquet", schema=TUPLES, rows=[table])
        tables = {name: tmp_path / "ours" / f"{name}.parquet" for name in NAMES}
        tables |= {f"their_{name}": tmp_path / "theirs" / f"{name}.parquet" for name in NAMES}
        figures = compare_tuples(tuples=tmp_path / "tuples.parquet", **tables, output=tmp_path / "released.json")
        return figures, read_json(tmp_path / "released.json")

    return compare


NAMES = ("corpus", "queries")


def test_every_query_is_common_or_of_one_side(compared):
    figures, written = compared(
        [("one", "p", ["n"]), ("two", "q", ["m"]), ("three", "r", ["n"])],
        [("one", "p", ["n"]), ("four", "s", ["n"]), ("two", "another", ["m"])],
    )
    assert (figures["common"], figures["ours_only"], figures["theirs_only"]) == (2, 1, 1)
    assert figures["same_positive"] == 1
    assert written["examples"] == {"ours_only": ["three"], "theirs_only": ["four"], "other_positive": ["two"]}


def test_negatives_are_counted_over_common_queries_alone(compared):
    figures, _ = compared(
        [("one", "p", ["a", "b", "c"]), ("mine", "p", ["a"])], [("one", "p", ["c", "d"]), ("yours", "p", ["a"])]
    )
    assert (figures["negatives_common"], figures["negatives_ours"], figures["negatives_theirs"]) == (1, 3, 2)
    assert shares(figures)["their_negatives_found"] == 50.0


def test_texts_that_differ_in_spacing_alone_are_the_same(compared):
    figures, _ = compared([("one  two", "p q", ["n"])], [("one two", "p  q", ["n"])])
    assert (figures["common"], figures["same_positive"], figures["negatives_common"]) == (1, 1, 1)


def test_nothing_in_common_gives_shares_of_zero(compared):
    figures, _ = compared([("one", "p", ["n"])], [("two", "q", ["m"])])
    assert set(shares(figures).values()) == {0.0}


def test_a_side_that_was_skipped_is_named_in_the_figures(tmp_path, caplog):
    for name, metadata in (("ours", None), ("theirs", {"skipped": "HTTP 404"})):
        for table, schema in (("corpus", CORPUS), ("queries", QUERIES)):
            write_table(tmp_path / name / table, schema=schema, rows=[], metadata=metadata)
    write_table(tmp_path / "tuples", schema=TUPLES, rows=[])
    figures = compare_tuples(
        tuples=tmp_path / "tuples", corpus=tmp_path / "ours/corpus", queries=tmp_path / "ours/queries",
        their_corpus=tmp_path / "theirs/corpus", their_queries=tmp_path / "theirs/queries", output=tmp_path / "out.json",
    )  # fmt: skip
    assert figures["skipped"] == read_json(tmp_path / "out.json")["skipped"] == "HTTP 404"
    assert (figures["common"], figures["theirs_only"]) == (0, 0)
    assert "nothing to compare: a source was skipped: HTTP 404" in caplog.text
