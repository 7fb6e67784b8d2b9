"""`f2llm search`: index texts of the user with a trained model and search them."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

Verb = Callable[..., argparse.ArgumentParser]  # name, action, text -> the parser of its arguments


def add_search(verb: Verb) -> None:
    """Add `search` to the command line."""
    parser = verb("search", _search, "index your own texts with a trained model, and answer queries from them")
    parser.add_argument("model", help="its folder, such as results/runs/embedded/model")
    parser.add_argument("texts", help="a file or folder: .txt, .md and .rst by paragraph; tables by row")
    parser.add_argument("--query", action="append", default=[], help="may be given often; default: lines of the input")
    parser.add_argument("--column", default="text", help="of tables; default: %(default)s")
    parser.add_argument("--prompt", default="query", help="of the model, such as a source's; default: %(default)s")
    parser.add_argument("--most", type=int, default=5, help="answers; default: %(default)s")
    parser.add_argument(
        "--index", type=Path, metavar="FOLDER", help="keep the index there; default: a temporary folder"
    )


def _search(options: argparse.Namespace) -> None:
    from f2llm.vectors.own_texts import TextIndex, hit_lines

    index = TextIndex(options.model, options.texts, column=options.column, folder=options.index)
    print(f"{index.count:,} texts", file=sys.stderr)
    for query in options.query or map(str.strip, sys.stdin):
        print("\n".join([query, *hit_lines(index.ask(query, most=options.most, prompt=options.prompt))]), flush=True)
