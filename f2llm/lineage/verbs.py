"""The verbs of `f2llm` that follow lineage: trace, diff, forget, verify."""

import argparse
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from f2llm.errors import InputError

if TYPE_CHECKING:
    from f2llm.config.sources import Source
    from f2llm.sources.replay import Mention

Verb = Callable[..., argparse.ArgumentParser]


def add_lineage(verb: Verb) -> None:
    """Add these verbs to the command line."""
    trace = verb("trace", _trace, "follow data back to the rows they came from, or forward to models and scores")
    trace.add_argument("id", nargs="?", help="of a tuple, query or passage: 32 hex digits, as in the report")
    trace.add_argument("--step", type=int, help="a step of training: what it saw")
    trace.add_argument("--model", metavar="FOLDER", help="of a trained model: what lies behind it")
    trace.add_argument("--score", metavar="MODEL/TASK", help="what lies behind it")
    trace.add_argument("--source", metavar="NAME", help="what became of it")
    trace.add_argument("--row", metavar="FILE:ROW", help="of a fetched file (or the end of its name), counted from 0")
    trace.add_argument("--text", help="a query or passage, to the letter")
    trace.add_argument("--like", metavar="TEXT", help="a query or passage, nearly")
    trace.add_argument("--licence", metavar="ID", help="an SPDX id or its beginning: what became of its sources")
    trace.add_argument("--run", help="default: all runs that are there")
    trace.add_argument("--results", default="results", help="default: %(default)s")
    trace.add_argument("--most", type=int, default=20, help="findings and tuples listed; default: %(default)s")
    trace.add_argument("--json", action="store_true", help="print JSON")
    trace.add_argument("--parquet", metavar="FILE", help="write a table, one row a finding")

    diff = verb("diff", _diff, "say what differs between two runs, stage by stage, and why")
    diff.add_argument("before", metavar="RUN", help="its name, as in results/runs")
    diff.add_argument("after", metavar="RUN", help="the other")
    diff.add_argument("--results", default="results", help="default: %(default)s")
    diff.add_argument("--other-results", help="where the second run lies; default: the same")

    forget = verb("forget", _forget, "list all that holds a row, a text or a source, and make a run again without it")
    forget.add_argument("id", nargs="?", help="of a query or passage, wherever it occurs")
    forget.add_argument("--row", metavar="FILE:ROW", help="of a fetched file, counted from 0")
    forget.add_argument("--text", help="a query or passage, to the letter")
    forget.add_argument("--source", metavar="NAME", help="all of it")
    forget.add_argument("--reason", default="asked for", help="kept in config/exclude.yaml; default: %(default)s")
    forget.add_argument("--rebuild", action="store_true", help="exclude it and run what depends on it again")
    forget.add_argument("--delete-raw", action="store_true", help="with --rebuild: delete the fetched files, too")
    forget.add_argument("--run", required=True, help="its name, as in results/runs")
    forget.add_argument("--results", default="results", help="default: %(default)s")
    forget.add_argument("--snakemake", nargs=argparse.REMAINDER, default=[], help="last: more arguments for snakemake")

    verify = verb("verify", _verify, "compute all hashes of a run again: what is intact, changed, or cannot be checked")
    verify.add_argument("run", help="its name, as in results/runs")
    verify.add_argument("--results", default="results", help="default: %(default)s")
    verify.add_argument("--sample", type=int, default=0, metavar="N", help="make N tuples again out of the raw files")
    verify.add_argument("--removed", type=int, default=0, metavar="N", help="and look up N removed rows in them")
    verify.add_argument("--seed", type=int, default=0, help="of the sample; default: %(default)s")
    verify.add_argument("--commit", help="compare the code with that of a commit; default: the checkout")
    verify.add_argument(
        "--hash-share", type=float, default=1.0, metavar="SHARE",
        help="hash this share of the artefacts, drawn by the run's seed, and all of the run's own (plan, model, "
        "scores); of the others compare sizes; default: all",
    )  # fmt: skip
    verify.add_argument("--all", action="store_true", help="list what is intact, too")


def _trace(options: argparse.Namespace) -> None:
    from f2llm.lineage.trace.question import Question, answer, as_json, as_text, write_parquet

    question = Question(**{name: getattr(options, name) for name in Question._fields})
    answers = answer(options.results, question, run=options.run, most=options.most)
    if options.parquet:
        print(f"{options.parquet}: {write_parquet(options.parquet, answers)} findings")
    else:
        print(as_json(answers) if options.json else as_text(answers))


def _diff(options: argparse.Namespace) -> None:
    from f2llm.lineage.diff.diff import diff_lines, diff_runs

    before, after = Path(options.results), Path(options.other_results or options.results)
    print("\n".join(diff_lines(diff_runs(before, options.before, after, options.after))))


def _forget(options: argparse.Namespace) -> None:
    from f2llm.lineage.forget.rebuild import rebuild
    from f2llm.lineage.forget.remains import remains_lines, remains_of, remains_of_source
    from f2llm.lineage.trace.find import check_source
    from f2llm.lineage.trace.question import Question, found_by
    from f2llm.runs.layout import read_layout

    given = [one for one in (options.id, options.row, options.text, options.source) if one is not None]
    if len(given) != 1:
        raise InputError("name one thing to forget: an id, or one of --row, --text, --source")
    layout = read_layout(Path(options.results).resolve(), run=options.run)
    question = Question(id=options.id, row=options.row, text=options.text, source=options.source)
    if options.source is not None:
        found = remains_of_source(layout, check_source(layout, options.source), reason=options.reason)
    else:
        file, _, row = (options.row or "").rpartition(":")
        place = (file, int(row)) if row.isdigit() else None
        found = remains_of(layout, found_by(layout, question), reason=options.reason, row=place)
    print("\n".join(remains_lines(found, results=layout.results)), flush=True)
    if options.rebuild:
        left = rebuild(layout, found, delete_raw=options.delete_raw, arguments=options.snakemake)
        print("\n".join(f"still there       {line}" for line in left) or "nothing of it is left")


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
    """Make a sample again out of the raw files, say how that went, and return how many differ."""
    from f2llm.config.build import build
    from f2llm.lineage.verify.rederive import rederive
    from f2llm.records.files import read_json
    from f2llm.runs.layout import read_layout
    from f2llm.sources.normalise import Reading
    from f2llm.sources.replay import read_again

    layout = read_layout(options.results, run=options.run)

    def reread(source: "Source", ids: Collection[bytes]) -> "Mapping[tuple[str, bytes], Sequence[Mention]]":
        folder = layout.source(source.name)
        job = layout.results / "lineage" / "jobs" / "normalise_source" / f"{source.name}.json"
        reading = build(Reading, read_json(job)["params"]["stanza"])
        return read_again(reading, raw=folder / "raw", manifest=folder / "manifest.json", ids=ids)

    found = rederive(layout, tuples=options.sample, removed=options.removed, seed=options.seed, reread=reread)
    print("\n".join(f"differs            {one}" for one in found.differences))
    print(
        f"{found.tuples:,} tuples and {found.removed:,} removed rows made again out of the raw files "
        f"({found.texts:,} texts): {len(found.differences):,} differ"
    )
    return len(found.differences)
