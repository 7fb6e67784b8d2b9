"""`f2llm VERB` (also `python -m f2llm VERB`): what answers a question rather than makes a file."""

import argparse
import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from f2llm.errors import InputError
from f2llm.lineage.verbs import Verb, add_lineage

if TYPE_CHECKING:
    from f2llm.config.run import Run

ROOT = Path(__file__).parents[1]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; return 0, or 1 after printing what is wrong and what to do."""
    options = _parser().parse_args(arguments)
    action: Callable[[argparse.Namespace], None] = options.action
    try:
        action(options)
    except InputError as error:
        print(f"f2llm {options.verb}: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader, such as `head`, has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="f2llm", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    def verb(name: str, action: Callable[[argparse.Namespace], None], text: str) -> argparse.ArgumentParser:
        added = verbs.add_parser(name, help=text, description=text)
        added.set_defaults(action=action)
        return added

    check = verb("check", _check, "check this environment and a config with all stanzas that it names")
    check.add_argument("config", nargs="?", default="config/config.yaml", help="default: %(default)s")

    estimate = verb(
        "estimate", _estimate, "say what a run will take and whether it can work here; exit code 1 says that it cannot"
    )
    estimate.add_argument("config", nargs="?", default="config/config.yaml", help="default: %(default)s")
    estimate.add_argument("--results", default="results", help="where a plan may be; default: %(default)s")
    estimate.add_argument(
        "--tflops", type=_positive, default=790.0, help="matrix products of one GPU; default: %(default)s"
    )
    estimate.add_argument("--efficiency", type=_share, default=0.45, help="share of it reached; default: %(default)s")
    estimate.add_argument("--offline", action="store_true", help="do not ask whether sources can be reached")
    estimate.add_argument(
        "--record", action="store_true", help="write what a finished run counted into config/counts.lock.json, and end"
    )

    status = verb("status", _status, "say what runs, what failed and why, and where the results of a finished run are")
    status.add_argument("run", nargs="?", help="name of the run; default: that of the latest call of snakemake")
    status.add_argument("--folder", default=".", help="the checkout that runs; default: this folder")
    status.add_argument("--every", type=_positive, metavar="SECONDS", help="say it again every so many seconds")

    source = verb("check-source", _check_source, "fetch one source, and show its first rows, counts and problems")
    source.add_argument("name", help="of a stanza in config/sources, or the path of a stanza")

    lock = verb("lock", _lock, "fetch all that a config names and lock what its stanzas leave open")
    lock.add_argument("names", nargs="*", metavar="NAME", help="sources or models; default: all of the config")
    lock.add_argument("--config", default="config/config.yaml", help="default: %(default)s")
    lock.add_argument("--refresh", action="store_true", help="forget what is locked, take what is there today")

    unbundle = verb("unbundle", _unbundle, "put the files of a bundle where a run without network finds them")
    unbundle.add_argument("folder", help="results/bundle of the machine that had the network, copied here")

    add_lineage(verb)
    _add_uses(verb)
    _add_pages(verb)

    accept = verb("accept", _accept, "take existing outputs as unchanged after a code change that keeps results")
    accept.add_argument("reason", help="why the results are the same; recorded in results/lineage/accepted.jsonl")
    accept.add_argument("targets", nargs="*", help="snakemake targets; default: everything")
    return parser


def _add_pages(verb: Verb) -> None:
    """Add the verbs that show runs to a person."""
    compare = verb("compare", _compare, "compare the scores of two or more runs or models, and say what may be chance")
    compare.add_argument(
        "names", nargs="+", metavar="RUN", help="folders of results/scores, the first is the yardstick"
    )
    compare.add_argument("--results", default="results", help="default: %(default)s")
    compare.add_argument(
        "--page", nargs="?", const="", metavar="PATH", help="also write a page; default: RESULTS/report/compare.html"
    )

    report = verb("report", _report, "write the report of a run from what is there; a half-done run says what it lacks")
    report.add_argument("run", nargs="?", default="embedded", help="default: %(default)s")
    report.add_argument("--results", default="results", help="default: %(default)s")
    report.add_argument("--output", metavar="FOLDER", help="default: RESULTS/report/RUN")


def _add_uses(verb: Verb) -> None:
    """Add the verbs that use a trained model."""
    search = verb("search", _search, "index your own texts with a trained model, and answer queries from them")
    search.add_argument("model", help="its folder, such as results/runs/embedded/model")
    search.add_argument("texts", help="a file or folder: .txt, .md and .rst by paragraph; tables by row")
    search.add_argument("--query", action="append", default=[], help="may be given often; default: lines of the input")
    search.add_argument("--column", default="text", help="of tables; default: %(default)s")
    search.add_argument("--prompt", default="query", help="of the model, such as a source's; default: %(default)s")
    search.add_argument("--most", type=int, default=5, help="answers; default: %(default)s")
    search.add_argument(
        "--index", type=Path, metavar="FOLDER", help="keep the index there; default: a temporary folder"
    )

    push = verb("push", _push, "upload a model with its card and scores to a repository of a model hub")
    push.add_argument("run", help="its name, as in results/runs")
    push.add_argument("repository", help="OWNER/NAME; the token is read from the environment variable HF_TOKEN")
    push.add_argument("--dry-run", action="store_true", help="list what would go, and end")
    push.add_argument("--private", action="store_true", help="if the repository is made")
    push.add_argument("--results", default="results", help="default: %(default)s")


def _positive(text: str) -> float:
    """Read a number above zero from the command line."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
    return number


def _share(text: str) -> float:
    """Read a share above zero, one at most, from the command line."""
    share = _positive(text)
    if share > 1:
        raise argparse.ArgumentTypeError(f"{text!r} is above 1, a share is not")
    return share


def _runs_of(config: str) -> "tuple[Run, tuple[Run, ...]]":
    """Return the run of a config, and those that its `ablate` asks for."""
    from f2llm.config.candidates import candidates
    from f2llm.config.changed_runs import load_changed_runs
    from f2llm.config.check import read_yaml
    from f2llm.config.load import load_run

    content, place = read_yaml(config), {"folder": Path(config).parent, "where": config}
    run = load_run(content, **place)
    taken = [candidate.name for candidate in candidates(run)]
    return run, load_changed_runs(run, content, **place, taken=taken)


def _check(options: argparse.Namespace) -> None:
    from f2llm.jobs.environment import check_environment

    check_environment(lock=ROOT / "requirements.lock")
    run, changed = _runs_of(options.config)
    counts = f"{len(run.sources)} sources, {len(run.benchmark.tasks)} tasks"
    counts += f", {len(changed)} changed runs" if changed else ""
    print(f"{options.config}: run {run.run!r}, {counts}; all is well")


def _estimate(options: argparse.Namespace) -> None:
    from f2llm.config.fetch import Fetch
    from f2llm.estimate.counts import Counts
    from f2llm.estimate.machine import Machine, check_run, describe_machine, stages_of, stages_of_changed
    from f2llm.estimate.search import format_search, search_costs
    from f2llm.estimate.stages import format_changed, format_stages
    from f2llm.estimate.training import Machine as Rate
    from f2llm.estimate.training import estimate_run, format_estimate
    from f2llm.jobs.environment import describe_libraries
    from f2llm.jobs.slurm import ask_partitions
    from f2llm.sources.reach import reach

    (run, changed), rate = _runs_of(options.config), Rate(options.tflops, options.efficiency)
    counts = Counts(run, results=options.results)
    if options.record:
        print(f"config/counts.lock.json: counts of {counts.record()} sources")
        return
    machine = Machine.here(options.results, tflops=options.tflops * options.efficiency)
    partitions = None
    try:
        partitions = ask_partitions() if machine.slurm else None
    except InputError as error:
        print(f"cluster      {error}; judged as one machine")
        machine = machine._replace(slurm=False)
    found = stages_of(counts, machine)
    print(describe_machine(machine), *describe_libraries(gpus=machine.gpus), sep="\n")
    print(format_stages(found, cores=machine.cores))
    if changed:
        more = stages_of_changed(counts, [Counts(one, results=options.results) for one in changed], machine)
        print(format_changed(more, runs=len(changed), cores=machine.cores))
    training = estimate_run(run, machine=rate, results=options.results)
    if training.known or training.plan:
        print(format_estimate(training, run=run, machine=rate))
    if search := format_search(search_costs(run, tflops=rate.tflops, results=options.results), tflops=rate.tflops):
        print(search)
    orders = [(f"source {source.name}", source.fetch) for source in run.stanzas]
    models = {model.name: model for model in (run.backbone, run.retriever, *run.scored_models)}
    orders += [(f"model {name}", (model.fetch,)) for name, model in models.items()]
    orders += [
        (
            f"task {task.name}",
            (Fetch(kind="hub", repository=mteb.repository, revision=mteb.revision, files=mteb.files),),
        )
        for task in run.benchmark.tasks
        if (mteb := task.mteb) and run.evaluate.tier in task.tiers
    ]
    places = reach(orders, ask=not options.offline)
    asked = "not asked" if options.offline else "asked"
    print(f"files        {places.stored} places are in the store already, {places.asked} others {asked}")
    check_run(run, found, machine, lock=ROOT / "requirements.lock", unreachable=places.faults, partitions=partitions)
    print("verdict      this run can work here")


def _status(options: argparse.Namespace) -> None:
    from f2llm.jobs.status import status_lines

    print(status_lines(options.folder, run=options.run))
    while options.every:
        time.sleep(options.every)
        print(f"\n{time.strftime('%H:%M:%S')}\n{status_lines(options.folder, run=options.run)}", flush=True)


def _check_source(options: argparse.Namespace) -> None:
    from f2llm.sources.check import as_text, check_source

    print(as_text(check_source(options.name)))


def _lock(options: argparse.Namespace) -> None:
    from f2llm.config.load import load_run_file
    from f2llm.sources.lock import lock_run

    for line in lock_run(load_run_file(options.config), names=options.names, refresh=options.refresh):
        print(line, flush=True)


def _unbundle(options: argparse.Namespace) -> None:
    from f2llm.sources.bundle import open_bundle

    for path in open_bundle(options.folder):
        print(path)
    print("all is here; now `HF_HUB_OFFLINE=1 snakemake --cores all --configfile config/bundle-RUN.yaml`")


def _search(options: argparse.Namespace) -> None:
    from f2llm.vectors.own_texts import OwnIndex, hit_lines

    index = OwnIndex(options.model, options.texts, column=options.column, folder=options.index)
    print(f"{index.count:,} texts", file=sys.stderr)
    for query in options.query or map(str.strip, sys.stdin):
        print("\n".join([query, *hit_lines(index.ask(query, most=options.most, prompt=options.prompt))]), flush=True)


def _push(options: argparse.Namespace) -> None:
    from f2llm.publish.push import check_repository, plan_push, push, push_lines

    check_repository(options.repository)
    uploads = plan_push(options.results, options.run)
    print("\n".join(push_lines(uploads)))
    if options.dry_run:
        print(f"nothing was sent to {options.repository}")
    else:
        print(push(uploads, options.repository, private=options.private, message=f"Run {options.run}"))


def _compare(options: argparse.Namespace) -> None:
    from f2llm.evaluate.compare import format_comparison, read_comparison

    found = read_comparison(options.names, results=options.results)
    print(format_comparison(found))
    if options.page is not None:
        from f2llm.report.comparison import build_comparison

        page = options.page or Path(options.results, "report", "compare.html")
        print(build_comparison(options.names, results=options.results, scores=found.rows, output=page))


def _report(options: argparse.Namespace) -> None:
    from f2llm.report.report import report_of

    folder = Path(options.output or Path(options.results, "report", options.run))
    counts = report_of(options.results, run=options.run, output=folder / "index.html")
    print(
        f"{folder / 'index.html'}"
        + (f" ({counts['gaps']} things are missing, it says which)" if counts["gaps"] else "")
    )


def _accept(options: argparse.Namespace) -> None:
    from f2llm.jobs.accept import accept_outputs

    print(accept_outputs(reason=options.reason, targets=options.targets))


if __name__ == "__main__":
    sys.exit(main())
