"""A comment re-runs nothing, a changed line re-runs what depends on it."""

import re
from pathlib import Path

import pytest

from f2llm.jobs import code

ROOT = Path(__file__).parents[3]


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A copy of a tiny code tree that the digests are taken of."""
    (tmp_path / "f2llm" / "mine").mkdir(parents=True)
    for folder in ("f2llm", "f2llm/mine"):
        (tmp_path / folder / "__init__.py").write_text("")
    (tmp_path / "script.py").write_text("from f2llm.mine.rule import keep\nkeep(1)\n")
    (tmp_path / "f2llm/mine/rule.py").write_text(
        '"""Doc."""\n\ndef keep(x):\n    """Doc."""\n    from f2llm import deep\n    return x\n'
    )
    (tmp_path / "f2llm/deep.py").write_text("LIMIT = 1\n")
    (tmp_path / "f2llm/other.py").write_text("LIMIT = 1\n")
    monkeypatch.setattr(code, "ROOT", tmp_path)
    return tmp_path


def digest():
    for cached in (code.closure, code.read_code):
        cached.cache_clear()
    return code.code_digest("script.py")


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        ("script.py", "keep(1)", "keep(1)  # a comment"),
        ("f2llm/mine/rule.py", '"""Doc."""\n    from', '"""Another docstring."""\n    from'),
        ("f2llm/mine/rule.py", "return x", "return (\n        x\n    )"),
        ("f2llm/other.py", "1", "2"),
    ],
    ids=["comment", "docstring", "layout", "a module that is not imported"],
)
def test_what_cannot_change_a_result_keeps_the_digest(tree, path, old, new):
    before = digest()
    (tree / path).write_text((tree / path).read_text().replace(old, new))
    assert digest() == before


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [("script.py", "keep(1)", "keep(2)"), ("f2llm/mine/rule.py", "return x", "return -x"), ("f2llm/deep.py", "1", "2")],
    ids=["script", "library", "import inside a function"],
)
def test_a_changed_line_changes_the_digest(tree, path, old, new):
    before = digest()
    (tree / path).write_text((tree / path).read_text().replace(old, new))
    assert digest() != before


@pytest.mark.parametrize("named", ["templates", "templates/page.js"], ids=["folder", "file"])
def test_a_data_file_that_an_imported_module_names_is_in_the_digest(tree, named):
    template, beside = tree / "f2llm/mine/templates/page.js", tree / "f2llm/mine/notes.txt"
    template.parent.mkdir()
    for path in (template, beside):
        path.write_text("old")
    before = digest()
    template.write_text("new")
    assert digest() == before
    rule = tree / "f2llm/mine/rule.py"
    rule.write_text(f'{rule.read_text()}FOLDER = Path(__file__).parent / "{named}"\n')
    before = digest()
    beside.write_text("new")
    assert digest() == before
    template.write_text("newer")
    assert digest() != before


def test_templates_decide_the_pages_and_the_cards_and_nothing_else():
    read = {
        path.name
        for path in sorted((ROOT / "workflow/scripts").glob("*.py"))
        if re.search(r"f2llm\.(report|publish)", path.read_text())
        for module in code.closure((str(path.relative_to(ROOT)),))[0]
        if any("/templates/" in file for file in code.read_code(module).data)
    }
    assert read == {"build_report.py", "compare_changes.py", "write_cards.py"}


def test_the_version_of_a_package_that_decides_results_is_in_the_digest(tree, monkeypatch):
    (tree / "f2llm/deep.py").write_text("import torch\n")
    before = digest()
    monkeypatch.setattr(code.importlib.metadata, "version", lambda name: "0.0")
    assert digest() != before


def test_the_real_closure_of_a_script_is_found():
    modules, packages = code.closure(("f2llm/config/load.py",))
    assert "f2llm/config/check.py" in modules
    assert "f2llm/errors.py" in modules
    assert "torch" not in packages


def test_the_hash_of_the_code_sees_every_byte(tmp_path, monkeypatch):
    for name in ("f2llm", "rules", "workflow"):
        (tmp_path / name).mkdir()
    (tmp_path / "Snakefile").write_text("rule all:\n")
    (tmp_path / "f2llm" / "a.py").write_text("x = 1\n")
    monkeypatch.setattr(code, "ROOT", tmp_path)
    before = code.code_hash()
    (tmp_path / "f2llm" / "a.py").write_text("x = 1  # a comment\n")
    assert code.code_hash() != before
