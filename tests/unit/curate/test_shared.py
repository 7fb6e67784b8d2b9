import pytest

from f2llm.curate.shared import find_shared
from f2llm.records.files import read_json
from f2llm.records.ids import doc_id
from f2llm.records.schemas.sources import SourceTables
from f2llm.records.tables import read_table


@pytest.fixture
def find(tmp_path, write_corpus_rows, write_query_rows):
    def run(**sources):
        for name, (passages, queries) in sources.items():
            write_corpus_rows(tmp_path / f"{name}_corpus", passages)
            write_query_rows(tmp_path / f"{name}_queries", queries)
        counts = find_shared(
            {name: SourceTables(tmp_path / f"{name}_corpus", tmp_path / f"{name}_queries") for name in sources},
            table=tmp_path / "out" / "shared.parquet", summary=tmp_path / "out" / "shared.json", memory_mb=100,
        )  # fmt: skip
        return (
            read_table(tmp_path / "out" / "shared.parquet").to_pylist(),
            read_json(tmp_path / "out" / "shared.json"),
            counts,
        )

    return run


def test_texts_of_several_sources_are_listed_and_counted_by_pair(find, query):
    rows, summary, counts = find(
        b=(["A lamp", "boat"], [query("who?")]), a=(["a  lamp", "sea"], [query("Who?")]), c=(["a lamp", "a  LAMP"], []),
    )  # fmt: skip
    assert [(row["role"], row["sources"]) for row in rows] == [("passage", ["a", "b", "c"]), ("query", ["a", "b"])]
    assert [row["text"] for row in rows] == ["a  lamp", "Who?"]
    assert rows[0]["ids"] == [doc_id("a  lamp"), doc_id("A lamp"), min(doc_id("a lamp"), doc_id("a  LAMP"))]
    assert summary["pairs"] == [
        {"role": "passage", "sources": ["a", "b"], "texts": 1}, {"role": "passage", "sources": ["a", "c"], "texts": 1},
        {"role": "passage", "sources": ["b", "c"], "texts": 1}, {"role": "query", "sources": ["a", "b"], "texts": 1},
    ]  # fmt: skip
    assert counts["shared_texts"] == 2


def test_a_text_that_one_source_has_twice_is_not_shared(find, query):
    rows, summary, _ = find(a=(["a lamp", "A lamp"], []), b=(["boat"], []))
    assert (rows, summary["pairs"]) == ([], [])


def test_no_sources_share_nothing(find):
    assert find()[0] == []
