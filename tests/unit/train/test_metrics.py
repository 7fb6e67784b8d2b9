"""The log of steps."""

import pyarrow.parquet as pq

from f2llm.records.schemas.train import METRICS
from f2llm.train.watch import MetricsLog


def row(step):
    return {
        "step": step, "batch": 0, "source": "pairs", "loss": 1 / (step + 1), "loss_hard": 0.1, "loss_in_batch": None,
        "tokens": 10,
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
    assert [tuple(found.values()) for found in pq.read_table(tmp_path / "m.parquet").to_pylist()] == [
        found
        for step in range(3)
        for found in [
            (step, 0, "pairs", "loss", 1 / (step + 1)), (step, 0, "pairs", "loss_hard", 0.1), (step, 0, "pairs", "tokens", 10.0),
        ]
    ]  # fmt: skip


def test_a_term_that_only_some_steps_have_needs_no_other_schema(tmp_path):
    log = log_of(tmp_path / "m.jsonl", 2)
    log.append(row(2) | {"loss_distilled": 0.7})
    assert log.write_table(tmp_path / "m.parquet") == 10
    table = pq.read_table(tmp_path / "m.parquet")
    assert table.schema == METRICS
    assert [found for found in table.to_pylist() if found["term"] == "loss_distilled"] == [
        {"step": 2, "batch": 0, "source": "pairs", "term": "loss_distilled", "value": 0.7}
    ]


def test_a_log_cut_off_and_noted_again_gives_the_same_bytes(tmp_path):
    whole = log_of(tmp_path / "whole.jsonl", 5)
    cut = log_of(tmp_path / "cut.jsonl", 4)
    with open(tmp_path / "cut.jsonl", "a") as file:
        file.write('{"step": 4, "sou')
    cut.truncate(2)
    for step in range(2, 5):
        cut.append(dict(reversed(row(step).items())))  # the order of a line's keys does not matter
    for log, name in ((whole, "whole"), (cut, "cut")):
        log.write_table(tmp_path / f"{name}.parquet")
    assert (tmp_path / "whole.parquet").read_bytes() == (tmp_path / "cut.parquet").read_bytes()


def test_a_log_that_does_not_exist_is_empty(tmp_path):
    log = MetricsLog(tmp_path / "new" / "m.jsonl", schema=METRICS)
    assert list(log.rows()) == []
    log.truncate(0)
    log.append(row(0))
    assert [found["step"] for found in log.rows()] == [0]
