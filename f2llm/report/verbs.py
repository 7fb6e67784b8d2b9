"""`f2llm report` and `f2llm compare`: runs shown to a person."""

import argparse
from collections.abc import Callable
from pathlib import Path

Verb = Callable[..., argparse.ArgumentParser]  # name, action, text -> the parser of its arguments


def add_compare(verb: Verb) -> None:
    """Add `compare` to the command line."""
    parser = verb("compare", _compare, "compare the scores of two or more runs or models, and say what may be chance")
    parser.add_argument("names", nargs="+", metavar="RUN", help="folders of results/scores, the first is the yardstick")
    parser.add_argument("--results", default="results", help="default: %(default)s")
    parser.add_argument(
        "--page", nargs="?", const="", metavar="PATH", help="also write a page; default: RESULTS/report/compare.html"
    )


def _compare(options: argparse.Namespace) -> None:
    from f2llm.evaluate.compare import format_comparison, read_comparison

    found = read_comparison(options.names, results=options.results)
    print(format_comparison(found))
    if options.page is not None:
        from f2llm.report.comparison import build_comparison

        page = options.page or Path(options.results, "report", "compare.html")
        print(build_comparison(options.names, results=options.results, scores=found.rows, output=page))


def add_report(verb: Verb) -> None:
    """Add `report` to the command line."""
    parser = verb("report", _report, "write the report of a run from what is there; a half-done run says what it lacks")
    parser.add_argument("run", nargs="?", default="embedded", help="default: %(default)s")
    parser.add_argument("--results", default="results", help="default: %(default)s")
    parser.add_argument("--output", metavar="FOLDER", help="default: RESULTS/report/RUN")


def _report(options: argparse.Namespace) -> None:
    from f2llm.report.report import report_of

    folder = Path(options.output or Path(options.results, "report", options.run))
    counts = report_of(options.results, run=options.run, output=folder / "index.html")
    print(
        f"{folder / 'index.html'}"
        + (f" ({counts['gaps']} things are missing, it says which)" if counts["gaps"] else "")
    )
