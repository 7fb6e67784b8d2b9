"""The estimate of energy: each term by hand."""

import pytest

from f2llm.config.run import Energy
from f2llm.publish.energy import assumptions, estimate_energy

ROUND = Energy(watts_per_core=10, watts_per_gb=1, watts_per_gpu=100, overhead=2, grams_per_kwh=500)


def job(rule="mine_source", seconds=3600.0, params=None, counts=None, memory_mb=0, **others):
    return {
        "rule": rule, "wildcards": {"source": "toy"}, "seconds": seconds, "peak_memory_mb": memory_mb, "params": params or {},
        "counts": counts or {}, **others,
    }  # fmt: skip


def test_an_hour_of_one_core_is_its_watts_times_the_overhead():
    (row,) = estimate_energy([job()], energy=ROUND)
    assert (row.rule, row.unit, row.cores, row.gpus) == ("mine_source", "toy", 1, 0)
    assert row.kwh == pytest.approx(0.02)
    assert row.grams == pytest.approx(10)


def test_training_counts_the_cores_of_all_its_processes_on_all_nodes():
    (row,) = estimate_energy([job("train_model", params={"threads": 4, "processes": 2, "nodes": 3})], energy=ROUND)
    assert (row.cores, row.gpus) == (24, 0)
    assert row.kwh == pytest.approx(0.48)


def test_where_another_job_ran_on_cuda_training_had_a_gpu_a_process():
    training = job("train_model", params={"threads": 1, "processes": 2, "nodes": 1})
    rows = {row.rule: row for row in estimate_energy([training, job(counts={"device": "cuda"})], energy=ROUND)}
    assert (rows["train_model"].gpus, rows["mine_source"].gpus) == (2, 1)
    assert rows["train_model"].kwh == pytest.approx((2 * 10 + 2 * 100) * 2 / 1000)


def test_memory_is_the_highest_of_the_job_and_its_children():
    (row,) = estimate_energy([job(memory_mb=1, counts={"training_peak_memory_mb": 1000})], energy=ROUND)
    assert row.memory_gb == pytest.approx(1.048576)
    assert row.kwh == pytest.approx((10 + 1.048576) * 2 / 1000)


def test_threads_of_a_manifest_count_and_rows_are_sorted():
    rows = estimate_energy([job("b", threads=2), job("a")], energy=ROUND)
    assert [(row.rule, row.cores) for row in rows] == [("a", 1), ("b", 2)]


def test_every_assumption_is_told_with_the_value_in_use():
    told = {name: value for name, value, _ in assumptions(ROUND)}
    assert told["a busy core"] == "10 W"
    assert told["CO2 of the grid"] == "500 g/kWh"
    assert len(told) == len(Energy.__dataclass_fields__)
