"""The toy training, made once a session where it is only read."""

import importlib.util
from pathlib import Path

import pytest

SPEC = importlib.util.spec_from_file_location("toy_training", Path(__file__).with_name("toy_training.py"))


@pytest.fixture(scope="session")
def toy():
    module = importlib.util.module_from_spec(SPEC)
    SPEC.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def backbone(toy, tmp_path_factory):
    return toy.write_backbone(tmp_path_factory.mktemp("backbone"))
