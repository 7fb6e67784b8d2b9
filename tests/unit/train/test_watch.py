"""What a person sees: rows without doubles, means over batches, events."""

import pyarrow.parquet as pq
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from f2llm.config.geometry import Geometry
from f2llm.train.step import Loss, StepReport
from f2llm.train.watch import TrainingLog, matmul_rate

SHAPE = Geometry(layers=1, hidden=2, intermediate=3, heads=1, kv_heads=1, head_dim=2, vocabulary=5)
BATCHES = (
    Loss("pairs", 3.0, {"hard": 1.0, "in_batch": 2.0}, 30, 31),
    Loss("kinds", 1.0, {"hard": 1.0}, 10, 10),
)


def watch_of(folder, *, start=0, steps=4):
    return TrainingLog(
        folder / "own", folder / "events", start=start, steps=steps, geometry=SHAPE, flops_per_second=1e6
    )


def tables(watch, folder):
    watch.write_tables(metrics=folder / "m.parquet", validation=folder / "v.parquet")
    return [pq.read_table(folder / name).to_pylist() for name in ("m.parquet", "v.parquet")]


def of_term(term, rows):
    return [row for row in rows if row["term"] == term]


def test_each_batch_of_a_step_has_a_row_a_term_that_applies(tmp_path):
    watch = watch_of(tmp_path)
    watch.step(0, StepReport(BATCHES, 0.1, 2.0), seconds=2.0, sequences=8)
    rows, _ = tables(watch, tmp_path)
    figures = ["computed_tokens", "gradient_norm", "learning_rate"], ["mfu", "seconds", "tokens", "tokens_per_second"]
    assert [(row["step"], row["batch"], row["source"], row["term"]) for row in rows] == [
        *((0, 0, "pairs", term) for term in [*figures[0], "loss", "loss_hard", "loss_in_batch", *figures[1]]),
        *((0, 1, "kinds", term) for term in [*figures[0], "loss", "loss_hard", *figures[1]]),
    ]
    assert [row["value"] for row in of_term("loss_in_batch", rows)] == [2.0]
    assert [row["value"] for row in of_term("computed_tokens", rows)] == [31, 10]
    assert [row["value"] for row in of_term("tokens_per_second", rows)] == [20.0, 20.0]
    # Weights 2 x 2 x 4 + 3 x 2 x 3 = 34; attention 4 x 2 x 5 / 2 a token at a mean length of 5; forward and backward.
    assert of_term("mfu", rows)[0]["value"] == pytest.approx(3 * 40 * (2 * 34 + 20) / 2.0 / 1e6)


def test_a_line_says_losses_rates_and_what_is_left(tmp_path, caplog):
    caplog.set_level("INFO")
    watch_of(tmp_path, steps=4).step(0, StepReport(BATCHES, 0.1, 2.0), seconds=2.0, sequences=8)
    assert "step 1/4 pairs+kinds: loss 2.0000 (hard 1.0000, in_batch 2.0000), lr 1.00e-01" in caplog.text
    assert "20 tokens/s (97.6 % useful)" in caplog.text
    assert "ETA 6 s" in caplog.text


def test_what_a_crash_noted_after_the_checkpoint_is_noted_once(tmp_path):
    watch = watch_of(tmp_path)
    for step in range(3):
        watch.step(step, StepReport(BATCHES, 0.1, 2.0), seconds=1.0, sequences=8)
        watch.validated(step + 1, {"pairs": [(BATCHES[0], 2)]})
    watch._events.close()
    again = watch_of(tmp_path, start=1)
    again.step(1, StepReport(BATCHES, 0.1, 2.0), seconds=1.0, sequences=8)
    again.validated(2, {"pairs": [(BATCHES[0], 2)]})
    rows, validation = tables(again, tmp_path)
    assert [row["step"] for row in of_term("loss", rows)] == [0, 0, 1, 1]
    assert [row["step"] for row in of_term("loss", validation)] == [1, 2]
    events = EventAccumulator(str(tmp_path / "events")).Reload()
    assert [event.step for event in events.Scalars("train/loss")] == [0, 1]
    assert events.Scalars("train/loss")[0].value == 2.0
    assert events.Scalars("train_loss/kinds")[0].value == 1.0


def test_a_training_killed_before_its_first_checkpoint_has_no_validation_twice(tmp_path):
    for _ in range(2):
        watch = watch_of(tmp_path)
        watch.validated(0, {"pairs": [(BATCHES[0], 2)]})
        watch._events.close()
    assert [row["step"] for row in of_term("loss", tables(watch, tmp_path)[1])] == [0]


def test_validation_is_the_mean_over_tuples(tmp_path):
    watch = watch_of(tmp_path)
    watch.validated(4, {"pairs": [(BATCHES[0], 3), (BATCHES[0]._replace(loss=7.0), 1)]})
    assert [tuple(row.values()) for row in tables(watch, tmp_path)[1]] == [
        (4, "pairs", "loss", 4.0),
        (4, "pairs", "loss_hard", 1.0),
        (4, "pairs", "loss_in_batch", 2.0),
        (4, "pairs", "tuples", 4.0),
    ]


def test_the_matmul_rate_is_that_of_a_machine():
    assert 1e8 < matmul_rate(torch.device("cpu"), precision="float32") < 1e15
