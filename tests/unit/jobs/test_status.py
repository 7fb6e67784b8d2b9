"""What a person is told beside a live run, after a failure, and at the end."""

import os
from dataclasses import replace

import pytest

from f2llm.jobs import notes, status
from f2llm.jobs.lock import acquire
from f2llm.jobs.notes import end_note, is_gone, read_notes, start_note
from f2llm.jobs.status import end_lines, failure_end_lines, failures_since, note_call, read_steps, status_lines
from f2llm.records.errors import InputError
from f2llm.records.files import read_json, write_json
from f2llm.records.schemas.evaluate import GateVerdict
from f2llm.records.schemas.sources import SkippedSource, SkippedSources

BEGAN = "2026-01-02T030405.000000.snakemake.log"


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    log = tmp_path / ".snakemake" / "log" / BEGAN
    log.parent.mkdir(parents=True)
    log.write_text("job        count\ntotal         7\n2 of 7 steps (29%) done\n3 of 7 steps (43%) done\n")
    return tmp_path


def begin(unit, *, text=""):
    log = f"logs/mine_source/{unit}.log"
    note = start_note(rule="mine_source", unit=unit, log=log)
    (notes.note_path(log).parent / f"{unit}.log").write_text(text)
    return note


def test_a_live_job_is_shown_with_the_last_line_of_its_log(checkout):
    begin("news", text="2026-01-02 03:04:06,123 INFO f2llm.jobs.progress: search: 5/9 (56 %) blocks, 2/s, ETA 2 s\n\n")
    lines = status_lines(checkout).splitlines()
    assert lines[0].startswith("steps    3 of 7 done, begun ")
    assert lines[1].startswith("running  mine_source news, 0 s: search: 5/9 (56 %) blocks, 2/s, ETA 2 s")


def test_a_job_of_slurm_says_where_it_runs(checkout, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "41")
    begin("news")
    assert "Slurm job 41 on " in status_lines(checkout)


def test_finished_jobs_are_counted_by_rule(checkout):
    end_note(begin("news"), state="done")
    end_note(begin("code"), state="done")
    assert status_lines(checkout).splitlines()[-1] == "done     mine_source 2 (0 s each)"


def test_a_failed_job_says_again_what_was_wrong(checkout):
    note = begin(
        "news",
        text="2026-01-02 03:04:06,123 INFO f2llm.mine: search begins\nnews: every query was dropped; lower `skip`\n",
    )
    end_note(note, state="failed", said="  news: every query was dropped; lower `skip`")
    assert failures_since(0, folder=checkout).splitlines() == [
        "failed   mine_source news (logs/mine_source/news.log)",
        "  news: every query was dropped; lower `skip`",
        "  log: search begins",
    ]


def test_rate_and_time_left_are_said_while_the_run_lives_and_jobs_are_left(checkout):
    acquire(checkout / "results" / ".lock")
    began = read_steps(checkout / ".snakemake" / "log").began
    said = status_lines(checkout, now=began + 90).splitlines()[0]
    assert said == "steps    3 of 7 done, begun 90 s ago, 2 a minute, ETA 2 min if the rest takes as long"
    (checkout / ".snakemake" / "log" / BEGAN).write_text("total         7\n7 of 7 steps (100%) done\n")
    assert status_lines(checkout, now=began + 90).splitlines()[0].endswith("begun 90 s ago")


@pytest.mark.parametrize(
    ("log", "said"),
    [("total  7\n3 of 7 steps (43%) done\n", "3 of 7 done"), ("Nothing to be done.\n", "nothing was to be done")],
)
def test_a_call_that_ended_has_no_time_left(checkout, log, said):
    path = checkout / ".snakemake" / "log" / BEGAN
    path.write_text(log)
    began = read_steps(path.parent).began
    os.utime(path, (began + 30, began + 30))
    assert status_lines(checkout, now=began + 90) == f"steps    {said}, begun 90 s ago, ended 60 s ago"


@pytest.mark.parametrize(("queue", "word"), [("41\n", "running"), ("7\n", "killed "), (None, "running")])
def test_a_job_on_another_node_is_alive_while_it_is_in_the_queue(checkout, monkeypatch, queue, word):
    monkeypatch.setenv("SLURM_JOB_ID", "41")
    note = begin("news", text="loading\n")
    path = notes.note_path(note.log)
    write_json(path, read_json(path) | {"host": "another"})

    def answer(*_):
        if queue is None:
            raise OSError("the controller is away")
        return queue

    monkeypatch.setattr(status, "ask", answer)
    monkeypatch.setattr(status.shutil, "which", lambda name: name)
    assert status_lines(checkout).splitlines()[1].startswith(word)


def test_a_job_killed_without_a_word_is_known_by_its_dead_process(checkout):
    note = begin("news", text="\n".join(f"line {number}" for number in range(9)))
    path = notes.note_path(note.log)
    assert not is_gone(*read_notes("logs"))
    write_json(path, read_json(path) | {"process_started": 1.0})  # the number was given to another process since
    assert is_gone(*read_notes("logs"))
    first, *last = failures_since(0, folder=checkout).splitlines()
    assert first.startswith("killed   mine_source news")
    assert last == ["  line 4", "  line 5", "  line 6", "  line 7", "  line 8"]
    assert "running" not in status_lines(checkout)


def test_jobs_of_earlier_calls_are_left_out(checkout):
    end_note(begin("news"), state="failed", said="x")
    assert failures_since(4e9, folder=checkout) == ""


def test_a_note_of_another_version_is_passed_over(checkout):
    begin("news")
    write_json(checkout / "logs" / "other.job.json", {"colour": "red"})
    assert [note.unit for note in read_notes("logs")] == ["news"]


def test_before_the_first_job_is_done_the_planned_ones_are_known(checkout):
    (checkout / ".snakemake" / "log" / BEGAN).write_text("job    count\ntotal      12\n")
    assert read_steps(checkout / ".snakemake" / "log")[:2] == (0, 12)


def finish(checkout, run, *, mean, skipped=SkippedSources()):  # noqa: B008 - it cannot be changed
    verdict = GateVerdict(
        run=run, mean=mean, base_last=20.0, base_mean=30.0, gain_over_last=20.0, gain_over_mean=10.0, thresholds={},
        passed=True, in_domain={}, untrained={}, tasks=1, tasks_not_improved=[], tasks_skipped=[], tasks_undefined=[],
    )  # fmt: skip
    verdict._replace(sources_skipped=skipped).write(checkout / "results" / "runs" / run / "gate.json")


def test_a_finished_run_ends_with_where_things_are(checkout):
    finish(checkout, "toy", mean=40.0)
    assert "gain        mean over all tasks 40.0: +20.0 points" in status_lines(checkout)


def test_a_finished_run_ends_with_what_it_went_on_without(checkout):
    lost = (SkippedSource("bioasq", "HTTP 404", 10), SkippedSource("paq", "no rows", None))
    finish(checkout, "toy", mean=40.0, skipped=SkippedSources(60, 0.186, lost))
    end_note(begin("bioasq"), state="done", said="skipped: HTTP 404")
    for lines in (status_lines(checkout), end_lines("results", run="toy", names={"bioasq"})):
        assert lines.splitlines()[-3:] == [
            "skipped     2 of 60 sources were skipped: bioasq, paq; 18.6% of the queries that the stanzas state are missing",
            "            bioasq: HTTP 404",
            "            paq: no rows",
        ]
        assert lines.count("bioasq: ") == 1


def test_before_the_end_of_a_run_what_its_jobs_skipped_is_said(checkout):
    end_note(begin("bioasq"), state="done", said="skipped: HTTP 404")
    end_note(begin("bioasq 0 2"), state="done", said="skipped: no queries")
    end_note(begin("reddit"), state="done", said="partial-train: a part of the data")
    end_note(begin("news"), state="done")
    expected = [
        "remark   bioasq: skipped: HTTP 404 (mine_source)",
        "remark   reddit: partial-train: a part of the data (mine_source)",
    ]
    assert status_lines(checkout).splitlines()[-2:] == expected
    assert end_lines("results", run="toy", names={"bioasq", "reddit"}).splitlines() == expected
    assert end_lines("results", run="toy", names={"news"}) == ""


def test_a_source_that_is_no_longer_skipped_is_not_said_to_be(checkout):
    for key, said in (("old", "skipped: HTTP 404"), ("new", None)):
        note = start_note(rule="mine_source", unit="bioasq", log=f"logs/mine_source/{key}/bioasq.log")
        end_note(replace(note, started=note.started + (key == "new")), state="done", said=said)
    assert end_lines("results", run="toy", names={"bioasq"}) == ""


def test_what_the_verdict_does_not_name_is_said_beside_it(checkout):
    finish(checkout, "toy", mean=40.0)
    end_note(begin("released"), state="done", said="skipped: HTTP 404")
    assert "remark   released: skipped: HTTP 404 (mine_source)" in status_lines(checkout)
    assert "remark   released" in end_lines("results", run="toy", names={"released"})


def test_a_call_that_fails_says_what_was_skipped_as_well(checkout):
    end_note(begin("bioasq"), state="done", said="skipped: HTTP 404")
    assert failure_end_lines(4e9, names={"bioasq"}) == "remark   bioasq: skipped: HTTP 404 (mine_source)"
    end_note(begin("news"), state="failed", said="  news: x")
    first, *_, last = failure_end_lines(0, names={"bioasq"}).splitlines()
    assert (first[:8], last[:8]) == ("failed  ", "remark  ")
    assert failure_end_lines(4e9, names={"other"}) == ""


def test_a_verdict_from_before_undefined_tasks_and_skipped_sources_were_listed_is_read(checkout):
    finish(checkout, "toy", mean=40.0)
    path = checkout / "results" / "runs" / "toy" / "gate.json"
    write_json(
        path,
        {key: value for key, value in read_json(path).items() if key not in ("tasks_undefined", "sources_skipped")},
    )
    assert "gain        mean over all tasks 40.0: +20.0 points" in status_lines(checkout)


def test_the_run_is_that_of_the_latest_call(checkout):
    finish(checkout, "embedded", mean=40.0)
    note_call(["toy", "toy-long"])
    assert "gain" not in status_lines(checkout)
    finish(checkout, "toy", mean=50.0)
    assert "mean over all tasks 50.0" in status_lines(checkout)


def test_another_run_is_told_from_that_of_the_latest_call(checkout):
    finish(checkout, "embedded", mean=40.0)
    note_call(["toy"])
    lines = status_lines(checkout, run="embedded").splitlines()
    assert lines[1] == "         of run toy"
    assert "mean over all tasks 40.0" in lines[-1]


def test_an_unknown_run_is_refused_with_those_that_are_there(checkout):
    finish(checkout, "embedded", mean=40.0)
    note_call(["toy"])
    with pytest.raises(InputError, match="there is no run 'nosuch' here; there are: toy, embedded"):
        status_lines(checkout, run="nosuch")


def test_a_folder_where_nothing_ran_is_said_so(tmp_path):
    with pytest.raises(InputError, match="nothing has run here yet; `snakemake --cores all`"):
        status_lines(tmp_path)
