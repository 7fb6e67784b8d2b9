"""What only shows in the whole workflow: audits, missing test data, sources that wait for earlier ones."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import yaml


def read(path):
    return json.loads(path.read_text())


def test_a_folder_made_elsewhere_is_audited_and_again_when_it_changes(copied):
    texts = copied.folder / "results/benchmarks/ToyPairs/texts.parquet"
    query = next(row["text"] for row in pq.read_table(texts).to_pylist() if row["field"] == "query")
    folder = copied.folder / "made/elsewhere"
    folder.mkdir(parents=True)
    pq.write_table(pa.table({"question": [query, "nothing of it"]}), folder / "rows.parquet")
    copied.configure(audit={"theirs": {"path": "made/elsewhere"}})

    copied.run("audit")

    (summary,) = copied.folder.glob("results/audits/toy-*/theirs/summary.json")
    assert read(summary)["tasks"]["ToyPairs"]["rows"] == 1
    assert not copied.planned("--", "audit")
    pq.write_table(pa.table({"question": ["nothing of it"]}), folder / "rows.parquet")
    assert copied.planned("--", "audit") == {"audit": 1, "audit_folder": 1}
    copied.run("audit")
    assert read(summary)["tasks"] == {}


def test_an_audit_of_a_folder_that_is_not_there_says_so(copied):
    copied.configure(audit={"theirs": {"path": "made/elsewhere"}})
    done = copied.run("audit", check=False)
    assert done.returncode != 0
    assert "made/elsewhere: no file below it; correct the path" in " ".join(done.stderr.split())


def test_one_sources_policy_curates_that_source_alone(copied):
    stanza = copied.folder / "config/sources/toy_topics.yaml"
    stanza.write_text(stanza.read_text() + yaml.safe_dump({"curate": {"near": {"policy": "off"}}}))
    planned = copied.planned("--", "curate")
    assert planned["curate_source"] == 1
    assert "normalise_source" not in planned


def test_a_source_that_drops_shared_queries_waits_for_the_earlier_ones(copied):
    stanza = copied.folder / "config/sources/toy_topics.yaml"
    stanza.write_text(stanza.read_text().replace("name: toy_topics", "name: toy_more"))
    stanza.rename(stanza.with_name("toy_more.yaml"))
    original = stanza.with_name("toy_more.yaml").read_text().replace("name: toy_more", "name: toy_topics")
    stanza.write_text(original)
    more = stanza.with_name("toy_more.yaml")
    more.write_text(more.read_text() + yaml.safe_dump({"curate": {"across": {"policy": "drop"}}}))
    copied.configure(sources=["toy_pairs", "toy_kinds", "toy_topics", "toy_more"])

    copied.run("curate")

    (removed,) = copied.folder.glob("results/curated/toy-*/toy_more/removed.parquet")
    across = [row for row in pq.read_table(removed).to_pylist() if row["stage"] == "across"]
    # Dropping depends on the other sources, so the tables lie beside those of the run before, under another key.
    kept = removed.parents[1] / "toy_topics/queries.parquet"
    assert {row["role"] for row in across} == {"passage", "query"}
    assert sum(row["role"] == "query" for row in across) == pq.read_metadata(kept).num_rows
    assert {row["evidence"] for row in across} == {"query of toy_topics"}
