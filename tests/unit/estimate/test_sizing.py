"""What a job takes grows with its tables, and Slurm is asked for more than that."""

import dataclasses
from pathlib import Path

import pytest

from f2llm.config.load import load_run_file
from f2llm.estimate.counts import Counts, Rows
from f2llm.estimate.sizing import GPU_TFLOPS, LEAST_MINUTES, MEMORY_MARGIN, SNAKEMAKE_MB, Sizes

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


PAPER_SIZES = Sizes(Counts(PAPER, results="nowhere", lock=LOCK))


@pytest.fixture(scope="module")
def sizes():
    return Sizes(Counts(RUN, results="nowhere", lock=LOCK))


class Given:
    """Counts of one source as told."""

    def __init__(self, run, rows):
        self._rows, self._real = rows, Counts(run, results="nowhere", lock=LOCK)
        self.run = run

    def normalised(self, source):
        return self._rows

    curated = tuples = normalised

    def stamps(self, source):
        return ()

    def raw_mb(self, source):
        return None

    def geometry(self, model):
        return self._real.geometry(model)


def rows(texts, megabytes):
    return Rows(texts // 2, texts // 2, megabytes / 2, megabytes / 2, "table")


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
    counts = Counts(PAPER, results="nowhere", lock="nowhere")
    part = Sizes(counts).cost("mine_part", {"source": "msmarco"})
    whole = Sizes(Counts(dataclasses.replace(PAPER, mine=dataclasses.replace(PAPER.mine, queries_per_job=10**7)),
                         results="nowhere", lock="nowhere")).cost("mine_part", {"source": "msmarco"})  # fmt: skip
    assert 3 * PAPER.mine.queries_per_job < source.stated_queries <= 4 * PAPER.mine.queries_per_job
    assert whole.seconds == pytest.approx(4 * part.seconds, rel=0.01)


def test_slurm_is_asked_for_more_than_expected_and_for_whole_numbers(sizes):
    cost, ask = (ask_or_cost("curate_source", {"source": "code"}) for ask_or_cost in (sizes.cost, sizes.ask))
    assert ask.memory_mb >= cost.memory_mb * MEMORY_MARGIN + SNAKEMAKE_MB
    assert ask.memory_mb % 100 == 0
    assert ask.minutes == LEAST_MINUTES  # of a job of seconds
    assert all(isinstance(value, int) for value in ask)


def test_what_is_not_known_gets_room(tmp_path):
    sizes = Sizes(Counts(RUN, results=tmp_path, lock="nowhere"))
    for rule in ("normalise_source", "curate_source", "embed_source", "mine_source"):
        ask = sizes.ask(rule, {"source": "news"})
        assert ask.memory_mb >= 2000 and ask.minutes >= 240, rule
    assert sizes.training().memory_mb >= 3000


def test_the_training_of_the_embedded_default(sizes):
    # 60 steps of 32 tuples of 157,591 tokens in all, 4,984 MB and some 450 s of processor time (runs of three seeds).
    assert sizes.tuple_tokens() == pytest.approx(157_591 / 1889, rel=0.25)
    assert sizes.training().memory_mb == pytest.approx(4984, rel=0.25)
    assert sizes.training().seconds == pytest.approx(450, rel=0.5)


def test_a_gpu_is_asked_for_less_time_and_room_for_its_libraries():
    counts = Counts(PAPER, results="nowhere", lock="nowhere")
    gpu, cpu = Sizes(counts, gpu_tflops=350.0).training(), Sizes(counts).training()
    assert gpu.seconds < cpu.seconds / 100
    assert gpu.memory_mb >= 8 * 3000


def test_rules_without_a_curve_take_little(sizes):
    assert sizes.cost("build_task", {"task": "X"}).memory_mb < 400


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
    on_gpu = Sizes(PAPER_SIZES._counts, gpu_tflops=GPU_TFLOPS)
    assert on_gpu.ask("train_model", {}).minutes < PAPER_SIZES.ask("train_model", {}).minutes / 100
    source = {"source": "msmarco"}
    for rule in ("embed_part", "mine_part"):
        assert on_gpu.cost(rule, source).seconds < PAPER_SIZES.cost(rule, source).seconds / 4
        assert on_gpu.cost(rule, source).memory_mb > PAPER_SIZES.cost(rule, source).memory_mb
