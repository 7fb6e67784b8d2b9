"""The log of steps."""

import pyarrow.parquet as pq

from f2llm.records.schemas.train import METRICS
from f2llm.train.metrics import MetricsLog


def row(step):
    return {
        "step": step, "batch": 0, "source": "pairs", "loss": 1 / (step + 1), "loss_hard": 0.1, "loss_in_batch": None, "learning_rate": 1e-3,
        "gradient_norm": 2.0, "tokens": 10, "computed_tokens": 11, "seconds": 0.5,
        "tokens_per_second": 20.0, "mfu": 0.3,
    }  # fmt: skip


def log_of(path, steps):
    log = MetricsLog(path, schema=METRICS)
    for step in range(steps):
        log.append(row(step))
    return log


def test_rows_after_the_checkpoint_and_torn_lines_are_dropped(tmp_path):
    log = log_of(tmp_path / "m.jsonl", 5)
    with open(tmp_path / "m.jsonl", "a") as file:
        file.write('{"step": 5, "sou')
    log.truncate(3)
    log.append(row(3))
    assert [found["step"] for found in log.rows()] == [0, 1, 2, 3]


def test_the_table_holds_every_step_exactly(tmp_path):
    log_of(tmp_path / "m.jsonl", 3).write_table(tmp_path / "m.parquet")
    assert pq.read_table(tmp_path / "m.parquet").to_pylist() == [row(step) for step in range(3)]


def test_a_log_that_does_not_exist_is_empty(tmp_path):
    log = MetricsLog(tmp_path / "new" / "m.jsonl", schema=METRICS)
    assert list(log.rows()) == []
    log.truncate(0)
    log.append(row(0))
    assert [found["step"] for found in log.rows()] == [0]
