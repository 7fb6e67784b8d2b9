"""The toy training."""

import importlib.util
from pathlib import Path

import pytest

SPEC = importlib.util.spec_from_file_location("toy_training", Path(__file__).parents[1] / "unit" / "toy_training.py")


@pytest.fixture(scope="session")
def toy():
    module = importlib.util.module_from_spec(SPEC)
    SPEC.loader.exec_module(module)
    return module
