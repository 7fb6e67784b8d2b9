"""`f2llm check` and `f2llm estimate`: whether a run can work here, and what it takes."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from f2llm.estimate.rates import GPU_PEAK_TFLOPS, GPU_SHARE
from f2llm.jobs.verbs import positive
from f2llm.records.errors import InputError

if TYPE_CHECKING:
    from f2llm.config.run import Run

Verb = Callable[..., argparse.ArgumentParser]  # name, action, text -> the parser of its arguments


def add_check(verb: Verb) -> None:
    """Add `check` to the command line."""
    parser = verb("check", _check, "check this environment and a config with all stanzas that it names")
    parser.add_argument("config", nargs="?", default="config/config.yaml", help="default: %(default)s")


def _check(options: argparse.Namespace) -> None:
    from f2llm.jobs.code import ROOT
    from f2llm.jobs.environment import check_environment

    check_environment(lock=ROOT / "requirements.lock")
    run, changed = _runs_of(options.config)
    counts = f"{len(run.sources)} sources, {len(run.benchmark.tasks)} tasks"
    counts += f", {len(changed)} changed runs" if changed else ""
    print(f"{options.config}: run {run.run!r}, {counts}; all is well")


def add_estimate(verb: Verb) -> None:
    """Add `estimate` to the command line."""
    parser = verb(
        "estimate", _estimate, "say what a run will take and whether it can work here; exit code 1 says that it cannot"
    )
    parser.add_argument("config", nargs="?", default="config/config.yaml", help="default: %(default)s")
    parser.add_argument("--results", default="results", help="where a plan may be; default: %(default)s")
    parser.add_argument(
        "--tflops", type=positive, default=GPU_PEAK_TFLOPS, help="matrix products of one GPU; default: %(default)s"
    )
    parser.add_argument(
        "--efficiency", type=_share, default=GPU_SHARE, help="share of it reached; default: %(default)s"
    )
    parser.add_argument("--offline", action="store_true", help="do not ask whether sources can be reached")
    parser.add_argument(
        "--record", action="store_true", help="write what a finished run counted into config/counts.lock.json, and end"
    )


def _estimate(options: argparse.Namespace) -> None:
    from f2llm.estimate.counts import ExpectedRows
    from f2llm.estimate.machine import Machine, check_run, describe_machine, stages_of, stages_of_changed
    from f2llm.estimate.printed import changed_line, gpu_lines, stage_lines
    from f2llm.estimate.sizing import Sizes
    from f2llm.fetch.reach import reach
    from f2llm.jobs.code import ROOT
    from f2llm.jobs.environment import describe_libraries
    from f2llm.jobs.slurm import ask_partitions
    from f2llm.sources.probe.of_run import probed_run

    run, changed = _runs_of(options.config)
    expected, tflops = ExpectedRows(run, results=options.results), options.tflops * options.efficiency
    if options.record:
        print(f"config/counts.lock.json: counts of {expected.record()} sources")
        return
    machine = Machine.here(options.results, tflops=tflops)
    partitions = None
    try:
        partitions = ask_partitions() if machine.slurm else None
    except InputError as error:
        print(f"cluster      {error}; judged as one machine")
        machine = machine._replace(slurm=False)
    stages = stages_of(expected, machine)
    lines = [describe_machine(machine), *describe_libraries(gpus=machine.gpus)]
    lines += stage_lines(stages, cores=machine.cores)
    if changed:
        more = stages_of_changed(
            expected, [ExpectedRows(changed_run, results=options.results) for changed_run in changed], machine
        )
        lines.append(changed_line(more, runs=len(changed), cores=machine.cores))
    on_gpus = Sizes(expected, gpu_tflops=tflops)
    print(*lines, *gpu_lines(on_gpus, peak_tflops=options.tflops, share=options.efficiency), sep="\n")
    places = reach([(part.owner, part.fetch) for part in probed_run(run)], ask=not options.offline)
    asked = "not asked" if options.offline else "asked"
    print(f"files        {places.stored} places are in the store already, {places.asked} others {asked}")
    check_run(run, stages, machine, lock=ROOT / "requirements.lock", unreachable=places.faults, partitions=partitions)
    print("verdict      this run can work here")


def _runs_of(config: str) -> "tuple[Run, tuple[Run, ...]]":
    """The run of a config, and those that its `ablate` asks for."""
    from f2llm.config.changed_runs import load_changed_runs
    from f2llm.config.load import load_run
    from f2llm.config.scoring_jobs import candidates
    from f2llm.records.yaml_files import read_yaml

    content, place = read_yaml(config), {"folder": Path(config).parent, "where": config}
    run = load_run(content, **place)
    taken = [candidate.name for candidate in candidates(run)]
    return run, load_changed_runs(run, content, **place, taken=taken)


def _share(text: str) -> float:
    """Read a share above zero, one at most, from the command line."""
    share = positive(text)
    if share > 1:
        raise argparse.ArgumentTypeError(f"{text!r} is above 1, a share is not")
    return share
