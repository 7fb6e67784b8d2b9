"""A run from a bundle, on a machine that has nothing else, gives the tables of the run that made it."""

import os
import shutil
import subprocess
import sys

from f2llm.records.files import sha256_path


def test_the_same_run_works_from_its_bundle_without_network(fresh, finished, tmp_path):
    fresh.run("bundle")
    bare = tmp_path / "bare"
    # Of the top folder alone: f2llm/config and other packages of such a name are code.
    left_out = {"results", "data", "models", "config", "logs"}

    def ignored(folder: str, names: list[str]) -> set[str]:
        """Names that the bundle or nobody brings along."""
        return {name for name in names if name[0] == "." or name in left_out} if folder == str(fresh.folder) else set()

    shutil.copytree(fresh.folder, bare, ignore=ignored)
    shutil.copytree(fresh.folder / "results" / "bundle", tmp_path / "bundle")
    there = type(fresh)(bare)
    environment = there.environment() | {"HF_HUB_OFFLINE": "1", "PIP_NO_INDEX": "1"}
    for arguments in (
        ("f2llm", "unbundle", str(tmp_path / "bundle")),
        ("snakemake", "--cores", "2", "--configfile", "config/bundle-toy.yaml", "--", "mine"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", *arguments], cwd=bare, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    tables = [path.relative_to(bare) for path in sorted(bare.rglob("results/mined/*/*/tuples.parquet"))]
    assert len(tables) == 3
    for table in tables:
        assert sha256_path(bare / table) == sha256_path(finished.folder / table), os.fspath(table)
