"""What a job takes grows with its tables, and Slurm is asked for more than that."""

import dataclasses
import re
from pathlib import Path

import pytest

from f2llm.config.load import load_run_file
from f2llm.config.sources import Expected
from f2llm.estimate.counts import ExpectedRows, SourceRows
from f2llm.estimate.rates import GPU_TFLOPS, LEAST_MINUTES, MEMORY_MARGIN, SNAKEMAKE_MB
from f2llm.estimate.sizing import RUN_COSTS, SOURCE_COSTS, Sizes

ROOT = Path(__file__).parents[3]
LOCK = ROOT / "config" / "counts.lock.json"
RUN = load_run_file(ROOT / "config" / "config.yaml")
PAPER = load_run_file(ROOT / "config" / "f2llm-0.6b.yaml")
# Wall seconds of the embedded default on an idle machine, where a job has one thread (manifests of a run), and MB.
SEEN = [
    ("normalise_source", "code", 22.6, 272), ("normalise_source", "icd_chapter", 3.5, 293),
    ("curate_source", "code", 3.1, 337), ("curate_source", "icd_term", 1.6, 308),
    ("embed_source", "code", 19.5, 677), ("embed_source", "hpo_def", 14.1, 622),
]  # fmt: skip


PAPER_SIZES = Sizes(ExpectedRows(PAPER, results="nowhere", lock=LOCK))


@pytest.fixture(scope="module")
def sizes():
    return Sizes(ExpectedRows(RUN, results="nowhere", lock=LOCK))


class Given:
    """Counts of one source as told."""

    def __init__(self, run, rows):
        self._rows, self._real = rows, ExpectedRows(run, results="nowhere", lock=LOCK)
        self.run = run

    def normalised(self, source):
        return self._rows

    curated = tuples = normalised

    def plan(self):
        return None

    def width(self, model):
        return self._real.width(model)

    def stamps(self, source):
        return ()

    def raw_mb(self, source):
        return None

    def geometry(self, model):
        return self._real.geometry(model)


def rows(texts, megabytes):
    return SourceRows(texts // 2, texts // 2, megabytes / 2, megabytes / 2, "table")


@pytest.mark.parametrize(("rule", "source", "seconds", "memory"), SEEN)
def test_the_curves_meet_what_was_measured(sizes, rule, source, seconds, memory):
    cost = sizes.cost(rule, {"source": source})
    assert cost.memory_mb == pytest.approx(memory, rel=0.25)
    assert cost.seconds == pytest.approx(seconds, rel=0.5, abs=5)


@pytest.mark.parametrize(
    "rule", ["normalise_source", "curate_source", "embed_source", "mine_source", "tokenise_source"]
)
def test_more_rows_take_more_time_and_no_less_memory(rule):
    small, large = (
        Sizes(Given(RUN, rows(count, count / 1000))).cost(rule, {"source": "news"}) for count in (10_000, 1_000_000)
    )
    assert large.seconds > 2 * small.seconds
    assert large.memory_mb >= small.memory_mb


def test_curation_grows_faster_than_its_texts_and_reading_does_not():
    def seconds(rule, count):
        return Sizes(Given(RUN, rows(count, count / 1000))).cost(rule, {"source": "news"}).seconds - 1

    assert seconds("curate_source", 2_000_000) > 2.2 * seconds("curate_source", 1_000_000)
    assert seconds("normalise_source", 2_000_000) == pytest.approx(2 * seconds("normalise_source", 1_000_000))


def test_jobs_that_share_a_source_share_its_cost():
    source = next(one for one in PAPER.sources if one.name == "msmarco")
    counts = ExpectedRows(PAPER, results="nowhere", lock="nowhere")
    part = Sizes(counts).cost("mine_part", {"source": "msmarco"})
    whole = Sizes(ExpectedRows(dataclasses.replace(PAPER, mine=dataclasses.replace(PAPER.mine, queries_per_job=10**7)),
                         results="nowhere", lock="nowhere")).cost("mine_part", {"source": "msmarco"})  # fmt: skip
    assert 3 * PAPER.mine.queries_per_job < source.stated_queries <= 4 * PAPER.mine.queries_per_job
    assert whole.seconds == pytest.approx(4 * part.seconds, rel=0.01)


def test_slurm_is_asked_for_more_than_expected_and_for_whole_numbers(sizes):
    cost, request = (of_job("curate_source", {"source": "code"}) for of_job in (sizes.cost, sizes.request))
    assert request.memory_mb >= cost.memory_mb * MEMORY_MARGIN + SNAKEMAKE_MB
    assert request.memory_mb % 100 == 0
    assert request.minutes == LEAST_MINUTES  # of a job of seconds
    assert all(isinstance(value, int) for value in request)


def test_what_is_not_known_gets_room(tmp_path):
    sizes = Sizes(ExpectedRows(RUN, results=tmp_path, lock="nowhere"))
    for rule in ("normalise_source", "curate_source", "embed_source", "mine_source"):
        request = sizes.request(rule, {"source": "news"})
        assert request.memory_mb >= 2000 and request.minutes >= 240, rule
    assert sizes.training().memory_mb >= 3000


def test_the_training_of_the_embedded_default(sizes):
    # 60 steps of 32 tuples of 157,591 tokens in all, 4,984 MB and some 450 s of processor time (runs of three seeds).
    assert sizes.tuple_tokens() == pytest.approx(157_591 / 1889, rel=0.25)
    assert sizes.training().memory_mb == pytest.approx(4984, rel=0.25)
    assert sizes.training().seconds == pytest.approx(450, rel=0.5)


def test_a_binary_class_has_one_negative():
    named = {source.name: source for source in PAPER.sources}
    for name, passages in (("imdb", 2), ("squad", 8)):
        run, stated = dataclasses.replace(PAPER, sources=(named[name],)), named[name].expected
        tokens = Sizes(ExpectedRows(run, results="nowhere", lock="nowhere")).tuple_tokens()
        assert tokens == pytest.approx(stated.query_tokens + passages * stated.passage_tokens)


def test_the_papers_training_has_the_papers_counts():
    sizes = Sizes(ExpectedRows(PAPER, results="nowhere", lock="nowhere"), gpu_tflops=500.0)
    work = sizes.training_work()
    assert work.rows == pytest.approx(0.99 * 2 * 5_933_988, rel=1e-5)
    assert work.tokens / work.rows == pytest.approx(1365, abs=15)  # without the cut at 1,024 tokens: 1,361
    seconds = work.tokens * 3 * 2 * 0.44e9 / 500e12
    assert seconds <= sizes.training().seconds <= 1.1 * seconds


def searches(run, results="nowhere"):
    return Sizes(ExpectedRows(run, results=results, lock="nowhere")).searches()


def test_the_papers_largest_searches_come_first_with_their_jobs():
    first, _, third, *_ = searches(PAPER)
    assert (first.source, first.jobs) == ("paq", 10)
    assert third == ("msmarco", 365503, 4472684, 4, 2 * 365503 * 4472684 * 1024)


def test_sources_without_counts_or_search_are_not_searched():
    assert {search.source for search in searches(PAPER)}.isdisjoint({"banking77", "imdb"})
    expected = Expected(queries=None, passages=100, query_tokens=None, passage_tokens=None)
    uncounted = dataclasses.replace(PAPER.sources[0], expected=expected)
    assert searches(dataclasses.replace(PAPER, sources=(uncounted,))) == []


def test_caps_bound_a_search():
    source = next(source for source in PAPER.sources if source.name == "msmarco")
    capped = dataclasses.replace(source, max_queries=10, max_passages=100)
    assert searches(dataclasses.replace(PAPER, sources=(capped,))) == [("msmarco", 10, 100, 1, 2 * 10 * 100 * 1024)]


def test_a_search_of_unknown_width_is_not_estimated(tmp_path):
    run = dataclasses.replace(PAPER, retriever=dataclasses.replace(PAPER.retriever, geometry=None))
    assert searches(run, tmp_path) == []
    folder = tmp_path / "models" / run.retriever.name / "model"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"hidden_size": 8}')
    [*_, last] = searches(run, tmp_path)
    assert last.flops == 2 * last.queries * last.passages * 8


def test_a_gpu_is_asked_for_less_time_and_room_for_its_libraries():
    counts = ExpectedRows(PAPER, results="nowhere", lock="nowhere")
    gpu, cpu = Sizes(counts, gpu_tflops=350.0).training(), Sizes(counts).training()
    assert gpu.seconds < cpu.seconds / 100
    assert gpu.memory_mb >= 8 * 3000


def asking_rules():
    """Names of the rules in rules/*.smk whose jobs ask for what `Sizes` says."""
    blocks = [
        block for path in sorted((ROOT / "rules").glob("*.smk")) for block in re.split(r"(?m)^rule ", path.read_text())
    ]
    asking = [
        block for block in blocks if re.search(r"mem_mb=memory_mb|runtime=minutes|\btraining_resources\(\),", block)
    ]
    return {block.partition(":")[0] for block in asking}


def test_every_rule_whose_jobs_ask_for_a_cost_has_one_and_no_cost_is_of_another_rule():
    assert asking_rules() == SOURCE_COSTS.keys() | RUN_COSTS.keys()
    assert not SOURCE_COSTS.keys() & RUN_COSTS.keys()


def test_a_rule_without_a_cost_is_refused(sizes):
    with pytest.raises(KeyError, match="curate_sources"):
        sizes.cost("curate_sources", {"source": "code"})


def test_scoring_grows_with_the_model_and_the_texts(sizes):
    small, large = (sizes.scoring(RUN.backbone, texts=texts) for texts in (100, 10_000))
    assert large.memory_mb - small.memory_mb == pytest.approx(3 * 4 * 576 * 9_900 / 1e6)
    assert large.seconds > small.seconds
    assert PAPER_SIZES.scoring(PAPER.backbone, texts=100).memory_mb > 4 * 600 > small.memory_mb


def test_vectors_that_other_jobs_made_take_memory_and_no_time(sizes):
    alone, shared = (sizes.scoring(RUN.backbone, texts=10_000, encoded=encoded) for encoded in (None, 100))
    assert alone.memory_mb == shared.memory_mb
    assert shared.seconds < alone.seconds / 2


def test_on_gpus_a_job_asks_for_less_time_and_not_for_a_cpus_activations():
    on_gpu = Sizes(PAPER_SIZES.expected, gpu_tflops=GPU_TFLOPS)
    assert on_gpu.request("train_model", {}).minutes < PAPER_SIZES.request("train_model", {}).minutes / 100
    source = {"source": "msmarco"}
    for rule in ("embed_part", "mine_part"):
        assert on_gpu.cost(rule, source).seconds < PAPER_SIZES.cost(rule, source).seconds / 4
        assert on_gpu.cost(rule, source).memory_mb > PAPER_SIZES.cost(rule, source).memory_mb
