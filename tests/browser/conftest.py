"""The report of the small run of the lineage tests, or of F2LLM_REPORT (a path), in a headless Chromium."""

import importlib.util
import os
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def load(name: str, path: Path):
    """Return a module by its path: test folders are no packages."""
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


chromium = load("browser_chromium", HERE / "chromium.py")


@pytest.fixture(scope="session")
def browser():
    path = chromium.find_chromium()
    if path is None:
        pytest.skip(f"no Chromium here (looked for {', '.join(chromium.NAMES)}); CI installs Debian's `chromium`")
    found = chromium.Chromium(path)
    yield found
    found.close()


@pytest.fixture(scope="session")
def report(tmp_path_factory):
    """The page of a run, with its tables beside it."""
    if given := os.environ.get("F2LLM_REPORT"):
        return Path(given).absolute()
    from f2llm.report.report import build_report

    lineage = load("lineage_results", HERE.parent / "unit/conftest.py")
    results = lineage.write_results(tmp_path_factory.mktemp("results"))
    jobs = [str(results / name) for name in ("job.json", "read.json")]
    build_report(results, run="toyrun", heldout=[], jobs=jobs, output=results / "report/index.html")
    return results / "report/index.html"
