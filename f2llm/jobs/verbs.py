"""`f2llm status` and `f2llm accept`: the jobs of a run while it goes, and outputs kept after a change of code."""

import argparse
import math
import time
from collections.abc import Callable

Verb = Callable[..., argparse.ArgumentParser]  # name, action, text -> the parser of its arguments


def add_status(verb: Verb) -> None:
    """Add `status` to the command line."""
    parser = verb("status", _status, "say what runs, what failed and why, and where the results of a finished run are")
    parser.add_argument("run", nargs="?", help="name of the run; default: that of the latest call of snakemake")
    parser.add_argument("--folder", default=".", help="the checkout that runs; default: this folder")
    parser.add_argument("--every", type=positive, metavar="SECONDS", help="say it again every so many seconds")


def _status(options: argparse.Namespace) -> None:
    from f2llm.jobs.status import status_lines

    print(status_lines(options.folder, run=options.run))
    while options.every:
        time.sleep(options.every)
        print(f"\n{time.strftime('%H:%M:%S')}\n{status_lines(options.folder, run=options.run)}", flush=True)


def add_accept(verb: Verb) -> None:
    """Add `accept` to the command line."""
    parser = verb("accept", _accept, "take existing outputs as unchanged after a code change that keeps results")
    parser.add_argument("reason", help="why the results are the same; recorded in results/lineage/accepted.jsonl")
    parser.add_argument("targets", nargs="*", help="snakemake targets; default: everything")


def _accept(options: argparse.Namespace) -> None:
    from f2llm.jobs.accept import accept_outputs

    print(accept_outputs(reason=options.reason, targets=options.targets))


def positive(text: str) -> float:
    """Read a number above zero from the command line."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
    return number
