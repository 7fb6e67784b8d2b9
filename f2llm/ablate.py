"""`f2llm ablate`: one run for each change of a config's `ablate`, on the same results: they share what is equal."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

from f2llm.config.ablations import changed_config
from f2llm.config.check import read_yaml
from f2llm.config.load import load_run_file
from f2llm.errors import InputError
from f2llm.records.files import atomic_open

TARGET = "evaluate"
FOLDER = Path("results", "ablations")


def run_ablations(config: str | Path, *, arguments: Sequence[str] = ()) -> tuple[str, list[str]]:
    """Run the run of a config and those of its changes with snakemake, and return its name and theirs.

    Every call finds the tables, vectors and tokens of those before it; only the plan, the training and the
    scores of a changed run are its own, unless the change concerns an earlier stage. The run itself comes
    first, and once more at the end, so that scoreboard and report are its own again.

    Raises:
        InputError: the config has no `ablate`, a changed config is not right, or a run failed.
    """
    run, content = load_run_file(config), read_yaml(config)
    if not run.ablate:
        raise InputError(f"{config}: there is no `ablate`; say `ablate: leave_one_source_out`, or list changes")
    paths = []
    for change in run.ablate:
        path = FOLDER / run.run / f"{change.name}.yaml"
        with atomic_open(path) as file:
            file.write(yaml.safe_dump(changed_config(content, change), sort_keys=False).encode())
        paths.append(path)
    for path in [Path(config), *paths, Path(config)]:
        command = [sys.executable, "-m", "snakemake", "--cores", "all", TARGET, "--configfile", str(path), *arguments]
        if subprocess.run(command, check=False).returncode:
            raise InputError(f"{path}: this run failed; mend what snakemake says and run the same command: it goes on")
    return run.run, [f"{run.run}-{change.name}" for change in run.ablate]
