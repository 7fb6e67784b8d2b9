"""`f2llm VERB` (also `python -m f2llm VERB`): what answers a question rather than makes a file."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from f2llm.estimate import verbs as estimate
from f2llm.jobs import verbs as jobs
from f2llm.lineage import verbs as lineage
from f2llm.publish import verbs as publish
from f2llm.records.errors import InputError
from f2llm.report import verbs as report
from f2llm.sources import verbs as sources
from f2llm.vectors import verbs as vectors

# In the order of `f2llm --help`.
VERBS = (
    estimate.add_check,
    estimate.add_estimate,
    jobs.add_status,
    sources.add_probe_sources,
    sources.add_add_source,
    sources.add_check_source,
    sources.add_lock,
    sources.add_unbundle,
    lineage.add_trace,
    lineage.add_diff,
    lineage.add_forget,
    lineage.add_verify,
    vectors.add_search,
    publish.add_push,
    report.add_compare,
    report.add_report,
    jobs.add_accept,
)


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

    for add in VERBS:
        add(verb)
    return parser


if __name__ == "__main__":
    sys.exit(main())
