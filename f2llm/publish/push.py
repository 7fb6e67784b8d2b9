"""`f2llm push`: a trained model with its card, lineage digests and scores to a repository of a model hub."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from f2llm.records.errors import InputError
from f2llm.records.files import sha256_path
from f2llm.runs.manifests import FOLDER, read_content, read_jobs
from f2llm.runs.withheld import leaks

TOKEN = "HF_TOKEN"
REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
CARD = "README.md"
SCORES = "scores"  # folder of the repository
LEFT_OUT = ("scoreboard.json", "costs.json", ".snakemake_timestamp")
TEXT_SUFFIXES = (".json", ".md", ".txt", ".jinja")


class Upload(NamedTuple):
    """A file here and its name in the repository."""

    path: Path
    name: str


def plan_push(results: str | Path, run: str) -> list[Upload]:
    """The files that a push of a run's model uploads: its folder, and the result files that jobs made of its scores.

    Raises:
        InputError: the run has no model or no card yet, its card with scores is of another model, or a text file
            names this machine or its user.
    """
    model, scores = Path(results, "runs", run, "model"), Path(results, "scores", run)
    if not (model / CARD).is_file():
        names = ", ".join(sorted(path.parts[-3] for path in Path(results).glob(f"runs/*/model/{CARD}"))) or "none"
        raise InputError(f"{model}: there is no model with a card; runs that have one: {names}")
    uploads = [
        Upload(path, str(path.relative_to(model)))
        for path in sorted(model.rglob("*"))
        if path.is_file() and path.name not in LEFT_OUT
    ]
    outputs = {output for job in read_jobs(results) for output in job.outputs} if scores.is_dir() else set()
    uploads += [
        Upload(path, f"{SCORES}/{path.name}")
        for path in sorted(scores.glob("*.json"))
        if f"results/{SCORES}/{run}/{path.name}" in outputs
    ]
    card = _scored_card(Path(results), run, model=model)
    uploads = [Upload(card, CARD) if card and upload.name == CARD else upload for upload in uploads]
    faults = [
        f"{upload.path}: contains a user or host name, a home folder or a token; remove it"
        for upload in uploads
        if _leaks(upload.path)
    ]
    if faults:
        raise InputError(faults)
    return uploads


def _scored_card(results: Path, run: str, *, model: Path) -> Path | None:
    """The card that was written after evaluation, if there is one; it goes in place of that of training.

    Raises:
        InputError: it was written for other weights than these.
    """
    card, manifest = results / "cards" / run / "model_card.md", results / FOLDER / "write_cards" / f"{run}.json"
    if not (card.is_file() and manifest.is_file()):
        return None
    written = [
        digest for path, digest in read_content(manifest)["inputs"].items() if path.endswith(f"runs/{run}/model")
    ]
    if written != [sha256_path(model)]:
        raise InputError(
            f"{card}: was written for another model than is in {model}; `snakemake --cores all forms` makes it anew"
        )
    return card


def push(uploads: Sequence[Upload], repository: str, *, private: bool, message: str) -> str:
    """Upload as one commit and return its address; the token comes from the environment variable HF_TOKEN.

    Raises:
        InputError: there is no token, the name is not OWNER/NAME, or the hub refuses.
    """
    from huggingface_hub import CommitOperationAdd, HfApi
    from huggingface_hub.errors import HfHubHTTPError

    token = os.environ.get(TOKEN)
    if not token:
        raise InputError(f"{TOKEN}: not set; put a token with write access into this environment variable")
    check_repository(repository)
    hub = HfApi(token=token)
    files = [CommitOperationAdd(path_in_repo=upload.name, path_or_fileobj=str(upload.path)) for upload in uploads]
    try:
        hub.create_repo(repository, private=private, exist_ok=True)
        commit = hub.create_commit(repository, files, commit_message=message)
    except (HfHubHTTPError, OSError) as error:
        reason = " ".join(str(error).replace(token, "***").split())[:300]
        raise InputError(f"{repository}: the hub refused ({reason}); check name, rights and network") from None
    return str(commit.commit_url)


def check_repository(repository: str) -> None:
    """Check the name of a repository.

    Raises:
        InputError: it is not OWNER/NAME.
    """
    if not REPOSITORY.fullmatch(repository):
        raise InputError(f"repository {repository!r}: write it OWNER/NAME, letters, digits, '-', '_' and '.' only")


def push_lines(uploads: Sequence[Upload]) -> list[str]:
    """The files that a push uploads with their bytes, as lines for a person."""
    lines = [f"{upload.path.stat().st_size:13,}  {upload.name}" for upload in uploads]
    return [*lines, f"{sum(upload.path.stat().st_size for upload in uploads):13,}  bytes in {len(uploads)} files"]


def _leaks(path: Path) -> bool:
    is_text = path.suffix in TEXT_SUFFIXES and path.name != "tokenizer.json"
    return is_text and leaks(path.read_text(encoding="utf-8", errors="replace"))
