"""Whether the code that jobs ran is that of the checkout or of a commit, by its digest."""

import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

from f2llm.jobs.code import ROOT, result_versions
from f2llm.lineage.verify.findings import INTACT, UNCHECKED, Finding
from f2llm.records.errors import InputError
from f2llm.runs.manifests import Job
from f2llm.runs.settings import unequal

SCRIPTS = "workflow/scripts"
NEEDED = ("f2llm", SCRIPTS)
# Rules that share a script, and what a rule runs besides its own.
SHARED = {
    "embed_part": "embed_source", "mine_part": "mine_source", "fetch_task": "fetch_source",
    "evaluate": "evaluate_batch", "encode": "encode_shard", "compare_models": "build_scoreboard",
}  # fmt: skip
# Where the code of a commit takes its digests: today, and before.
DIGEST_MODULES = ("jobs.code", "code_files", "provenance")
DIGESTS = (
    "import json, sys; from f2llm.{module} import code_digest; "
    "print(json.dumps([code_digest(*paths) for paths in json.load(sys.stdin)]))"
)


def scripts_of(job: Job) -> tuple[str, ...]:
    """The files that a job's digest is made of, relative to the checkout."""
    rule = SHARED.get(job.rule) or SHARED.get(job.rule.split("_")[0], job.rule)
    first = f"{SCRIPTS}/{rule}.py"
    if job.rule == "train_model":
        return first, "f2llm/train/__main__.py"
    if job.rule == "normalise_source":
        return first, f"f2llm/sources/adapters/{job.params['stanza']['adapter']}.py"
    return (first,)


def code_findings(jobs: Sequence[Job], *, commit: str | None) -> list[Finding]:
    """For each rule whether the code that ran is that of the checkout, or of a commit.

    Other code is no damage: results are what they are. It counts as what cannot be checked here.

    Raises:
        InputError: there is no such commit, or its code cannot be read.
    """
    wanted = sorted({scripts_of(job) for job in jobs})
    digests = dict(zip(wanted, _digests(wanted, commit=commit), strict=True))
    where = f"commit {commit}" if commit else "the checkout"
    findings: dict[tuple[str, str], Finding] = {}
    versions = result_versions()
    for job in jobs:
        now, name = digests[scripts_of(job)], f"code of {job.rule}"
        if job.code == now:
            finding = Finding(INTACT, name, f"{job.code}, that of {where}")
        else:
            others = [
                f"{name} {job.versions.get(name, 'none')} then, {versions.get(name, 'none')} now"
                for name in unequal(job.versions, versions)
            ]
            why = f"; versions differ too: {', '.join(others)}" if others else ""
            finding = Finding(UNCHECKED, name, f"{job.code}, in {where} {now or 'there is none'}{why}")
        findings[name, job.code or ""] = finding
    return [findings[key] for key in sorted(findings)]


def _digests(wanted: Sequence[tuple[str, ...]], *, commit: str | None) -> list[str | None]:
    if commit is None:
        return _digests_in(ROOT, wanted)
    packed = subprocess.run(["git", "archive", commit, *NEEDED], cwd=ROOT, capture_output=True, check=False)
    if packed.returncode:
        message = (packed.stderr.decode(errors="replace").strip().splitlines() or ["no message"])[-1]
        raise InputError(f"commit {commit}: cannot be read ({message}); name one that `git log` shows")
    with tempfile.TemporaryDirectory() as folder, tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        archive.extractall(folder, filter="data")
        return _digests_in(Path(folder), wanted)


def _digests_in(root: Path, wanted: Sequence[tuple[str, ...]]) -> list[str | None]:
    """The digests that the code below `root` gives itself; None where a script is not there."""
    present = [paths for paths in wanted if all((root / path).is_file() for path in paths)]
    # By the file and not by trying: what is not below `root` would be imported from the installed package.
    module = next(name for name in DIGEST_MODULES if (root / f"f2llm/{name.replace('.', '/')}.py").is_file())
    done = subprocess.run(
        [sys.executable, "-c", DIGESTS.format(module=module)],
        cwd=root, env={**os.environ, "PYTHONPATH": str(root)}, input=json.dumps(present),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise InputError(f"{root}: its code gives no digests; {done.stderr.strip().splitlines()[-1]}")
    digests = dict(zip(present, json.loads(done.stdout), strict=True))
    return [digests.get(paths) for paths in wanted]
