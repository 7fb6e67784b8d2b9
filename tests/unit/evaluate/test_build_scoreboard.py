import pytest

from f2llm.config.benchmarks import Benchmark
from f2llm.config.candidates import RUN, Candidate
from f2llm.evaluate.build_scoreboard import Board, context_of_scores


@pytest.mark.parametrize(("changed", "earlier"), [((), ["new-long", "old"]), (("new-long",), ["old"])])
def test_runs_that_were_changed_from_this_one_are_no_earlier_ones(tmp_path, changed, earlier):
    for name in ("new", "new-long", "old"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "scores" / name).mkdir(parents=True)
    own = Candidate(
        name="new", role=RUN, folder="", pooling="last", query_prompt="", max_length=64, precision="float32"
    )
    board = Board(
        tasks=(), trained=(), datasets=(), declared=(), off=(), report=(), leaderboard="",
        benchmark=Benchmark(name="none", mteb="", tasks=(), published=()),
    )  # fmt: skip
    found = context_of_scores([own], board, tmp_path / "scores", removed=[], checked=[], changed=changed)
    assert [one["model"] for one in found["earlier_runs"]] == earlier
