"""`f2llm trace`, `diff`, `forget` and `verify`: questions to finished runs."""

import argparse
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from f2llm.records.errors import InputError

if TYPE_CHECKING:
    from f2llm.config.sources import Source
    from f2llm.sources.replay import Mention

Verb = Callable[..., argparse.ArgumentParser]  # name, action, text -> the parser of its arguments


def add_trace(verb: Verb) -> None:
    """Add `trace` to the command line."""
    parser = verb("trace", _trace, "follow data back to the rows they came from, or forward to models and scores")
    parser.add_argument("id", nargs="?", help="of a tuple, query or passage: 32 hex digits, as in the report")
    parser.add_argument("--step", type=int, help="a step of training: what it saw")
    parser.add_argument("--model", metavar="FOLDER", help="of a trained model: what lies behind it")
    parser.add_argument("--score", metavar="MODEL/TASK", help="what lies behind it")
    parser.add_argument("--source", metavar="NAME", help="what became of it")
    parser.add_argument("--row", metavar="FILE:ROW", help="of a fetched file (or the end of its name), counted from 0")
    parser.add_argument("--text", help="a query or passage, to the letter")
    parser.add_argument("--like", metavar="TEXT", help="a query or passage, nearly")
    parser.add_argument("--licence", metavar="ID", help="an SPDX id or its beginning: what became of its sources")
    parser.add_argument("--run", help="default: all runs that are there")
    parser.add_argument("--results", default="results", help="default: %(default)s")
    parser.add_argument("--most", type=int, default=20, help="findings and tuples listed; default: %(default)s")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--parquet", metavar="FILE", help="write a table, one row a finding")


def _trace(options: argparse.Namespace) -> None:
    from f2llm.lineage.trace.question import Question, answer, as_json, as_text, write_parquet

    question = Question(**{name: getattr(options, name) for name in Question._fields})
    answers = answer(options.results, question, run=options.run, most=options.most)
    if options.parquet:
        print(f"{options.parquet}: {write_parquet(options.parquet, answers)} findings")
    else:
        print(as_json(answers) if options.json else as_text(answers))


def add_diff(verb: Verb) -> None:
    """Add `diff` to the command line."""
    parser = verb("diff", _diff, "say what differs between two runs, stage by stage, and why")
    parser.add_argument("before", metavar="RUN", help="its name, as in results/runs")
    parser.add_argument("after", metavar="RUN", help="the other")
    parser.add_argument("--results", default="results", help="default: %(default)s")
    parser.add_argument("--other-results", help="where the second run lies; default: the same")


def _diff(options: argparse.Namespace) -> None:
    from f2llm.lineage.diff.diff import diff_lines, diff_runs

    before, after = Path(options.results), Path(options.other_results or options.results)
    print("\n".join(diff_lines(diff_runs(before, options.before, after, options.after))))


def add_forget(verb: Verb) -> None:
    """Add `forget` to the command line."""
    parser = verb("forget", _forget, "list all that holds a row, a text or a source, and make a run again without it")
    parser.add_argument("id", nargs="?", help="of a query or passage, wherever it occurs")
    parser.add_argument("--row", metavar="FILE:ROW", help="of a fetched file, counted from 0")
    parser.add_argument("--text", help="a query or passage, to the letter")
    parser.add_argument("--source", metavar="NAME", help="all of it")
    parser.add_argument("--reason", default="asked for", help="kept in config/exclude.yaml; default: %(default)s")
    parser.add_argument("--rebuild", action="store_true", help="exclude it and run what depends on it again")
    parser.add_argument("--delete-raw", action="store_true", help="with --rebuild: delete the fetched files, too")
    parser.add_argument("--run", required=True, help="its name, as in results/runs")
    parser.add_argument("--results", default="results", help="default: %(default)s")
    parser.add_argument("--snakemake", nargs=argparse.REMAINDER, default=[], help="last: more arguments for snakemake")


def _forget(options: argparse.Namespace) -> None:
    from f2llm.lineage.forget.rebuild import rebuild
    from f2llm.lineage.forget.remains import remains_lines, remains_of, remains_of_source
    from f2llm.lineage.trace.find import check_source
    from f2llm.lineage.trace.question import Question, ids_named
    from f2llm.runs.layout import read_layout

    if [options.id, options.row, options.text, options.source].count(None) != 3:
        raise InputError("name one thing to forget: an id, or one of --row, --text, --source")
    layout = read_layout(Path(options.results).resolve(), run=options.run)
    question = Question(id=options.id, row=options.row, text=options.text, source=options.source)
    if options.source is not None:
        remains = remains_of_source(layout, check_source(layout, options.source), reason=options.reason)
    else:
        file, _, row = (options.row or "").rpartition(":")
        place = (file, int(row)) if row.isdigit() else None
        remains = remains_of(layout, ids_named(layout, question), reason=options.reason, row=place)
    print("\n".join(remains_lines(remains, results=layout.results)), flush=True)
    if options.rebuild:
        left = rebuild(layout, remains, delete_raw=options.delete_raw, arguments=options.snakemake)
        print("\n".join(f"still there       {line}" for line in left) or "nothing of it is left")


def add_verify(verb: Verb) -> None:
    """Add `verify` to the command line."""
    parser = verb("verify", _verify, "compute all hashes of a run again: what is intact, changed, or cannot be checked")
    parser.add_argument("run", help="its name, as in results/runs")
    parser.add_argument("--results", default="results", help="default: %(default)s")
    parser.add_argument("--sample", type=int, default=0, metavar="N", help="make N tuples again out of the raw files")
    parser.add_argument("--removed", type=int, default=0, metavar="N", help="and look up N removed rows in them")
    parser.add_argument("--seed", type=int, default=0, help="of the sample; default: %(default)s")
    parser.add_argument("--commit", help="compare the code with that of a commit; default: the checkout")
    parser.add_argument(
        "--hash-share", type=float, default=1.0, metavar="SHARE",
        help="hash this share of the artefacts, drawn by the run's seed, and all of the run's own (plan, model, "
        "scores); of the others compare sizes; default: all",
    )  # fmt: skip
    parser.add_argument("--all", action="store_true", help="list what is intact, too")


def _verify(options: argparse.Namespace) -> None:
    from f2llm.lineage.verify.findings import finding_lines, has_changed
    from f2llm.lineage.verify.sample import hash_sample
    from f2llm.lineage.verify.verify import verify_run
    from f2llm.runs.layout import run_folder

    sample = hash_sample(run_folder(options.results, options.run), share=options.hash_share)
    findings = verify_run(options.results, options.run, commit=options.commit, sample=sample)
    print("\n".join(finding_lines(findings, everything=options.all)))
    differences = _rederive(options) if options.sample or options.removed else 0
    if has_changed(findings) or differences:
        raise InputError(f"run {options.run!r} is not as it was made")


def _rederive(options: argparse.Namespace) -> int:
    """Make a sample again out of the raw files, print how that went, and return how many differ."""
    from f2llm.config.build import build
    from f2llm.lineage.verify.rederive import rederive
    from f2llm.runs.layout import read_layout
    from f2llm.runs.manifests import read_content
    from f2llm.sources.normalise import Reading
    from f2llm.sources.replay import read_again

    layout = read_layout(options.results, run=options.run)

    def reread(source: "Source", ids: Collection[bytes]) -> "Mapping[tuple[str, bytes], Sequence[Mention]]":
        folder = layout.source(source.name)
        job = layout.results / "lineage" / "jobs" / "normalise_source" / f"{source.name}.json"
        reading = build(Reading, read_content(job)["params"]["stanza"])
        return read_again(reading, raw=folder / "raw", manifest=folder / "manifest.json", ids=ids)

    again = rederive(layout, tuples=options.sample, removed=options.removed, seed=options.seed, reread=reread)
    print("\n".join(f"differs            {difference}" for difference in again.differences))
    print(
        f"{again.tuples:,} tuples and {again.removed:,} removed rows made again out of the raw files "
        f"({again.texts:,} texts): {len(again.differences):,} differ"
    )
    return len(again.differences)
