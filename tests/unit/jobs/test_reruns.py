"""What an edit of the code re-runs: the rules whose digest changes, and no other.

The jobs behind these rules follow where their inputs change.
"""

import pytest

from f2llm.jobs.code import ROOT, CodeTree

SCRIPTS = {path.stem: (f"workflow/scripts/{path.name}",) for path in sorted((ROOT / "workflow/scripts").glob("*.py"))}
SCRIPTS["train_model"] = (*SCRIPTS["train_model"], "f2llm/train/__main__.py")
ADAPTERS = sorted(path.stem for path in (ROOT / "f2llm/sources/adapters").glob("[a-z]*.py"))
del SCRIPTS["normalise_source"]
# A digest for each adapter: what normalises a source that uses it.
SCRIPTS |= {
    f"normalise:{name}": ("workflow/scripts/normalise_source.py", f"f2llm/sources/adapters/{name}.py")
    for name in ADAPTERS
}
PLAN_AND_TRAIN = {"plan_run", "train_model"}
TASKS = {"build_local_task", "build_task", "check_task"}
SCORES = {"encode_shard", "evaluate_batch", "build_scoreboard", "check_gate", "compare_changes", "export_scores"}
NOTHING = set()
EDITS = {
    "a key of train": ("f2llm/config/train.py", PLAN_AND_TRAIN),
    "a loss term is named": ("f2llm/config/losses.py", PLAN_AND_TRAIN),
    "a loss term is computed": ("f2llm/train/losses/contrastive.py", {"train_model"}),
    "a column of metrics": ("f2llm/records/schemas/train.py", {"train_model", "build_report", "compare_changes"}),
    "a key of a benchmark": ("f2llm/config/benchmarks.py", TASKS | SCORES),
    "a key of evaluate": ("f2llm/config/evaluate.py", {"check_gate"}),
    "a key of a candidate": ("f2llm/config/candidates.py", SCORES - {"compare_changes"}),
    "a key of fetching": (
        "f2llm/config/fetch.py", {"fetch_source", "pack_bundle", "prepare_model", "probe_sources"}
    ),
    "a key of a source's stanza that no job is given": ("f2llm/config/sources.py", NOTHING),
    "a key of a model's stanza that no job is given": ("f2llm/config/models.py", NOTHING),
    "a check of the config": ("f2llm/config/faults.py", NOTHING),
    "a key of curate": ("f2llm/config/curate.py", {"curate_source"}),
    "a key of mine": ("f2llm/config/mine.py", {"mine_source"}),
    "what embedding is given of a stanza": ("f2llm/config/encoding.py", {"embed_source", "mine_source"}),
    "the encoder": ("f2llm/models/encoder.py", {"embed_source", "encode_shard", "evaluate_batch"}),
    "a curated table": ("f2llm/records/schemas/curate.py", {"curate_source", "find_shared"}),
    "a mined table": ("f2llm/records/schemas/mine.py", {"mine_source", "export_scores", "write_cards"}),
    "the verdict on a run": ("f2llm/records/schemas/evaluate.py", {"check_gate"}),
    "the plan": ("f2llm/plan/order.py", {"plan_run"}),
    "the report": ("f2llm/report/sections/funnel.py", {"build_report"}),
    "the cards": ("f2llm/publish/cards.py", {"export_scores", "write_cards"}),
    "an estimate": ("f2llm/estimate/sizing.py", {"estimate_run"}),
    "a question of lineage": ("f2llm/lineage/trace/backward.py", NOTHING),
    "a format of rows": (
        "f2llm/rows/delimited.py",
        {f"normalise:{name}" for name in ADAPTERS} | {"audit_folder", "build_local_task", "probe_sources"},
    ),
    "which files of a folder are data": (
        "f2llm/rows/files.py",
        {f"normalise:{name}" for name in ADAPTERS}
        | {"audit_folder", "build_local_task", "fetch_source", "pack_bundle", "prepare_model", "probe_sources"},
    ),
    "what a probe is given": ("f2llm/sources/probe/part.py", {"probe_sources"}),
    "what a probe says": ("f2llm/sources/probe/verdict.py", {"probe_sources"}),
    "an adapter": ("f2llm/sources/adapters/beir.py", {"normalise:beir"}),
}  # fmt: skip
WITHOUT_RESULT = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "f2llm/jobs").glob("*.py"))


@pytest.fixture(scope="module")
def checkout():
    tree = CodeTree(ROOT)
    digests(tree)
    return tree


def digests(tree):
    return {rule: tree.digest(*paths) for rule, paths in SCRIPTS.items()}


def changed(checkout, path):
    text = (ROOT / path).read_text()
    before, after = digests(checkout), digests(checkout.edited({path: f"{text}\nANOTHER = 1\n"}))
    return {rule for rule in SCRIPTS if after[rule] != before[rule]}


@pytest.mark.parametrize(("path", "rules"), EDITS.values(), ids=EDITS)
def test_an_edit_re_runs_the_rules_that_depend_on_it(checkout, path, rules):
    assert changed(checkout, path) == rules


@pytest.mark.parametrize("path", WITHOUT_RESULT)
def test_what_surrounds_a_job_re_runs_nothing(checkout, path):
    assert changed(checkout, path) == set()
