"""`f2llm probe-sources`, `add-source`, `check-source`, `lock` and `unbundle`: sources and models before a run."""

import argparse
import functools
from collections.abc import Callable
from pathlib import Path

from f2llm.records.errors import InputError

Verb = Callable[..., argparse.ArgumentParser]  # name, action, text -> the parser of its arguments


def add_probe_sources(verb: Verb) -> None:
    """Add `probe-sources` to the command line."""
    parser = verb(
        "probe-sources",
        _probe_sources,
        "look, before anything is fetched, whether all is there that a config names, and is what its stanzas say; exit "
        "code 1 says that it is not",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="sources, models, tasks; default: all of the config")
    parser.add_argument("--config", default="config/config.yaml", help="default: %(default)s")
    parser.add_argument(
        "--update", action="store_true", help="write `status` into the stanzas of sources without fault"
    )


def _probe_sources(options: argparse.Namespace) -> None:
    from f2llm.config.load import load_run_file
    from f2llm.sources.check import load_source
    from f2llm.sources.probe.of_run import probed_run, probed_source
    from f2llm.sources.probe.probe import probe_all
    from f2llm.sources.probe.status import update_status

    stanzas = Path(options.config).parent / "sources"
    named = {part.name: part for part in probed_run(load_run_file(options.config))}
    parts = [
        named.get(name) or probed_source(load_source(name, stanzas=stanzas))
        for name in dict.fromkeys(options.names or named)
    ]
    probe = probe_all(parts, tell=functools.partial(print, flush=True))
    for record in probe.records:
        path = stanzas / f"{record.name}.yaml"
        if options.update and record.kind == "source" and path.is_file() and update_status(path, record):
            print(f"{path}: status is probed")
    if probe.faults:
        raise InputError(
            f"{len(probe.faults)} faults, named above and in results/probe.json; mend them, or leave these out"
        )


def add_check_source(verb: Verb) -> None:
    """Add `check-source` to the command line."""
    parser = verb(
        "check-source", _check_source, "fetch one source, and show some of its rows, labels, counts and problems"
    )
    parser.add_argument("name", help="of a stanza in config/sources, or the path of a stanza")
    parser.add_argument("--rows", type=int, metavar="N", help="records that are read at most; default: 500,000")


def _check_source(options: argparse.Namespace) -> None:
    from f2llm.sources.check import ROWS, as_text, check_source

    print(as_text(check_source(options.name, rows=ROWS if options.rows is None else options.rows)))


def add_add_source(verb: Verb) -> None:
    """Add `add-source` to the command line."""
    parser = verb("add-source", _add_source, "look at data and write the stanza of a source, to be read and corrected")
    parser.add_argument("place", help="a file, folder or database below this folder, or owner/name of the hub")
    parser.add_argument("--name", default="", help="of the source; default: that of the file or repository")


def _add_source(options: argparse.Namespace) -> None:
    from f2llm.sources.add.write import add_source, as_lines

    print(as_lines(add_source(options.place, name=options.name)))


def add_lock(verb: Verb) -> None:
    """Add `lock` to the command line."""
    parser = verb("lock", _lock, "fetch all that a config names and lock what its stanzas leave open")
    parser.add_argument("names", nargs="*", metavar="NAME", help="sources or models; default: all of the config")
    parser.add_argument("--config", default="config/config.yaml", help="default: %(default)s")
    parser.add_argument("--refresh", action="store_true", help="forget what is locked, take what is there today")


def _lock(options: argparse.Namespace) -> None:
    from f2llm.config.load import load_run_file
    from f2llm.fetch.lock import lock_run

    for line in lock_run(load_run_file(options.config), names=options.names, refresh=options.refresh):
        print(line, flush=True)


def add_unbundle(verb: Verb) -> None:
    """Add `unbundle` to the command line."""
    parser = verb("unbundle", _unbundle, "put the files of a bundle where a run without network finds them")
    parser.add_argument("folder", help="results/bundle of the machine that had the network, copied here")


def _unbundle(options: argparse.Namespace) -> None:
    from f2llm.sources.bundle import open_bundle

    for path in open_bundle(options.folder):
        print(path)
    print("all is here; now `HF_HUB_OFFLINE=1 snakemake --cores all --configfile config/bundle-RUN.yaml`")
