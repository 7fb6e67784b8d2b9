"""`f2llm push`: a trained model with its card, lineage digests and scores to a repository of a model hub."""

import getpass
import os
import platform
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from f2llm.errors import InputError
from f2llm.records.files import read_json, sha256_path

TOKEN = "HF_TOKEN"
REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
CARD = "README.md"
JOBS = "lineage/jobs"
SCORES = "scores"  # folder of the repository
LEFT_OUT = ("scoreboard.json", "costs.json", ".snakemake_timestamp")
TEXT_SUFFIXES = (".json", ".md", ".txt", ".jinja")
LEAST_NAME = 4  # characters of a user or host name that can be told from words


class Upload(NamedTuple):
    """A file here and its name in the repository."""

    path: Path
    name: str


def plan_push(results: str | Path, run: str) -> list[Upload]:
    """Return what a push of a run's model takes along: its folder, and the result files that jobs made of its scores.

    Raises:
        InputError: the run has no model or no card yet, its card with scores is of another model, or a text file
            names this machine or its user.
    """
    model, scores = Path(results, "runs", run, "model"), Path(results, "scores", run)
    if not (model / "README.md").is_file():
        there = ", ".join(sorted(path.parts[-3] for path in Path(results).glob("runs/*/model/README.md"))) or "none"
        raise InputError(f"{model}: there is no model with a card; runs that have one: {there}")
    uploads = [
        Upload(path, str(path.relative_to(model)))
        for path in sorted(model.rglob("*"))
        if path.is_file() and path.name not in LEFT_OUT
    ]
    made = _made(Path(results)) if scores.is_dir() else set()
    uploads += [
        Upload(path, f"{SCORES}/{path.name}")
        for path in sorted(scores.glob("*.json"))
        if f"results/{SCORES}/{run}/{path.name}" in made
    ]
    card = _scored_card(Path(results), run, model=model)
    uploads = [Upload(card, CARD) if card and upload.name == CARD else upload for upload in uploads]
    told = [fault for upload in uploads for fault in _told(upload.path)]
    if told:
        raise InputError(told)
    return uploads


def _made(results: Path) -> set[str]:
    """Return the paths of all outputs that the manifests of jobs declare."""
    found: set[str] = set()
    for path in sorted((results / JOBS).rglob("*.json")):
        try:
            found.update(read_json(path)["outputs"])
        except (ValueError, KeyError, TypeError):  # foreign, or of another version
            continue
    return found


def _scored_card(results: Path, run: str, *, model: Path) -> Path | None:
    """Return the card that was written after evaluation, if there is one; it goes in place of that of training.

    Raises:
        InputError: it was written for other weights than these.
    """
    card, manifest = results / "cards" / run / "model_card.md", results / JOBS / "write_cards" / f"{run}.json"
    if not (card.is_file() and manifest.is_file()):
        return None
    written = [digest for path, digest in read_json(manifest)["inputs"].items() if path.endswith(f"runs/{run}/model")]
    if written != [sha256_path(model)]:
        raise InputError(
            f"{card}: was written for another model than is in {model}; `snakemake --cores all forms` makes it anew"
        )
    return card


def push(uploads: Sequence[Upload], repository: str, *, private: bool, message: str) -> str:
    """Upload as one commit and return its address; the token comes from the environment variable HF_TOKEN.

    Raises:
        InputError: no token, a name that is none, or the hub refuses.
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
        done = hub.create_commit(repository, files, commit_message=message)
    except (HfHubHTTPError, OSError) as error:
        said = " ".join(str(error).replace(token, "***").split())[:300]
        raise InputError(f"{repository}: the hub refused ({said}); check name, rights and network") from None
    return str(done.commit_url)


def check_repository(repository: str) -> None:
    """Refuse what is no name of a repository.

    Raises:
        InputError: it is none.
    """
    if not REPOSITORY.fullmatch(repository):
        raise InputError(f"repository {repository!r}: write it OWNER/NAME, letters, digits, '-', '_' and '.' only")


def push_lines(uploads: Sequence[Upload]) -> list[str]:
    """Return what would go, as lines for a person."""
    lines = [f"{upload.path.stat().st_size:13,}  {upload.name}" for upload in uploads]
    return [*lines, f"{sum(upload.path.stat().st_size for upload in uploads):13,}  bytes in {len(uploads)} files"]


def secrets(environment: Mapping[str, str]) -> list[str]:
    """Return what no published file may hold: names and home of the user, name of the host, tokens."""
    names = [getpass.getuser(), platform.node()]
    home = str(Path.home())
    tokens = [value for key, value in environment.items() if key.endswith(("TOKEN", "API_KEY", "PASSWORD")) and value]
    return [name for name in names if len(name) > LEAST_NAME] + [home] * (home != "/") + tokens


def _told(path: Path) -> list[str]:
    if path.suffix not in TEXT_SUFFIXES or path.name == "tokenizer.json":
        return []
    text = path.read_text(encoding="utf-8", errors="replace")
    found = [secret for secret in secrets(os.environ) if re.search(rf"(?<!\w){re.escape(secret)}(?!\w)", text)]
    return [f"{path}: tells something of this machine, its user or a token; take it out"] if found else []
