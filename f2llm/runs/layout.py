"""Where the tables of one run lie, read out of its run.json."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from f2llm.config.build import build
from f2llm.config.licences import Barred
from f2llm.config.mine import Mine
from f2llm.config.models import Model
from f2llm.config.sources import Source
from f2llm.config.train import Train
from f2llm.errors import InputError
from f2llm.records.files import read_json
from f2llm.records.sql import require

FILE_KEYS = ("bytes", "name", "sha256")  # of a fetched file


class Layout(NamedTuple):
    """A results folder and one run in it. `variants` maps a stage's folder to its variant key.

    `planned` maps a source to the sha256 of its tuples and tokens when the run was planned.
    """

    results: Path
    run: str
    variants: Mapping[str, str]
    sources: tuple[Source, ...]
    barred: tuple[Barred, ...]
    backbone: Model
    retriever: Model
    mine: Mine
    train: Train
    planned: Mapping[str, Mapping[str, Any]] = MappingProxyType({})

    def source(self, name: str) -> Path:
        """Return the folder of a normalised source."""
        return self.results / "sources" / name

    def curated(self, name: str) -> Path:
        """Return the folder of a curated source."""
        return self.results / "curated" / self.variants["curated"] / name

    def mined(self, name: str) -> Path:
        """Return the folder of a mined source."""
        return self.results / "mined" / self.variants["mined"] / name

    def tokens(self, name: str) -> Path:
        """Return the folder of a tokenised source."""
        return self.results / "tokens" / self.variants["tokens"] / name

    def of_run(self, name: str) -> Path:
        """Return a file of the run's own folder."""
        return self.results / "runs" / self.run / name


def read_manifest(layout: Layout, source: str) -> dict[str, Any]:
    """Return the manifest of a source: its licence and the files that were fetched.

    Raises:
        InputError: it is missing, or none.
    """
    path = layout.source(source) / "manifest.json"
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


def read_layout(results: str | Path, *, run: str) -> Layout:
    """Return the layout of a run.

    Raises:
        InputError: there is no such run; with those that are there.
    """
    path = run_folder(results, run) / "run.json"
    try:
        content: dict[str, Any] = read_json(path)
        settings = content["settings"]
        sources = tuple(build(Source, source) for source in settings["sources"])
        barred = tuple(build(Barred, one) for one in settings["barred"])
        models = tuple(build(Model, settings[role]) for role in ("backbone", "retriever"))
        stages = build(Mine, settings["mine"]), build(Train, settings["train"])
        planned = {source["name"]: source for source in content.get("sources", [])}
        return Layout(Path(results), run, content["variants"], sources, barred, *models, *stages, planned)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path}: not as this version writes it ({type(error).__name__}: {error}); it was made by another version "
            "of this project: use that one, or run `snakemake --cores all train` again"
        ) from None


def run_folder(results: str | Path, run: str) -> Path:
    """Return the folder of a run.

    Raises:
        InputError: there is no such run; with those that are there.
    """
    folder = Path(results) / "runs" / run
    if not (folder / "run.json").is_file():
        known = ", ".join(sorted(found.parent.name for found in Path(results).glob("runs/*/run.json"))) or "none yet"
        raise InputError(f"{folder / 'run.json'}: there is no run {run!r}; runs here: {known}")
    return folder


def runs_in(results: str | Path) -> list[str]:
    """Return the names of all runs that have a plan, sorted.

    Raises:
        InputError: there is none.
    """
    names = sorted(path.parent.name for path in Path(results).glob("runs/*/run.json"))
    if not names:
        raise InputError(f"{results}: there is no run here yet; `snakemake --cores all` makes one")
    return names
