"""Every shipped config resolves to a DAG, here and with the Slurm profile; sixty sources stay small."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
CONFIGS = sorted((ROOT / "config").glob("*.yaml"))
MOST_MB = 1000  # of the scheduling process; its seconds are measured by benchmarks/pipeline/plan.py
PAPER_SOURCES = 60
QUERIES_PER_JOB = 10_000
# A small process between the tests and snakemake: the peak memory of a process counts the one that started it.
MEASURED = (
    "import resource, subprocess, sys; done = subprocess.run(sys.argv[1:]); "
    "print('peak', resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10); sys.exit(done.returncode)"
)


def command(folder, config, *arguments):
    return [
        sys.executable, "-m", "snakemake", "-n", "--cores", "all", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder),
        "--configfile", str(config), *arguments,
    ]  # fmt: skip


def environment(folder):
    return {**os.environ, "XDG_CACHE_HOME": str(folder / ".cache")}


def dry_run(folder, config, *arguments):
    return subprocess.run(
        command(folder, config, *arguments),
        cwd=ROOT,
        env=environment(folder),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("profile", [(), ("--profile", "slurm")], ids=["here", "slurm"])
@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.name)
def test_a_dry_run_passes(tmp_path, config, profile):
    (tmp_path / "config").symlink_to(ROOT / "config")
    done = dry_run(tmp_path, config, *profile)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "train_model" in done.stdout


def test_a_dag_of_sixty_sources_in_many_jobs_is_planned_in_bounded_memory(tmp_path, template):
    counts = {"queries": 8 * QUERIES_PER_JOB, "passages": 8 * QUERIES_PER_JOB}
    stanza = yaml.safe_load((template / "config/sources/toy_pairs.yaml").read_text()) | {"expected": counts}
    for kind in ("models", "benchmarks"):
        (tmp_path / "config").mkdir(exist_ok=True)
        (tmp_path / "config" / kind).symlink_to(template / "config" / kind)
    (tmp_path / "config/sources").mkdir()
    names = [f"source{number}" for number in range(PAPER_SOURCES)]
    for name in [*names, "toy_pairs", "toy_kinds", "toy_topics"]:
        original = template / f"config/sources/{name}.yaml"
        content = yaml.safe_load(original.read_text()) if original.exists() else stanza
        (tmp_path / f"config/sources/{name}.yaml").write_text(yaml.safe_dump(content | {"name": name}))
    run = yaml.safe_load((template / "config/config.yaml").read_text()) | {"sources": names}
    run["mine"] |= {"queries_per_job": QUERIES_PER_JOB, "texts_per_job": 2 * QUERIES_PER_JOB}
    (tmp_path / "config/config.yaml").write_text(yaml.safe_dump(run))
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *command(tmp_path, tmp_path / "config/config.yaml")],
        cwd=ROOT,
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    out = done.stdout
    assert done.returncode == 0, out[-5000:]
    jobs = dict(line.split() for line in out.splitlines() if re.fullmatch(r"\w+ +\d+", line))
    assert (jobs["mine_part"], jobs["embed_part"], jobs["mine_source"]) == (str(8 * PAPER_SOURCES),) * 2 + (
        str(PAPER_SOURCES),
    )
    assert int(jobs["total"]) > 1000
    assert int(re.search(r"^peak (\d+)$", out, re.MULTILINE)[1]) <= MOST_MB
