"""Every shipped config resolves to a DAG, here and with the Slurm profile; sixty sources stay cheap."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
CONFIGS = sorted((ROOT / "config").glob("*.yaml"))
MOST_SECONDS = 10  # of processor time, so that a busy machine does not fail the test
PAPER_SOURCES = 60


def dry_run(folder, config, *arguments):
    command = [
        sys.executable, "-m", "snakemake", "-n", "--cores", "all", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder),
        "--configfile", str(config), *arguments,
    ]  # fmt: skip
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder / ".cache")}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("profile", [(), ("--profile", "slurm")], ids=["here", "slurm"])
@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.name)
def test_a_dry_run_passes(tmp_path, config, profile):
    (tmp_path / "config").symlink_to(ROOT / "config")
    done = dry_run(tmp_path, config, *profile)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "train_model" in done.stdout


def test_a_dag_of_sixty_sources_is_planned_in_seconds(tmp_path, template):
    stanza = yaml.safe_load((template / "config/sources/toy_pairs.yaml").read_text())
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
    (tmp_path / "config/config.yaml").write_text(yaml.safe_dump(run))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = dry_run(tmp_path, tmp_path / "config/config.yaml")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"mine_source{PAPER_SOURCES:>10}"[:11] in done.stdout
    assert (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime) <= MOST_SECONDS
