"""What may import what, and how long things may get."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STAGES = {"sources", "curate", "mine", "train", "evaluate", "lineage"}
MODULES = sorted((ROOT / "f2llm").rglob("*.py"))
SCRIPTS = sorted((ROOT / "workflow" / "scripts").glob("*.py"))
RULES = [ROOT / "Snakefile", *sorted((ROOT / "rules").rglob("*.smk"))]
COMMAND_LINE = {ROOT / "f2llm/__main__.py", *ROOT.glob("f2llm/*/verbs.py")}
MOST_MODULE_LINES = 330
MOST_FUNCTION_LINES = 60


def name(path):
    return str(path.relative_to(ROOT))


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def stage_of(module):
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[0] == "f2llm" and parts[1] in STAGES else None


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_the_library_does_not_know_the_workflow_engine(path):
    assert not [module for module in imports(path) if module.split(".")[0] in {"snakemake", "workflow"}]


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_stages_meet_only_on_disk(path):
    inside = path.relative_to(ROOT / "f2llm").parts
    own = inside[0] if inside[0] in STAGES else None
    others = {stage_of(module) for module in imports(path)} - {None, own}
    if path in COMMAND_LINE:
        return
    assert others == set()


@pytest.mark.parametrize("path", MODULES + SCRIPTS, ids=name)
def test_only_the_command_line_and_the_report_read_all_tables(path):
    if "f2llm.lineage" in {".".join(module.split(".")[:2]) for module in imports(path)}:
        assert name(path).startswith("f2llm/lineage/") or name(path) in {
            *map(name, COMMAND_LINE),
            "workflow/scripts/build_report.py",
            "workflow/scripts/compare_changes.py",
            "workflow/scripts/compare_estimate.py",
            "workflow/scripts/compare_source.py",
            "workflow/scripts/write_cards.py",
            "workflow/scripts/write_crate.py",
        }


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_modules_import_each_other_by_absolute_names(path):
    # The digest of a job's code follows absolute imports only.
    assert not [
        node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom) and node.level
    ]


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_modules_and_functions_fit_the_eye(path):
    assert len(path.read_text().splitlines()) <= MOST_MODULE_LINES
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno < MOST_FUNCTION_LINES, node.name


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_public_things_are_explained(path):
    tree = ast.parse(path.read_text())
    named = [
        node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
    ]
    assert ast.get_docstring(tree)
    assert [node.name for node in named if not ast.get_docstring(node)] == []


@pytest.mark.parametrize("path", SCRIPTS, ids=name)
def test_scripts_stay_thin(path):
    logic = (ast.FunctionDef, ast.ClassDef, ast.For, ast.While, ast.Lambda)
    assert not [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, logic)]
    assert len(path.read_text().splitlines()) <= 30


def test_every_script_has_its_rule():
    text = "\n".join(path.read_text() for path in RULES)
    assert {path.stem for path in SCRIPTS} == set(re.findall(r'"\.\./workflow/scripts/(\w+)\.py"', text))


@pytest.mark.parametrize("path", RULES, ids=name)
def test_rules_hold_wiring_only(path):
    assert not re.search(r"\blambda\b|^\s*run:", path.read_text(), re.MULTILINE)


def test_reading_the_workflow_loads_no_heavy_package():
    code = (
        "import sys, f2llm.config.load, f2llm.config.variants, f2llm.estimate.machine, f2llm.jobs.environment, f2llm.jobs.job, f2llm.jobs.lock, "
        "f2llm.jobs.status, f2llm.sources.adapters; sys.exit(bool({'torch', 'transformers', 'faiss', 'mteb', 'duckdb'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize("stage", ["sources", "curate", "lineage"])
def test_stages_that_only_move_tables_never_load_torch_at_import(stage):
    for path in sorted((ROOT / "f2llm" / stage).rglob("*.py")):
        top = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.Import | ast.ImportFrom)]
        names = [alias.name for node in top if isinstance(node, ast.Import) for alias in node.names]
        names += [node.module or "" for node in top if isinstance(node, ast.ImportFrom)]
        assert not [found for found in names if found.split(".")[0] in {"torch", "transformers"}], path
