import dataclasses
import logging

import numpy as np
import pyarrow as pa
import pytest

from f2llm.config.rights import Licence
from f2llm.config.sources import Source
from f2llm.config.stanzas import filled
from f2llm.mine.manifest import VectorsManifest
from f2llm.mine.outcome import TuplePaths
from f2llm.mine.source import MiningTables, mine_source
from f2llm.models.prompts import vector_id
from f2llm.records.errors import InputError
from f2llm.records.files import sha256_file
from f2llm.records.ids import doc_id, query_id, tuple_id
from f2llm.records.schemas.curate import NEAR
from f2llm.records.schemas.mine import REJECTED, TUPLES
from f2llm.records.schemas.sources import CORPUS, QUERIES
from f2llm.records.tables import Share, read_metadata, read_table, write_table
from f2llm.records.text_keys import content_key
from f2llm.vectors.store import VectorStore

PROMPT, INSTRUCTION = "{instruction} ", "find:"


def source(task="retrieval", *, ready=False):
    return filled(
        Source, ready=ready, name="toy", task=task, fetch=(), adapter="", instruction=INSTRUCTION, licence=Licence(id="CC0-1.0", commercial="yes", note=""),
        reference="", group="",
    )  # fmt: skip


class Case:
    """Curated tables of a source, its vectors, and what the miner makes of them."""

    def __init__(self, folder):
        self.folder = folder
        self.corpus, self.queries, self.near, self.vectors = [], [], [], {}

    def passage(self, text, vector=None):
        self.corpus.append({"doc_id": doc_id(text), "text": text, "content_key": content_key(text)})
        if vector is not None:
            self.vectors[doc_id(text)] = vector

    def query(self, text, vector=None, *, positives=(), negatives=(), label=None, task="retrieval"):
        self.queries.append({
            "query_id": query_id(task, text), "text": text, "positives": sorted(map(doc_id, positives)),
            "negatives": list(map(doc_id, negatives)), "label": label, "grade": None, "group": text, "split": "train",
        })  # fmt: skip
        if vector is not None:
            self.vectors[vector_id(text, prompt=PROMPT, instruction=INSTRUCTION)] = vector

    def mine(
        self, rule, *, task="retrieval", ready=False, name="out", order=lambda rows: rows, passage_prompt="", **settings
    ):
        folder = self.folder / name
        self.write(folder, order, passage_prompt=passage_prompt)
        outputs = TuplePaths(folder / "tuples.parquet", folder / "rejected.parquet")
        tables = MiningTables(*(folder / f"{table}" for table in ("corpus", "queries", "near", "vectors.json")))
        counts = mine_source(
            tables, outputs, source=source(task, ready=ready), rule=rule, **{"seed": 0, "threads": 1} | settings
        )  # fmt: skip
        return counts, read_table(outputs.tuples).to_pylist(), read_table(outputs.rejected).to_pylist()

    def write(self, folder, order, *, passage_prompt):
        self.corpus.sort(key=lambda row: row["doc_id"])
        self.queries.sort(key=lambda row: row["query_id"])
        near = [{"doc_id": doc_id(a), "other_id": doc_id(b), "similarity": 0.9} for a, b in self.near]
        for name, schema, rows in (
            ("corpus", CORPUS, self.corpus), ("queries", QUERIES, order(self.queries)), ("near", NEAR, near),
        ):  # fmt: skip
            write_table(folder / name, schema=schema, rows=[pa.Table.from_pylist(rows, schema=schema)])
        store = VectorStore(folder / "store", key="test")
        if self.vectors:
            store.put(list(self.vectors), np.stack(list(self.vectors.values())), precision="float32")
        manifest = VectorsManifest(
            "toy", "retrieval", store=str(store.folder), key="test", passage_prompt=passage_prompt,
            query_prompt=PROMPT, instruction=INSTRUCTION,
        )  # fmt: skip
        manifest.write(folder / "vectors.json")

    def row(self, text):
        return [row["doc_id"] for row in self.corpus].index(doc_id(text))

    def text(self, row):
        return self.corpus[row]["text"]

    def texts(self, rows):
        return [self.text(row) for row in rows]


@pytest.fixture
def case(tmp_path):
    return Case(tmp_path)


def at(score):
    """A vector of two dimensions at the given inner product with (1, 0)."""
    return np.array([score, np.sqrt(1 - score**2)])


QUERY = at(1.0)


@pytest.fixture
def ladder(case):
    """The query "q" with positive "right" at 0.9, and passages "p0".."p9" at 0.70, 0.65, ... below it."""
    case.passage("right", at(0.9))
    for step in range(10):
        case.passage(f"p{step}", at(0.7 - 0.05 * step))
    return case


@pytest.fixture
def small(rule):
    return lambda **changes: rule(**{"window": 8, "skip": 2, "negatives": 3, "block_rows": 4} | changes)


def test_the_nearest_passages_after_the_skip_become_negatives_with_scores_and_ranks(ladder, small):
    ladder.query("q", QUERY, positives=["right"])
    counts, tuples, rejected = ladder.mine(small())
    (found,) = tuples
    assert rejected == [] and (counts["tuples"], counts["rejected"], counts["pairs"]) == (1, 0, 1)
    assert ladder.texts(found["negative_rows"]) == ["p2", "p3", "p4"]
    assert found["negative_ranks"] == [3, 4, 5] and found["negative_kinds"] == ["mined"] * 3
    np.testing.assert_allclose(found["negative_scores"], [0.6, 0.55, 0.5], atol=1e-3)
    assert found["positive_score"] == pytest.approx(0.9, abs=1e-3)
    assert ladder.text(found["positive_row"]) == "right" and found["query_row"] == 0
    assert found["tuple_id"] == tuple_id("toy", query_id("retrieval", "q"), doc_id("right"))
    assert found["positive_rank"] == 1


def test_passages_are_looked_up_as_the_retriever_read_them(ladder, small):
    ladder.query("q", QUERY, positives=["right"])
    plain = ladder.mine(small(), name="plain")[1]
    prompted = {vector_id(row["text"], prompt="passage: ", instruction=""): row["doc_id"] for row in ladder.corpus}
    ladder.vectors |= {name: ladder.vectors.pop(doc) for name, doc in prompted.items()}
    with pytest.raises(InputError, match="vectors are not there"):
        ladder.mine(small(), name="not said")
    assert ladder.mine(small(), name="prompted", passage_prompt="passage: ")[1] == plain


def test_a_query_with_several_positives_gives_one_tuple_each_under_the_least_score(ladder, small):
    ladder.passage("weak", at(0.5))
    ladder.query("q", QUERY, positives=["right", "weak"])
    _, tuples, _ = ladder.mine(small(window=10), name="min")
    assert {ladder.text(row["positive_row"]) for row in tuples} == {"right", "weak"}
    # 0.475 is the limit of both: p5 and p6 are passed over.
    assert [ladder.texts(row["negative_rows"]) for row in tuples] == [["p7", "p8", "p9"]] * 2
    own = {ladder.text(row["positive_row"]): row for row in ladder.mine(small(several_positives="own"), name="own")[1]}
    assert ladder.texts(own["right"]["negative_rows"]) == ["p2", "p3", "p4"]


def test_copies_of_positives_and_of_the_query_are_never_negatives_and_take_up_no_rank(ladder, small):
    ladder.passage("RIGHT", at(0.68))  # equal to the positive up to case
    ladder.passage("near copy", at(0.67))  # joined to it by an edge
    ladder.passage("Q", at(0.66))  # the query's own text
    ladder.near.append(("near copy", "right"))
    ladder.query("q", QUERY, positives=["right"])
    _, (found,), _ = ladder.mine(small())
    assert ladder.texts(found["negative_rows"]) == ["p2", "p3", "p4"] and found["negative_ranks"] == [3, 4, 5]


def test_a_passage_like_another_query_s_positive_may_be_a_negative(ladder, small):
    ladder.query("q", QUERY, positives=["right"])
    ladder.query("other", at(0.2), positives=["p2"])
    tuples = {row["query_row"]: row for row in ladder.mine(small())[1]}
    mine = next(row for row in tuples.values() if ladder.text(row["positive_row"]) == "right")
    assert ladder.texts(mine["negative_rows"])[0] == "p2"


def test_given_negatives_come_first_with_their_scores_and_without_rank(ladder, small):
    ladder.query("q", QUERY, positives=["right"], negatives=["p8", "p0", "right", "absent"])
    _, (found,), _ = ladder.mine(small())
    assert ladder.texts(found["negative_rows"]) == ["p8", "p0", "p3"]
    assert found["negative_kinds"] == ["given", "given", "mined"] and found["negative_ranks"] == [None, None, 3]
    np.testing.assert_allclose(found["negative_scores"], [0.3, 0.7, 0.55], atol=1e-3)


def test_every_pair_that_gives_no_tuple_is_listed_with_its_reason(ladder, small):
    ladder.query("q", QUERY, positives=["right"])
    ladder.query("lost", QUERY, positives=["absent"])
    ladder.query("none", QUERY)
    ladder.query("weak", QUERY, positives=["p9"])  # 0.25: all others are nearer
    counts, tuples, rejected = ladder.mine(small())
    assert counts["rejected_by_reason"] == {"filtered_out": 1, "missing_positive": 1, "no_positive": 1}
    assert (counts["pairs"], len(tuples), len(rejected)) == (4, 1, 3)
    assert rejected == sorted(rejected, key=lambda row: row["query_id"])
    by_reason = {row["reason"]: row for row in rejected}
    assert by_reason["filtered_out"]["candidates"] == 8 and by_reason["filtered_out"]["kept"] == 0
    assert by_reason["filtered_out"]["positive_score"] == pytest.approx(0.25, abs=1e-3)
    assert by_reason["missing_positive"]["positive_id"] == doc_id("absent")
    assert by_reason["no_positive"]["positive_id"] is None


def test_the_best_positive_alone_gives_a_tuple_where_the_run_says_so(ladder, small):
    ladder.passage("weak", at(0.5))
    ladder.query("q", QUERY, positives=["weak", "right"])
    counts, (found,), (lost,) = ladder.mine(small(positives="best", several_positives="own"))
    assert ladder.text(found["positive_row"]) == "right"
    assert (lost["reason"], lost["positive_id"], counts["pairs"]) == ("not_best", doc_id("weak"), 2)


@pytest.mark.parametrize(("least", "kept"), [(0.899, True), (0.901, False)])
def test_a_positive_must_score_enough_where_the_run_says_so(ladder, small, least, kept):
    ladder.query("q", QUERY, positives=["right"])
    _, tuples, rejected = ladder.mine(small(positive_min_score=least, min_kept=0))
    assert (len(tuples), [row["reason"] for row in rejected]) == (kept, [] if kept else ["positive_score"])


@pytest.mark.parametrize(("most", "kept"), [(3, True), (2, False)])
def test_a_positive_must_rank_high_enough_where_the_run_says_so(ladder, small, most, kept):
    ladder.query("q", QUERY, positives=["p2"])  # "right", "p0" and "p1" are nearer; "right" is a copy of the query
    ladder.near.append(("right", "p2"))
    _, tuples, rejected = ladder.mine(small(positive_max_rank=most, max_score=None, relative_margin=None, min_kept=0))
    assert (len(tuples), [row["reason"] for row in rejected]) == (kept, [] if kept else ["positive_rank"])
    assert (tuples or rejected)[0]["positive_rank"] == 3


@pytest.mark.parametrize(("window", "rank"), [(9, 10), (8, None)])
def test_the_rank_of_a_positive_beyond_the_window_is_not_known(ladder, small, window, rank):
    # Ten candidates are nearer than p9: nine of them within a window of nine give it rank 10, which is beyond it.
    ladder.query("q", QUERY, positives=["p8"])  # nearer: right, p0 .. p7
    settings = small(window=window + 1, max_score=None, relative_margin=None)
    (row,) = ladder.mine(settings)[1]
    assert row["positive_rank"] == rank


def test_exclusions_can_be_turned_off_but_never_that_of_positives(ladder, small):
    ladder.passage("RIGHT", at(0.68))
    ladder.passage("Q", at(0.66))
    ladder.query("q", QUERY, positives=["right"])
    bounds = {"skip": 0, "max_score": None, "relative_margin": None}
    off = ladder.mine(small(exclude_copies=False, exclude_own_text=False, **bounds), name="off")[1][0]
    assert ladder.texts(off["negative_rows"]) == ["p0", "RIGHT", "Q"]
    copies = ladder.mine(small(exclude_own_text=False, **bounds), name="copies")[1][0]
    assert ladder.texts(copies["negative_rows"]) == ["p0", "Q", "p1"]
    own = ladder.mine(small(exclude_copies=False, **bounds), name="own")[1][0]
    assert ladder.texts(own["negative_rows"]) == ["p0", "RIGHT", "p1"]


def test_near_copies_of_the_query_are_excluded_as_copies_alone(ladder, small):
    for text, score in (("Q", 0.69), ("q ", 0.68), ("nearly q", 0.67)):
        ladder.passage(text, at(score))
    ladder.near += [("Q", "nearly q"), ("q ", "nearly q")]
    ladder.query("q", QUERY, positives=["right"])
    bounds = {"skip": 0, "max_score": None, "relative_margin": None}
    own = ladder.mine(small(exclude_copies=False, **bounds), name="own")[1][0]
    assert ladder.texts(own["negative_rows"]) == ["p0", "nearly q", "p1"]
    both = ladder.mine(small(**bounds), name="both")[1][0]
    assert ladder.texts(both["negative_rows"]) == ["p0", "p1", "p2"]


def test_a_query_is_kept_with_fewer_negatives_where_the_run_says_so(ladder, small):
    ladder.query("q", QUERY, positives=["right"])
    _, (found,), _ = ladder.mine(small(window=6, negatives=5, least_negatives=4))
    assert ladder.texts(found["negative_rows"]) == ["p2", "p3", "p4", "p5"]


def test_random_negatives_depend_on_seed_and_query_alone(case, related, rule):
    many(case, related)
    settings = {"negatives": 8, "max_score": 0.5, "sampling": "random"}
    first = case.mine(rule(**settings), name="one")[1]
    assert case.mine(rule(**settings), name="two", order=lambda rows: rows[::-1])[1][0].keys() == first[0].keys()
    negatives = {row["tuple_id"]: row["negative_rows"] for row in first}
    again = {
        row["tuple_id"]: row["negative_rows"] for row in case.mine(rule(**settings, block_rows=7), name="three")[1]
    }
    other = {row["tuple_id"]: row["negative_rows"] for row in case.mine(rule(**settings), name="four", seed=1)[1]}
    top = {row["tuple_id"]: row["negative_rows"] for row in case.mine(rule(negatives=8, max_score=0.5), name="top")[1]}
    assert negatives == again and negatives != other and negatives != top


@pytest.mark.parametrize("settings", [{"backend": "torch"}, {"backend": "torch", "block_rows": 7}])
def test_the_back_end_changes_no_byte(case, related, rule, settings):
    many(case, related)
    case.mine(rule(negatives=8, max_score=0.5), name="one")
    case.mine(rule(negatives=8, max_score=0.5, **settings), name="two")
    for table in ("tuples.parquet", "rejected.parquet"):
        assert (case.folder / "one" / table).read_bytes() == (case.folder / "two" / table).read_bytes()


@pytest.mark.parametrize("task", ["retrieval", "classification", "clustering"])
@pytest.mark.parametrize("jobs", [2, 7])
def test_shares_of_the_queries_put_together_give_the_same_bytes(case, related, rule, task, jobs):
    many(case, related) if task == "retrieval" else grouped(case)
    settings = rule(negatives=3, max_score=0.5, min_kept=0)
    counts, _, _ = case.mine(settings, task=task, name="one")
    folder = case.folder / "one"
    tables = MiningTables(*(folder / name for name in ("corpus", "queries", "near", "vectors.json")))
    about = {"source": source(task), "rule": settings, "seed": 0, "threads": 1}
    parts = [TuplePaths(folder / f"t{number}", folder / f"r{number}") for number in range(jobs)]
    for number, part in enumerate(parts):
        mine_source(tables, part, share=Share(number, jobs), **about)
    made = mine_source(tables, TuplePaths(folder / "t", folder / "r"), parts=parts, **about)
    assert made == counts
    assert (folder / "t").read_bytes() == (folder / "tuples.parquet").read_bytes()
    assert (folder / "r").read_bytes() == (folder / "rejected.parquet").read_bytes()


def test_a_share_that_could_not_be_mined_skips_the_source(ladder, small):
    ladder.query("q", QUERY, positives=["right"])
    ladder.mine(small())
    out = ladder.folder / "out"
    VectorsManifest("toy", "retrieval", skipped="source toy: text 3 has no tokens").write(out / "vectors.json")
    tables, part = (
        MiningTables(out / "corpus", out / "queries", out / "near", out / "vectors.json"),
        TuplePaths(out / "t0", out / "r0"),
    )
    about = {"source": source(), "rule": small(), "seed": 0, "threads": 1, "on_source_error": "skip"}
    mine_source(tables, part, share=Share(1, 2), **about)
    counts = mine_source(tables, TuplePaths(out / "t", out / "r"), parts=[part], **about)
    assert counts["skipped"] == "source toy: text 3 has no tokens"


@pytest.mark.parametrize("kind", ["ivf", "hnsw"])
def test_an_approximate_index_states_its_recall_and_gives_the_same_bytes_again(case, related, rule, kind):
    many(case, related, queries=60, passages=700)
    index = dataclasses.replace(rule().index, kind=kind)
    settings = rule(negatives=3, max_score=0.5, min_kept=0, window=20, index=index)
    counts, first, _ = case.mine(settings, name="one")
    assert 0.2 < counts["recall"] <= 1 and counts["recall_queries"] == 20 and counts["index"] == kind
    assert case.mine(settings, name="two", threads=2)[1] == first
    tables = MiningTables(*(case.folder / "one" / name for name in ("corpus", "queries", "near", "vectors.json")))
    about = {"source": source(), "rule": settings, "seed": 0, "threads": 1}
    parts = [TuplePaths(case.folder / f"t{number}", case.folder / f"r{number}") for number in range(2)]
    made = [mine_source(tables, part, share=Share(number, 2), **about) for number, part in enumerate(parts)]
    whole = mine_source(tables, TuplePaths(case.folder / "t", case.folder / "r"), parts=parts, **about)
    assert whole["recall_queries"] == 40
    assert whole["recall"] == pytest.approx((made[0]["recall"] + made[1]["recall"]) / 2)
    case.mine(rule(min_kept=0), name="reset", threads=1)


def many(case, related, *, queries=40, passages=120):
    asked, corpus = related(3, queries=queries, passages=passages, noise=0.8)
    for number, vector in enumerate(corpus):
        case.passage(f"passage {number}", vector)
    for number, vector in enumerate(asked):
        positives = [f"passage {number}"] + ([f"passage {number + 60}"] if number % 4 == 0 else [])
        case.query(f"query {number}", vector, positives=positives)


def test_tables_are_sorted_typed_and_say_what_they_refer_to(case, related, rule):
    many(case, related)
    _, tuples, _ = case.mine(rule(negatives=8, max_score=0.5))
    path = case.folder / "out" / "tuples.parquet"
    assert [row["tuple_id"] for row in tuples] == sorted(row["tuple_id"] for row in tuples) and len(tuples) > 20
    assert read_table(path).schema.remove_metadata() == TUPLES
    assert read_table(case.folder / "out" / "rejected.parquet").schema.remove_metadata() == REJECTED
    assert read_metadata(path) == {
        "source": "toy",
        "corpus_sha256": sha256_file(case.folder / "out" / "corpus"),
        "queries_sha256": sha256_file(case.folder / "out" / "queries"),
    }


@pytest.mark.parametrize("settings", [{"block_rows": 7}, {"block_rows": 1000}])
@pytest.mark.parametrize("threads", [1, 2])
def test_block_size_and_threads_change_no_byte(case, related, rule, settings, threads):
    many(case, related)
    case.mine(rule(negatives=8, max_score=0.5), name="one")
    case.mine(rule(negatives=8, max_score=0.5, **settings), name="two", threads=threads)
    case.mine(rule(), name="reset", threads=1)
    for table in ("tuples.parquet", "rejected.parquet"):
        assert (case.folder / "one" / table).read_bytes() == (case.folder / "two" / table).read_bytes()


def test_pairs_in_are_tuples_and_rejected_pairs_out(case, related, rule):
    many(case, related)
    counts, tuples, rejected = case.mine(rule(negatives=8, max_score=0.3, relative_margin=0.4))
    assert counts["pairs"] == 50 == len(tuples) + len(rejected) and tuples and rejected
    pairs = {(row["query_id"], case.corpus[row["positive_row"]]["doc_id"]) for row in tuples}
    pairs |= {(row["query_id"], row["positive_id"]) for row in rejected}
    assert pairs == {(query["query_id"], doc) for query in case.queries for doc in query["positives"]}


@pytest.mark.parametrize(("least", "fails"), [(1, False), (2, True)])
def test_a_source_that_keeps_too_few_stops_the_run(ladder, small, least, fails):
    ladder.query("q", QUERY, positives=["right"])
    ladder.query("weak", QUERY, positives=["p9"])
    if not fails:
        assert ladder.mine(small(min_kept=least))[0]["tuples"] == 1
        return
    with pytest.raises(InputError, match="source toy: 1 tuples kept of 2.*at least 2.*filtered_out 1.*mine.max_score"):
        ladder.mine(small(min_kept=least))
    assert not (ladder.folder / "out" / "tuples.parquet").exists()


def test_in_skip_mode_such_a_source_gives_empty_tables_and_says_so(ladder, small, caplog):
    ladder.query("weak", QUERY, positives=["p9"])
    with caplog.at_level(logging.WARNING):
        counts, tuples, rejected = ladder.mine(small(), on_source_error="skip")
    assert (tuples, rejected, counts["tuples"]) == ([], [], 0)
    assert "0 tuples kept of 1" in counts["skipped"] and "skipped" in caplog.text


@pytest.mark.parametrize("task", ["retrieval", "classification", "clustering"])
def test_empty_tables_give_empty_tables_in_skip_mode_and_stop_the_run_otherwise(case, small, task):
    counts, tuples, rejected = case.mine(small(), task=task, on_source_error="skip")
    assert (tuples, rejected) == ([], []) and "it has no queries" in counts["skipped"]
    with pytest.raises(InputError, match="it has no queries"):
        case.mine(small(), task=task)


def test_a_source_that_was_skipped_when_fetched_keeps_its_reason(ladder, small):
    ladder.query("q", QUERY, positives=["right"])
    ladder.mine(small())
    out = ladder.folder / "out"
    write_table(out / "queries", schema=QUERIES, rows=[], metadata={"skipped": "HTTP 404"})
    tables = MiningTables(out / "corpus", out / "queries", out / "near", out / "vectors.json")
    settings = {"source": source(), "rule": small(), "seed": 0, "threads": 1}
    counts = mine_source(tables, TuplePaths(out / "t", out / "r"), **settings, on_source_error="skip")
    assert (counts["tuples"], counts["skipped"]) == (0, "HTTP 404")
    assert read_metadata(out / "t")["skipped"] == "HTTP 404"
    with pytest.raises(InputError, match="HTTP 404"):
        mine_source(tables, TuplePaths(out / "t", out / "r"), **settings)


def test_a_source_that_was_skipped_when_encoded_is_skipped(ladder, small):
    ladder.query("q", QUERY, positives=["right"])
    ladder.mine(small())
    manifest = VectorsManifest("toy", "retrieval", skipped="source toy: text 3 has no tokens")
    manifest.write(ladder.folder / "out" / "vectors.json")
    out = ladder.folder / "out"
    tables = MiningTables(out / "corpus", out / "queries", out / "near", out / "vectors.json")
    settings = {"source": source(), "rule": small(), "seed": 0, "threads": 1}
    counts = mine_source(tables, TuplePaths(out / "t", out / "r"), **settings, on_source_error="skip")
    assert counts["skipped"] == "source toy: text 3 has no tokens"
    with pytest.raises(InputError, match="text 3 has no tokens"):
        mine_source(tables, TuplePaths(out / "t", out / "r"), **settings)


def test_vectors_that_are_gone_stop_the_run_even_in_skip_mode(ladder, small):
    ladder.query("q", QUERY, positives=["right"])
    ladder.vectors.popitem()
    with pytest.raises(InputError, match="1 of 1 vectors are not there.*forcerun embed_source"):
        ladder.mine(small(), on_source_error="skip")


@pytest.mark.parametrize("backend", ["faiss", "torch"])
@pytest.mark.parametrize("place", [0, -1])  # a passage, the query
def test_a_vector_that_changed_on_disk_stops_the_run_even_in_skip_mode(ladder, small, backend, place):
    ladder.query("q", QUERY, positives=["right"])
    folder = ladder.folder / "out"
    ladder.write(folder, lambda rows: rows, passage_prompt="")
    shard = next(folder.glob("store/*.f16"))
    rows = np.fromfile(shard, "<f2").reshape(-1, 2)
    rows[place] = rows[place][::-1]
    rows.tofile(shard)
    tables = MiningTables(*(folder / table for table in ("corpus", "queries", "near", "vectors.json")))
    settings = {"source": source(), "rule": small(backend=backend), "seed": 0, "threads": 1, "on_source_error": "skip"}
    with pytest.raises(InputError, match=f"{shard.name}: its bytes changed; delete .*--forcerun embed_source"):
        mine_source(tables, TuplePaths(folder / "t", folder / "r"), **settings)
    with pytest.raises(InputError, match=f"{shard.name}: its bytes changed"):
        mine_source(tables, TuplePaths(folder / "t", folder / "r"), share=Share(1, 2), **settings)


def test_graded_pairs_are_refused_as_training_data(case, small):
    with pytest.raises(InputError, match="source toy: graded pairs .task: sts. are for evaluation"):
        case.mine(small(), task="sts")


def test_classification_takes_the_own_label_against_the_other_labels(case, small):
    for label in ("good", "bad", "odd"):
        case.passage(label)
    for text, label in (("fine film", "good"), ("dull film", "bad")):
        others = [other for other in ("bad", "good", "odd") if other != label]
        case.query(text, positives=[label], negatives=others, label=label, task="classification")
    counts, tuples, _ = case.mine(small(), task="classification")
    assert counts["tuples"] == 2
    by_query = {case.queries[row["query_row"]]["text"]: row for row in tuples}
    found = by_query["fine film"]
    assert case.text(found["positive_row"]) == "good" and case.texts(found["negative_rows"]) == ["bad", "odd"]
    assert found["negative_kinds"] == ["given"] * 2 and found["positive_score"] is None
    assert found["negative_scores"] == found["negative_ranks"] == [None, None]


def test_classification_without_another_label_is_rejected(case, small):
    case.passage("good")
    case.query("a", positives=["good"], task="classification")
    case.query("b", positives=["gone"], negatives=["good"], task="classification")
    counts, _, rejected = case.mine(small(min_kept=0), task="classification")
    assert counts["rejected_by_reason"] == {"few_candidates": 1, "missing_positive": 1}
    assert len(rejected) == 2


def grouped(case):
    for number in range(12):
        text, label = f"text {number}", "abc"[number % 3]
        case.passage(text)
        case.query(text, label=label, task="clustering")
    case.passage("lonely")
    case.query("lonely", label="d", task="clustering")


def test_clustering_draws_a_positive_of_the_class_and_negatives_of_others(case, small):
    grouped(case)
    counts, tuples, (alone,) = case.mine(small(), task="clustering")
    labels = {query["text"]: query["label"] for query in case.queries}
    assert (counts["tuples"], counts["pairs"], alone["reason"]) == (12, 13, "single_text_class")
    assert alone["query_id"] == query_id("clustering", "lonely") and alone["positive_id"] is None
    for row in tuples:
        own, positive = case.queries[row["query_row"]]["text"], case.text(row["positive_row"])
        negatives = case.texts(row["negative_rows"])
        assert positive != own and labels[positive] == labels[own]
        assert len(set(negatives)) == 3 and all(labels[text] != labels[own] for text in negatives)
        assert row["negative_kinds"] == ["drawn"] * 3 and row["negative_ranks"] == [None] * 3
        assert row["tuple_id"] == tuple_id("toy", row["query_id"], doc_id(positive))


def test_draws_depend_on_ids_and_seed_and_not_on_the_order_of_rows(case, small):
    grouped(case)

    def drawn(**settings):
        return [
            (row["query_id"], row["positive_row"], row["negative_rows"])
            for row in case.mine(small(), task="clustering", **settings)[1]
        ]

    first = drawn()
    assert drawn(name="shuffled", order=lambda rows: rows[::-1]) == first
    assert drawn(name="seed", seed=1) != first


@pytest.mark.parametrize(("negatives", "reason"), [(9, "ok"), (10, "few_candidates")])
def test_clustering_needs_enough_texts_of_other_classes(case, small, negatives, reason):
    grouped(case)
    counts, _, _ = case.mine(small(negatives=negatives, min_kept=0), task="clustering")
    assert counts["tuples"] == (12 if reason == "ok" else 0)
    assert counts["rejected_by_reason"].get("few_candidates", 0) == (0 if reason == "ok" else 12)


@pytest.mark.parametrize("task", ["retrieval", "classification", "clustering", "sts"])
def test_ready_tuples_keep_their_own_negatives_whatever_the_task_and_ask_no_retriever(case, small, task):
    for text in ("right", "wrong", "worse"):
        case.passage(text)
    case.query("q", positives=["right"], negatives=["worse", "wrong"])
    counts, (made,), _ = case.mine(small(), task=task, ready=True)
    assert made["negative_rows"] == [case.row("worse"), case.row("wrong")]
    assert made["negative_kinds"] == ["given", "given"]
    assert (made["positive_score"], made["negative_scores"]) == (None, [None, None])
    assert counts["pairs"] == counts["tuples"] == 1


def test_a_copy_of_a_positive_is_no_negative_of_a_ready_tuple(case, small):
    for text in ("right", "right, nearly", "wrong"):
        case.passage(text)
    case.near.append(("right", "right, nearly"))
    case.query("q", positives=["right"], negatives=["right, nearly", "wrong"])
    _, (made,), _ = case.mine(small(), ready=True)
    assert made["negative_rows"] == [case.row("wrong")]
