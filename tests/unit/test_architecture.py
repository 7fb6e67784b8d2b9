"""What may import what, and how long things may get."""

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Packages of the ground, lowest first; those of one layer do not import each other.
GROUND = [{"records"}, {"config", "jobs"}, {"models", "runs", "rows"}, {"fetch", "vectors", "estimate"}]
STAGES = {"sources", "curate", "mine", "plan", "train", "evaluate"}
READERS = {"lineage", "report", "publish"}
LAYER_OF = {package: layer for layer, packages in enumerate(GROUND) for package in packages}
# What stages take of `jobs`, which decides no byte of a result.
OF_JOBS = {"f2llm.jobs.progress": {"Progress", "progress"}, "f2llm.jobs.code": {"code_digest"}}
OF_SLURM = {"f2llm.jobs.slurm": {"ask", "end_older_twins"}, "f2llm.jobs.code": {"ROOT"}}
ASK_SLURM = {"f2llm/train/launch.py", "f2llm/train/nodes.py"}
MODULES = sorted((ROOT / "f2llm").rglob("*.py"))
SCRIPTS = sorted((ROOT / "workflow" / "scripts").glob("*.py"))
RULES = [ROOT / "Snakefile", *sorted((ROOT / "rules").rglob("*.smk"))]
# The command line, which imports anything, inside functions.
COMMAND_LINE = {ROOT / "f2llm" / "__main__.py", *(ROOT / "f2llm").glob("*/verbs.py")}
MOST_MODULE_LINES = 450
MOST_FUNCTION_LINES = 60
MOST_PACKAGE_LINES = 5500
MOST_MODULES_OF_A_FOLDER = 30
MOST_NAMES_AT_THE_ROOT = 20


def name(path):
    return str(path.relative_to(ROOT))


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from ((node.module, alias.name) for alias in node.names)


def package_of(module, imported=""):
    parts = module.split(".")
    return (parts[1] if len(parts) > 1 else imported) if parts[0] == "f2llm" else None


def may_import(package):
    """The packages that modules of this one may import, besides itself."""
    if package in LAYER_OF:
        return set().union(*GROUND[: LAYER_OF[package]])
    return set().union(*GROUND) - ({"estimate"} if package in STAGES else set())


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_the_library_does_not_know_the_workflow_engine(path):
    assert not [module for module, _ in imports(path) if module.split(".")[0] in {"snakemake", "workflow"}]


@pytest.mark.parametrize("path", sorted(set(MODULES) - COMMAND_LINE), ids=name)
def test_packages_import_lower_ones_alone(path):
    package = path.relative_to(ROOT / "f2llm").parts[0].removesuffix(".py")
    imported = {package_of(module, what) for module, what in imports(path)} - {None, package}
    assert imported <= may_import(package)


def test_every_package_has_its_place():
    there = {path.name.removesuffix(".py") for path in (ROOT / "f2llm").iterdir() if path.name[0] != "_"}
    assert there == {*LAYER_OF, *STAGES, *READERS}


def test_no_modules_import_each_other_when_they_are_loaded():
    waiting = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): {
            imported
            for node in ast.parse(path.read_text()).body
            if isinstance(node, ast.ImportFrom)
            for imported in (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))
        }
        for path in MODULES
    }
    while free := [module for module, needs in waiting.items() if not needs & (waiting.keys() - {module})]:
        for module in free:
            del waiting[module]
    assert waiting == {}


@pytest.mark.parametrize(
    "path", [path for path in MODULES if path.relative_to(ROOT / "f2llm").parts[0] in STAGES], ids=name
)
def test_stages_take_little_of_what_surrounds_a_job(path):
    allowed = [OF_JOBS, OF_SLURM] if name(path) in ASK_SLURM else [OF_JOBS]
    of_jobs = {(module, what) for module, what in imports(path) if module.startswith("f2llm.jobs")}
    assert of_jobs <= {(module, what) for names in allowed for module in names for what in names[module]}


def test_scripts_that_read_whole_runs_are_those_of_the_readers():
    readers = {path.stem for path in SCRIPTS if {package_of(*found) for found in imports(path)} & READERS}
    assert readers == {"build_report", "compare_changes", "export_scores", "write_cards", "write_crate"}


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


def test_packages_fit_the_head():
    folders = [folder for folder in (ROOT / "f2llm").rglob("*") if folder.is_dir() and folder.name != "__pycache__"]
    lines = {folder: sum(len(path.read_text().splitlines()) for path in folder.rglob("*.py")) for folder in folders}
    assert {name(folder): count for folder, count in lines.items() if count > MOST_PACKAGE_LINES} == {}
    crowded = [folder for folder in folders if len(list(folder.glob("*.py"))) > MOST_MODULES_OF_A_FOLDER]
    assert [name(folder) for folder in crowded] == []
    assert len([path for path in (ROOT / "f2llm").iterdir() if path.name != "__pycache__"]) <= MOST_NAMES_AT_THE_ROOT


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


def test_all_that_scripts_and_rules_import_is_there():
    code = "\n".join(path.read_text() for path in [*SCRIPTS, *RULES])
    wanted = sorted(set(re.findall(r"^from (f2llm[\w.]*) import \(?([\w, \n]+)\)?$", code, re.MULTILINE)))
    named = [(module, name) for module, names in wanted for name in re.split(r"[,\s]+", names) if name]
    assert len(named) > 100
    missing = [(module, name) for module, name in named if not hasattr(importlib.import_module(module), name)]
    assert missing == []


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


@pytest.mark.parametrize(
    "package",
    [
        "records",
        "config",
        "jobs",
        "rows",
        "runs",
        "estimate",
        "sources",
        "curate",
        "plan",
        "lineage",
        "report",
        "publish",
    ],
)
def test_packages_that_only_move_tables_never_load_torch_at_import(package):
    for path in sorted((ROOT / "f2llm" / package).rglob("*.py")):
        top = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.Import | ast.ImportFrom)]
        names = [alias.name for node in top if isinstance(node, ast.Import) for alias in node.names]
        names += [node.module or "" for node in top if isinstance(node, ast.ImportFrom)]
        assert not [found for found in names if found.split(".")[0] in {"torch", "transformers"}], path
