"""What a run went on without, read off the disk."""

import pytest

from f2llm.records.files import read_json, write_json
from f2llm.records.schemas.sources import QUERIES, SkippedSource
from f2llm.records.tables import write_table
from f2llm.runs.skipped import MOST_CHARACTERS, one_line, skipped_of

KEYS = ("task", "instruction", "licence", "reference")


@pytest.fixture
def read(results):
    """Return a function that reads what the run went on without, given what its plan left out and rows of a probe."""

    def read(left_out, *, fetched=None, normalised=None, stated=12):
        path = results / "runs/toyrun/run.json"
        content = read_json(path) | {"left_out": left_out}
        [toy] = content["settings"]["sources"]
        toy["expected"]["queries"] = stated
        content["settings"]["sources"] += [
            toy | {"name": "other", "expected": toy["expected"] | {"queries": stated and 36}}
        ]
        write_json(path, content)
        write_json(results / "sources/probes/manifest.json", {"files": []} | ({"skipped": fetched} if fetched else {}))
        metadata = {"skipped": normalised} if normalised else None
        write_table(results / "sources/probes/queries.parquet", schema=QUERIES, rows=[], metadata=metadata)
        return skipped_of(results, run="toyrun", heldout=[{key: toy[key] for key in KEYS} | {"name": "probes"}])

    return read


def test_sources_that_the_plan_left_out_are_named_with_reason_and_share(read):
    skipped = read({"toy": "source toy:\n HTTP 404"})
    assert skipped.sources == (SkippedSource("toy", "source toy: HTTP 404", 12),)
    assert (skipped.of, skipped.missing) == (3, 0.25)
    assert (
        skipped.summary() == "1 of 3 sources was skipped: toy; 25.0% of the queries that the stanzas state are missing"
    )


@pytest.mark.parametrize("where", ["fetched", "normalised"])
def test_a_source_that_is_only_scored_on_is_named_too_and_counts_for_no_share(read, where):
    skipped = read({}, **{where: "HTTP 404"})
    assert skipped.sources == (SkippedSource("probes", "HTTP 404", None),)
    assert skipped.missing == 0


def test_where_no_stanza_states_a_count_no_share_is_said(read):
    skipped = read({"toy": "HTTP 404"}, stated=None)
    assert skipped.missing is None
    assert skipped.summary() == "1 of 3 sources was skipped: toy"


def test_a_run_with_all_its_sources_went_on_without_none(read):
    skipped = read({})
    assert (skipped.sources, skipped.missing, skipped.summary(), skipped.lines()) == ((), 0, "", [])


def test_a_reason_is_one_line_of_bounded_length():
    assert one_line(" a\n b ") == "a b"
    assert one_line("x" * MOST_CHARACTERS) == "x" * MOST_CHARACTERS
    assert one_line("x" * (MOST_CHARACTERS + 1)) == "x" * (MOST_CHARACTERS - 3) + "..."
