"""Where the files of one finished run lie, and the settings it was made with: run.json as the readers take it.

The trainer reads the same file more strictly (`f2llm.runs.run_file`). A run of an older version lacks what was added
to run.json since; readers do without everything but `ReaderSettings` and the variant keys.
"""

import functools
import operator
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from f2llm.config.build import build
from f2llm.config.mine import Mine
from f2llm.config.models import Model
from f2llm.config.rights import Barred
from f2llm.config.sources import Source
from f2llm.config.stanzas import filled
from f2llm.config.train import Train
from f2llm.records.errors import InputError
from f2llm.records.files import MANIFEST, read_json
from f2llm.records.sql import require
from f2llm.runs.run_file import PLAN_FILE

RUN_FILE = "run.json"
ESTIMATE_FILE = "estimate.json"
# Required keys of stanzas that only fetching and reading the files take; no reader of a run asks for them.
UNKNOWN_OF_SOURCE = {"fetch": [], "adapter": "", "group": ""}
UNKNOWN_OF_MODEL = {
    "fetch": {"kind": "local"}, "format": "", "member": "", "append_eos": False, "reference": "",
    "licence": {"id": "LicenseRef-Not-Stated", "commercial": "unknown"},
}  # fmt: skip
FILE_KEYS = ("bytes", "name", "sha256")  # of a fetched file


@dataclass(frozen=True, kw_only=True)
class ReaderSettings:
    """The settings that readers of a finished run take."""

    barred: tuple[Barred, ...]  # left out by the licence policy
    sources: tuple[Source, ...]  # that the run was trained on
    backbone: Model  # that was trained
    retriever: Model  # that negatives were mined with
    mine: Mine
    train: Train


@dataclass(frozen=True, kw_only=True)
class Layout(ReaderSettings):
    """A results folder and one run in it, with the settings of the run.

    Attributes:
        variants: maps a stage's folder to its variant key.
        planned: maps a source to what run.json says of its tables: sha256 of tuples and tokens when it was planned.
        content: run.json as it was written.
    """

    results: Path
    run: str
    variants: Mapping[str, str]
    planned: Mapping[str, Mapping[str, Any]]
    content: Mapping[str, Any]

    @property
    def plan(self) -> Path:
        """The table of what every step saw."""
        return self.of_run(PLAN_FILE)

    def source(self, name: str) -> Path:
        """Folder of a normalised source."""
        return self.results / "sources" / name

    def curated(self, name: str) -> Path:
        """Folder of a curated source."""
        return self.results / "curated" / self.variants["curated"] / name

    def mined(self, name: str) -> Path:
        """Folder of a mined source."""
        return self.results / "mined" / self.variants["mined"] / name

    def tokens(self, name: str) -> Path:
        """Folder of a tokenised source."""
        return self.results / "tokens" / self.variants["tokens"] / name

    def of_run(self, name: str) -> Path:
        """A file of the run's own folder."""
        return self.results / "runs" / self.run / name


def read_layout(results: str | Path, *, run: str) -> Layout:
    """Read where the files of a run lie.

    Raises:
        InputError: there is no such run (names those that are there), or another version wrote it.
    """
    path = run_folder(results, run) / RUN_FILE
    try:
        content: dict[str, Any] = read_json(path)
        # Nothing where the estimate is gone or an older version wrote it.
        shown = value_in(path.with_name(ESTIMATE_FILE), "stanzas") or {}
        settings = vars(_reader_settings(content["settings"], shown))
        planned = {source["name"]: source for source in content.get("sources", [])}
        place = {"results": Path(results), "run": run, "variants": content["variants"]}
        return Layout(**settings, **place, planned=planned, content=content)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path}: not as this version writes it ({type(error).__name__}: {error}); it was made by another version "
            "of this project: use that one, or run `snakemake --cores all train` again"
        ) from None


def _reader_settings(settings: Mapping[str, Any], shown: Mapping[str, Any]) -> ReaderSettings:
    """The settings that readers take, out of run.json and of the stanzas as they were shown to the estimate.

    The settings left out decided training alone: those of another version may be of any form. A run of before
    stanzas were given in parts has them whole in run.json.
    """
    sources = [
        source_as_shown({**shown.get("sources", {}).get(source["name"], {}), **source})
        for source in settings["sources"]
    ]
    models = {
        role: filled(Model, **UNKNOWN_OF_MODEL | shown.get("models", {}).get(role, {}) | settings[role])
        for role in ("backbone", "retriever")
    }
    kept = {name: settings[name] for name in ("barred", "mine", "train")}
    return build(ReaderSettings, kept | models | {"sources": sources})


def source_as_shown(content: Mapping[str, Any]) -> Source:
    """A source of which only the part that readers show is known (`f2llm.config.parts`), or the whole stanza."""
    return filled(Source, **UNKNOWN_OF_SOURCE | content)


def value_in(path: str | Path, *keys: str) -> Any:  # noqa: ANN401 - JSON
    """The value that nested keys of a JSON file lead to; None where the file or a key is not there, or foreign."""
    try:
        return functools.reduce(operator.getitem, keys, read_json(path))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def read_manifest(layout: Layout, source: str) -> dict[str, Any]:
    """Read the manifest of a source: its licence and the files that were fetched.

    Raises:
        InputError: it is missing, or the file is no such manifest.
    """
    path = layout.source(source) / MANIFEST
    require([path])
    try:
        manifest: dict[str, Any] = read_json(path)
        _ = manifest["licence"]["id"], [file[key] for file in manifest["files"] for key in FILE_KEYS]
        return manifest
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path}: is no manifest of a source ({type(error).__name__}: {error}); delete it and run "
            f"`snakemake --cores all {path}` in the checkout"
        ) from None


def run_folder(results: str | Path, run: str) -> Path:
    """Folder of a run.

    Raises:
        InputError: there is no such run; names those that are there.
    """
    folder = Path(results) / "runs" / run
    if not (folder / RUN_FILE).is_file():
        known = ", ".join(_run_names(results)) or "none yet"
        raise InputError(f"{folder / RUN_FILE}: there is no run {run!r}; runs here: {known}")
    return folder


def runs_in(results: str | Path) -> list[str]:
    """Names of all runs that have a plan, sorted.

    Raises:
        InputError: there is none.
    """
    names = _run_names(results)
    if not names:
        raise InputError(f"{results}: there is no run here yet; `snakemake --cores all` makes one")
    return names


def _run_names(results: str | Path) -> list[str]:
    return sorted(path.parent.name for path in Path(results).glob(f"runs/*/{RUN_FILE}"))
