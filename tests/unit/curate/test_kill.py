"""A job that is killed anywhere leaves tables that are whole or absent, and the next one makes the same bytes."""

import json
import signal
import subprocess
import sys

import pyarrow.parquet as pq
import pytest

from f2llm.config.build import plain
from f2llm.records.files import sha256_file

CHILD = """
import importlib, json, os, signal, sys
from f2llm.config.build import build
from f2llm.config.run import Curate
from f2llm.records.schemas.sources import SourceTables
from f2llm.curate.source import Outputs, Scope, curate_source

given = json.loads(sys.argv[1])
if given["point"]:
    owner, _, name = given["point"].rpartition(":")
    module, _, inner = owner.partition(":")
    owner = importlib.import_module(module)
    owner = getattr(owner, inner) if inner else owner
    whole = getattr(owner, name)

    def killed(*arguments, **named):
        whole(*arguments, **named)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, name, killed)
curate_source(
    SourceTables(*given["tables"]), Outputs(*given["outputs"]), evaluation_texts=given["index"], earlier={},
    held_out={},
    in_part=[], source=Scope("toy", "retrieval", 10, 25), settings=build(Curate, given["settings"]), seed=0,
)
"""
POINTS = (
    "f2llm.curate.source:_Curation:exact",
    "f2llm.curate.passages:Passages:read",
    "f2llm.curate.near:_candidates",
    "f2llm.curate.source:_Curation:decontaminate",
    "pyarrow.parquet:ParquetWriter:write_table",
    "f2llm.curate.source:write_passages",
    "f2llm.curate.source:write_near",
)


@pytest.fixture
def prepared(curate, query, settings_of):
    """Return what a child needs, and the hashes of the tables of a run that nobody killed."""
    words = [f"word{at}" for at in range(40)]
    passages = [" ".join(words[at:] + words[:at]) for at in range(20)] + [f"passage {at}" for at in range(10)]
    passages += [text + " again" for text in passages]
    queries = [query(f"query {at}", (passages[at],), (passages[-at - 1],)) for at in range(20)]
    whole = curate(passages, queries, [passages[3]], caps={"max_queries": 10, "max_passages": 25}).paths
    folder = whole.corpus.parent
    given = {
        "tables": [str(folder / "in_corpus"), str(folder / "in_queries")],
        "outputs": [str(folder / "killed" / path.name) for path in whole],
        "index": str(folder / "index"), "settings": plain(settings_of()),
    }  # fmt: skip
    return given, [sha256_file(path) for path in whole]


@pytest.mark.parametrize("point", POINTS)
def test_the_run_after_a_kill_gives_the_same_bytes(prepared, point, tmp_path):
    given, expected = prepared

    died = subprocess.run([sys.executable, "-c", CHILD, json.dumps(given | {"point": point})], check=False)
    assert died.returncode == -signal.SIGKILL
    for path in tmp_path.glob("run*/killed/*.parquet"):
        pq.read_table(path)  # whole, if it is there

    subprocess.run([sys.executable, "-c", CHILD, json.dumps(given | {"point": ""})], check=True)
    assert [sha256_file(path) for path in given["outputs"]] == expected
    left = {path.name for path in tmp_path.glob("run*/killed/*")}
    assert left == {f"{name}.parquet" for name in ("corpus", "queries", "removed", "near", "hits")}
