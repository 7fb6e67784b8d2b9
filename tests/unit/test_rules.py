"""The rule files: each uses only names of files before it, and lineage knows which script a rule runs."""

import ast
import builtins
import re
import symtable
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import snakemake.cli  # noqa: F401 - before its modules, which import each other
from snakemake import parser
from snakemake.sourcecache import infer_source_file

from f2llm.lineage.verify.code import SHARED

ROOT = Path(__file__).parents[2]
RULES = sorted((ROOT / "rules").rglob("*.smk"))
# What snakemake gives every file, and what it puts into the body of a rule.
GIVEN = {"ancient", "config", "directory", "expand", "report", "rules", "script", "temp", "workflow", "__name__"}
MOST_COMMON_LINES = 150
RULE_AND_SCRIPT = re.compile(r'^rule (\w+):\n(?:(?!^rule ).*\n)*?.*"\.\./workflow/scripts/(\w+)\.py"', re.MULTILINE)


def statements(path: Path) -> Iterator[tuple[Path, ast.stmt]]:
    """Top-level statements of a rule file in the Python that snakemake makes of it, those of included files in their place."""
    opened = SimpleNamespace(
        sourcecache=SimpleNamespace(open=lambda source: open(source.get_path_or_uri(secret_free=True)))
    )
    code, _ = parser.parse(infer_source_file(str(path)), opened, {})
    for statement in ast.parse(code).body:
        match statement:
            case ast.Expr(ast.Call(ast.Attribute(ast.Name("workflow"), "include"), [ast.Constant(included)])):
                yield from statements(path.parent / included)
            case _:
                yield path, statement


def names(table: symtable.SymbolTable) -> tuple[set[str], set[str]]:
    """Global names that a statement uses, in the functions and comprehensions in it as well, and those that it defines."""
    own = table.get_symbols()
    used = {symbol.get_name() for symbol in own if symbol.is_global() or table.get_type() == "module"}
    used = {name for name in used if table.lookup(name).is_referenced()}
    defined = {symbol.get_name() for symbol in own if table.get_type() == "module" and symbol.is_local()}
    for child in table.get_children():
        used |= names(child)[0]
    return used, defined


def early_uses(statements: Iterator[tuple[Path, ast.stmt]]) -> list[str]:
    known, early = GIVEN | set(dir(builtins)), []
    for path, statement in statements:
        used, defined = names(symtable.symtable(ast.unparse(statement), path.name, "exec"))
        early += [f"{path.name}: {name}" for name in sorted(used - defined - known)]
        known |= defined
    return early


def test_no_name_of_the_rules_is_used_before_the_file_or_line_that_defines_it():
    assert early_uses(statements(ROOT / "Snakefile")) == []


def test_a_function_that_uses_a_later_name_is_found(tmp_path):
    (tmp_path / "Snakefile").write_text('include: "a.smk"\nLATER = 1\n')
    (tmp_path / "a.smk").write_text(
        "def early(wildcards):\n    return [LATER for _ in wildcards]\n\n\n"
        "rule a:\n    output: 'a'\n    params: b=OTHER\n    script: 'a.py'\n"
    )
    assert early_uses(statements(tmp_path / "Snakefile")) == ["a.smk: LATER", "a.smk: OTHER"]


def test_every_rule_file_is_included():
    assert {path for path, _ in statements(ROOT / "Snakefile")} == {ROOT / "Snakefile", *RULES}


def test_what_all_rules_share_stays_short():
    assert len((ROOT / "rules/common.smk").read_text().splitlines()) <= MOST_COMMON_LINES


def test_the_code_is_found_where_it_lies_and_not_where_the_host_of_a_module_lies():
    assert not [path for path in (ROOT / "Snakefile", *RULES) if "workflow.basedir" in path.read_text()]


def test_a_rule_runs_the_script_of_its_name_or_the_one_that_lineage_knows_of():
    scripts = dict(RULE_AND_SCRIPT.findall("\n".join(path.read_text() for path in RULES)))
    assert len(scripts) > 20
    assert scripts == {rule: SHARED.get(rule, rule) for rule in scripts}
