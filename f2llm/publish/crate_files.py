"""The files of a run as entities of an RO-Crate, each under an absolute URI, none of them copied."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from rocrate.model.contextentity import ContextEntity
from rocrate.rocrate import ROCrate

from f2llm.config.licences import OWN, named
from f2llm.publish.licences import licence_url
from f2llm.records.files import read_json
from f2llm.runs.layout import Layout

HUB = "https://huggingface.co"
FORMATS = {
    ".parquet": "application/vnd.apache.parquet",
    ".json": "application/json",
    ".jsonl": "application/jsonl",
    ".html": "text/html",
    ".md": "text/markdown",
    ".smk": "text/plain",
}


def add_entity(crate: ROCrate, identity: str, properties: Mapping[str, Any]) -> ContextEntity:
    """The entity of this id, added to the crate if it is not there."""
    return crate.get(identity) or crate.add(ContextEntity(crate, identity, properties=dict(properties)))


def add_licence(crate: ROCrate, licence: str, *, note: str = "") -> ContextEntity:
    """The entity of a single SPDX licence; the note goes to one of our own."""
    properties = {"@type": "CreativeWork", "name": licence, "identifier": licence}
    properties |= {"description": note} if note and licence.startswith(OWN) else {}
    return add_entity(crate, licence_url(licence), properties)


class CrateFiles:
    """Entities of files and folders by their path in the results; equal paths are one entity."""

    def __init__(self, crate: ROCrate, layout: Layout, *, archive: str) -> None:
        self._crate, self._layout, self._archive = crate, layout, archive
        self._known: dict[str, ContextEntity] = {}
        self._raw: dict[str, list[ContextEntity]] = {}

    def __len__(self) -> int:
        return len(self._known)

    def add_raw(self) -> None:
        """Add the raw files of all sources under the URIs where they come from, with the licences of their stanzas."""
        for path in sorted((self._layout.results / "sources").glob("*/manifest.json")):
            manifest = read_json(path)
            licence = manifest["licence"]
            licences = [add_licence(self._crate, name, note=licence.get("note", "")) for name in named(licence["id"])]
            self._raw[path.parent.name] = [self._raw_file(file, licences) for file in manifest["files"]]

    def raw(self, source: str) -> list[ContextEntity]:
        """The raw files of a source."""
        return self._raw.get(source, [])

    def all_raw(self) -> list[ContextEntity]:
        """The raw files of all sources, each once."""
        return list({entity.id: entity for entities in self._raw.values() for entity in entities}.values())

    def entity(self, path: str, sha256: str) -> ContextEntity:
        """The entity of a file or folder of the run, by its path as the manifests have it."""
        if path not in self._known:
            name, suffix = path.rsplit("/", 1)[-1], Path(path).suffix
            properties: dict[str, Any] = {"@type": "File" if suffix else "Dataset", "name": name, "sha256": sha256}
            properties["encodingFormat"] = FORMATS.get(suffix, "application/octet-stream")
            uri = self._archive + quote(path)
            self._known[path] = self._part(uri if suffix else f"{uri}/", properties)
        return self._known[path]

    def _raw_file(self, file: Mapping[str, Any], licences: list[ContextEntity]) -> ContextEntity:
        ids = [{"@id": licence.id} for licence in licences]
        properties = {
            "@type": "File",
            "name": file["name"],
            "contentSize": str(file["bytes"]),
            "sha256": file["sha256"],
            "license": ids[0] if len(ids) == 1 else ids,
            "encodingFormat": FORMATS.get(Path(file["name"]).suffix, "application/octet-stream"),
        }
        return self._part(_uri(file, archive=self._archive), properties)

    def _part(self, uri: str, properties: Mapping[str, Any]) -> ContextEntity:
        """Add an entity and say at the root that it is part of the crate."""
        if known := self._crate.get(uri):
            return known
        entity = add_entity(self._crate, uri, properties)
        self._crate.root_dataset.append_to("hasPart", entity)
        return entity


def _uri(file: Mapping[str, Any], *, archive: str) -> str:
    """Where a raw file comes from: a package URL, a file of the hub at a commit, a URL, or a path in the run."""
    name, package, version = quote(file["name"]), file["package"], file["version"]
    if file["kind"] == "package":
        return f"pkg:pypi/{package}@{version}?file_name={name}"
    if file["kind"] == "hub":
        return f"{HUB}/{package.removeprefix('models/')}/resolve/{version}/{name}"
    return package if file["kind"] == "http" else f"{archive}raw/{file['sha256']}/{name}"
