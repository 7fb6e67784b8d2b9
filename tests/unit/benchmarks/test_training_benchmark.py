"""The batches of the training benchmarks are F2LLM's, and its arms do the same mathematics."""

from pathlib import Path

import yaml

from benchmarks.train import gpu
from benchmarks.train.arms import Job
from benchmarks.train.compare import agreement
from benchmarks.train.lengths import draw_lengths, read_sources
from benchmarks.train.token_batches import draw_batches, write_random_qwen3

STANZAS = Path(__file__).parents[3] / "config" / "sources"
TASKS = {"c": "classification", "g": "clustering", "r": "retrieval"}


def test_the_table_holds_what_the_sixty_stanzas_declare():
    stanzas = [yaml.safe_load(path.read_text()) for path in STANZAS.glob("*.yaml")]
    keys = ("queries", "passages", "query_tokens", "passage_tokens")
    declared = sorted(
        tuple(stanza["expected"][key] for key in keys)
        for stanza in stanzas
        if "query_tokens" in stanza.get("expected", {})
    )
    assert declared == sorted(source[2:] for source in read_sources())
    assert len(declared) == 60


def test_the_script_for_one_gpu_draws_the_same_lengths():
    rows = [row.split() for row in gpu.TABLE.replace("\n", " ").split(";")]
    assert [(row[0], TASKS[row[1]], *map(int, row[2:])) for row in rows] == [
        (source.name, source.task, source.tuples, source.mean_query, source.mean_passage) for source in read_sources()
    ]
    for row, source in zip(rows, read_sources(), strict=True):
        ours = draw_lengths(source, tuples=3, seed=1, number=2).sequences()
        assert gpu.draw_lengths(row, tuples=3, seed=1, number=2).tolist() == ours.tolist()


def test_arms_of_the_same_mathematics_agree_in_loss_and_gradient(tmp_path):
    batches = [
        batch._replace(
            queries=[tokens[-6:] for tokens in batch.queries],
            candidates=[[tokens[-9:] for tokens in row] for row in batch.candidates],
        )
        for batch in draw_batches(batches=4, tuples=3, seed=0)
    ]
    assert {batch.task for batch in batches} >= {"clustering", "retrieval"}
    found = agreement(Job(write_random_qwen3(tmp_path, layers=1, width=128), batches, 1e-4), arm="upstream_like")
    assert found["loss_difference_relative"] <= 1e-6
    assert found["gradient_difference_relative"] <= 1e-5
