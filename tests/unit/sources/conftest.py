"""Tiny wheels and stanzas; pip is replaced at its edge, where it would reach the network, the hub by a server here."""

import importlib.util
import shutil
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from huggingface_hub.utils import _http

from f2llm.config.fetch import Fetch
from f2llm.fetch import packages, retry
from f2llm.records.files import sha256_file, write_json
from f2llm.records.tables import read_table
from f2llm.sources.normalise import Reading, normalise_source

for NAME in ("hub_listings", "stub_server", "listed_hub"):
    SPEC = importlib.util.spec_from_file_location(NAME, Path(__file__).with_name(f"{NAME}.py"))
    sys.modules[NAME] = importlib.util.module_from_spec(SPEC)
    SPEC.loader.exec_module(sys.modules[NAME])
stub_server = sys.modules["stub_server"]


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def server(monkeypatch):
    """Return a server that is the hub of this test; waits between tries are noted, not slept."""
    found = stub_server.Server()
    monkeypatch.setenv("HF_ENDPOINT", found.url)
    monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")
    for name in ("HF_TOKEN", "HF_HUB_OFFLINE", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    found.waits = []
    monkeypatch.setattr(retry, "time", SimpleNamespace(**vars(time) | {"sleep": found.waits.append}))
    monkeypatch.setattr(_http, "time", SimpleNamespace(**vars(time) | {"sleep": lambda _: None}))
    yield found
    found.shutdown()
    found.server_close()


@pytest.fixture
def index(tmp_path, monkeypatch):
    """Replace pip by a copy from tmp_path/index; return the list of its calls."""
    calls = []

    def run_pip(arguments):
        calls.append(list(arguments))
        target = Path(arguments[arguments.index("--dest") + 1])
        package, version = arguments[-1].split("==")
        wheels = list((tmp_path / "index").glob(f"{package}-{version}-*.whl"))
        for found in wheels:
            shutil.copy(found, target)
        return (0, "") if wheels else (1, "ERROR: no matching distribution (from versions: none)")

    monkeypatch.setattr(packages, "run_pip", run_pip)
    monkeypatch.setattr(packages, "FIRST_WAIT_SECONDS", 0.0)
    return calls


@pytest.fixture
def pinned():
    """Return a function that pins a wheel as a stanza does."""

    def pin(path: Path, **changes: str) -> Fetch:
        package, version = path.name.split("-")[:2]
        return Fetch(
            **{"kind": "package", "package": package, "version": version, "sha256": sha256_file(path)} | changes
        )

    return pin


@pytest.fixture
def normalised(tmp_path):
    """Return a function that normalises data files and gives counts and tables."""

    def run(files: dict[str, str], *, task: str, adapter: str, on_error: str = "fail", **options: object):
        raw, out = tmp_path / "raw", tmp_path / "out"
        raw.mkdir(exist_ok=True)
        for name, content in files.items():
            (raw / name).write_text(content, encoding="utf-8")
        manifest = tmp_path / "manifest.json"
        write_json(manifest, {"files": [{"name": name} for name in files]})
        source = Reading(name="toy", task=task, adapter=adapter, options=options)
        counts = normalise_source(source, raw=raw, manifest=manifest, folder=out, on_error=on_error)
        tables = {name: read_table(out / f"{name}.parquet").to_pylist() for name in ("corpus", "queries", "origins")}
        return counts, tables

    return run
