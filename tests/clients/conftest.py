"""Other people's environments: folders of pinned packages that are laid over this one, fetched once."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

HOME = Path(__file__).parents[2]
KEPT = HOME / ".cache/clients"
# What lies over this environment; whatever is not named, torch above all, is taken from it.
OVERLAYS = {
    "locked": (),
    "older": (
        "transformers==4.57.6", "sentence-transformers==5.1.2", "tokenizers==0.22.2", "huggingface-hub==0.36.2",
        "datasets==4.4.1", "httpx==0.28.1", "httpcore==1.0.9",
    ),
}  # fmt: skip
CLIENT = Path(__file__).with_name("client.py")


@pytest.fixture(scope="session")
def client():
    """Runs client.py under one of OVERLAYS."""

    def run(overlay: str, *arguments: str | Path) -> str:
        environment = os.environ | {"PYTHONPATH": str(_overlay(overlay)), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [sys.executable, CLIENT, *map(str, arguments)], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="session")
def toy():
    """The module of the toy training of the unit tests."""
    spec = importlib.util.spec_from_file_location("toy_training", HOME / "tests/unit/toy_training.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _overlay(name: str) -> Path:
    packages = OVERLAYS[name]
    folder = KEPT / name
    noted = folder / "packages.txt"
    if not (noted.is_file() and noted.read_text().split() == list(packages)):
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--upgrade", "--target", str(folder)]
        if packages:
            subprocess.run([*pip, *packages], check=True)
        folder.mkdir(parents=True, exist_ok=True)
        noted.write_text("\n".join(packages))
    return folder
