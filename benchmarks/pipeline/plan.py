"""What planning costs: the paper's 60 sources cut into many jobs, scored on the 41 tasks of MTEB(eng, v2).

    python -m benchmarks.pipeline.plan --out benchmarks/results/plan.json

A dry run of a fresh checkout; a dry run with all files there; then every job "run" by Snakemake's touch executor, which
only touches the files (so what is left is scheduling); then a dry run and a real one with nothing to do. `--quick` ends
before the touching. Time is processor time and wall time, memory that of the scheduling process.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from benchmarks.machine import commit, machine, versions
from f2llm.records.schemas.evaluate import GateVerdict

ROOT = Path(__file__).parents[2]
# A tenth of the shipped sizes: as many jobs a source as there may be.
TEXTS_PER_JOB, QUERIES_PER_JOB = 50_000, 10_000


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--config", default="config/f2llm-0.6b.yaml", help="default: %(default)s")
    parser.add_argument("--quick", action="store_true", help="without the touch executor and what needs its records")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        found = measure(Path(name), ROOT / options.config, touch=not options.quick)
    content = {"machine": machine(), "versions": versions(), "commit": commit()} | found
    options.out.write_text(json.dumps(content, indent=1) + "\n")
    print(json.dumps(found, indent=1))


def measure(folder: Path, config: Path, *, touch: bool) -> dict[str, Any]:
    """Return the figures of all four calls in an empty folder."""
    (folder / "config").symlink_to(ROOT / "config")
    content = yaml.safe_load(config.read_text())
    content["benchmark"] = "mteb-eng-v2"
    content["mine"] |= {"texts_per_job": TEXTS_PER_JOB, "queries_per_job": QUERIES_PER_JOB}
    (folder / "run.yaml").write_text(yaml.safe_dump(content))
    said, fresh = call(folder, "-n")
    jobs = int(re.findall(r"^total +(\d+)", said, re.MULTILINE)[-1])
    files = make_outputs(folder, said)
    said, unrecorded = call(folder, "-n")
    assert "Nothing to be done" in said, said[-3000:]
    found = {"jobs": jobs, "files": files, "fresh_dry_run": fresh, "dry_run_of_files_without_records": unrecorded}
    if not touch:
        return found
    said, touched = call(folder, "--touch", "--forceall")
    assert f"{jobs} of {jobs} steps (100%) done" in said, said[-2000:]
    said, again = call(folder, "-n")
    assert "Nothing to be done" in said, said[-3000:]
    said, noop = call(folder)
    assert "Nothing to be done" in said, said[-3000:]
    return found | {
        "touch_all": touched, "dry_run_with_nothing_to_do": again, "run_with_nothing_to_do": noop,
        "touch_seconds_a_job": touched["seconds"] / jobs,
    }  # fmt: skip


def call(folder: Path, *arguments: str) -> tuple[str, dict[str, float]]:
    """Run snakemake in the folder; return what it said, and its time and memory."""
    command = [
        sys.executable, "-m", "snakemake", "--cores", "all", "--snakefile", str(ROOT / "Snakefile"),
        "--directory", str(folder), "--configfile", str(folder / "run.yaml"), *arguments,
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(folder / ".cache")}
    out, began = folder / "said", time.monotonic()
    with open(out, "wb") as file:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=file, stderr=file)
        _, status, used = os.wait4(process.pid, 0)
    text = out.read_text()
    if status:
        raise SystemExit(text[-3000:])
    return text, {
        "seconds": round(time.monotonic() - began, 2),
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 2),
        "peak_memory_mb": used.ru_maxrss >> 10,
    }


def make_outputs(folder: Path, said: str) -> int:
    """Make an empty file or folder for every output that a dry run names; return how many."""
    names = [name for line in re.findall(r"^    output: (.+)$", said, re.MULTILINE) for name in line.split(", ")]
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.name == "gate.json":  # whose numbers are told at the end of a call
            path.write_text(json.dumps(dict.fromkeys(GateVerdict._fields, 0)))
        elif path.suffix or path.name == "SHA256":
            path.touch()
        else:
            path.mkdir(exist_ok=True)
    return len(names)


if __name__ == "__main__":
    main()
