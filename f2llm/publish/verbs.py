"""`f2llm push`: a model goes to a model hub."""

import argparse
from collections.abc import Callable

Verb = Callable[..., argparse.ArgumentParser]  # name, action, text -> the parser of its arguments


def add_push(verb: Verb) -> None:
    """Add `push` to the command line."""
    parser = verb("push", _push, "upload a model with its card and scores to a repository of a model hub")
    parser.add_argument("run", help="its name, as in results/runs")
    parser.add_argument("repository", help="OWNER/NAME; the token is read from the environment variable HF_TOKEN")
    parser.add_argument("--dry-run", action="store_true", help="list what would go, and end")
    parser.add_argument("--private", action="store_true", help="if the repository is made")
    parser.add_argument("--results", default="results", help="default: %(default)s")


def _push(options: argparse.Namespace) -> None:
    from f2llm.publish.push import check_repository, plan_push, push, push_lines

    check_repository(options.repository)
    uploads = plan_push(options.results, options.run)
    print("\n".join(push_lines(uploads)))
    if options.dry_run:
        print(f"nothing was sent to {options.repository}")
    else:
        print(push(uploads, options.repository, private=options.private, message=f"Run {options.run}"))
