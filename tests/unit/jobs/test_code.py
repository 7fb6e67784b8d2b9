"""A comment, a moved or a renamed module re-runs nothing; a changed line re-runs what depends on it."""

import pytest

from f2llm.jobs import code
from f2llm.jobs.code import ROOT, CodeTree, code_digest

FILES = {
    "script.py": "from f2llm.mine.rule import keep\n\nkeep(1)\n",
    "f2llm/__init__.py": "",
    "f2llm/mine/__init__.py": "",
    "f2llm/mine/rule.py": '"""Doc."""\n\ndef keep(x):\n    """Doc."""\n    from f2llm import deep\n\n    return deep.LIMIT + x\n',
    "f2llm/deep.py": "LIMIT = 1\n",
    "f2llm/other.py": "LIMIT = 1\n",
    "f2llm/jobs/__init__.py": "",
    "f2llm/jobs/note.py": "SUFFIX = 1\n",
}


@pytest.fixture
def tree(tmp_path):
    """Writes a tiny code tree, with some files changed (None: gone), and digests its script."""

    def digest(changes):
        root = tmp_path / str(len(list(tmp_path.iterdir())))
        for path, text in {**FILES, **changes}.items():
            if text is not None:
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).write_text(text)
        return CodeTree(root).digest("script.py")

    return digest


def edited(path, old, new):
    assert old in FILES[path]
    return {path: FILES[path].replace(old, new)}


@pytest.mark.parametrize(
    "changes",
    [
        edited("script.py", "keep(1)", "keep(1)  # a comment"),
        edited("f2llm/mine/rule.py", '"""Doc."""\n    from', '"""Another docstring."""\n    from'),
        edited("f2llm/mine/rule.py", '    """Doc."""\n    from', "    from"),
        edited("f2llm/mine/rule.py", "LIMIT + x", "LIMIT + (\n        x\n    )"),
        edited("f2llm/other.py", "1", "2"),
    ],
    ids=["comment", "docstring", "no docstring", "layout", "a module that is not imported"],
)
def test_what_cannot_change_a_result_keeps_the_digest(tree, changes):
    assert tree(changes) == tree({})


@pytest.mark.parametrize(
    "changes",
    [
        {**edited("script.py", "mine.rule", "choose.policy"), "f2llm/mine/rule.py": None, "f2llm/choose/policy.py": FILES["f2llm/mine/rule.py"]},
        {"f2llm/deep.py": None, "f2llm/depth.py": FILES["f2llm/deep.py"], "f2llm/mine/rule.py": FILES["f2llm/mine/rule.py"].replace("deep", "depth")},
        {"f2llm/deep.py": None, "f2llm/deep/__init__.py": FILES["f2llm/deep.py"]},
    ],
    ids=["moved", "renamed, and used by its name", "made a package"],
)  # fmt: skip
def test_a_module_that_only_moves_keeps_the_digest(tree, changes):
    assert tree(changes) == tree({})


def test_a_rename_that_reorders_imports_keeps_the_digest(tree):
    two = "from f2llm.{first} import {first_name}\nfrom f2llm.other import LIMIT\nimport json\n"
    before = tree({"script.py": "from f2llm import deep, other\n\ndeep.LIMIT\nother.LIMIT\n"})
    after = {"f2llm/deep.py": None, "f2llm/zeta.py": FILES["f2llm/deep.py"]}
    assert tree({**after, "script.py": "from f2llm import other, zeta\n\nzeta.LIMIT\nother.LIMIT\n"}) == before
    before = tree({"script.py": two.format(first="deep", first_name="LIMIT as A")})
    moved = "from f2llm.other import LIMIT\nfrom f2llm.zeta import LIMIT as A\nimport json\n"
    assert tree({**after, "script.py": moved}) == before


@pytest.mark.parametrize(
    "changes",
    [
        edited("script.py", "keep(1)", "keep(2)"),
        edited("f2llm/mine/rule.py", "return deep.LIMIT + x", "return deep.LIMIT - x"),
        edited("f2llm/deep.py", "1", "2"),
        {**edited("f2llm/mine/rule.py", "import deep", "import other as deep"), "f2llm/other.py": "LIMIT = 2\n"},
        {**edited("f2llm/mine/rule.py", "deep.LIMIT", "deep.OTHER"), "f2llm/deep.py": "LIMIT = 1\n"},
    ],
    ids=["script", "library", "import inside a function", "another module imported", "another name of it used"],
)
def test_a_changed_line_changes_the_digest(tree, changes):
    assert tree(changes) != tree({})


def test_two_modules_that_swap_their_places_in_a_line_change_the_digest(tree):
    two = {"f2llm/other.py": "LIMIT = 2\n"}
    before = tree({**two, "script.py": "from f2llm import deep, other\n\ndeep.LIMIT - other.LIMIT\n"})
    assert tree({**two, "script.py": "from f2llm import deep, other\n\nother.LIMIT - deep.LIMIT\n"}) != before


def test_what_surrounds_a_job_is_not_in_the_digest(tree):
    script = {"script.py": "from f2llm.jobs.note import SUFFIX\n"}
    assert tree({**script, "f2llm/jobs/note.py": "SUFFIX = 2\n"}) == tree(script)


def test_modules_that_import_each_other_are_digested_together(tree):
    circle = {
        "script.py": "from f2llm.a import f\n",
        "f2llm/a.py": "def f():\n    from f2llm.b import g\n    return g\n",
        "f2llm/b.py": "def g():\n    from f2llm.a import f\n    return f, 1\n",
    }
    before = tree(circle)
    assert tree({**circle, "f2llm/b.py": circle["f2llm/b.py"].replace("1", "2")}) != before
    assert tree({**circle, "f2llm/a.py": f"{circle['f2llm/a.py']}# a comment\n"}) == before
    moved = {path: text and text.replace("f2llm.b", "f2llm.zz.b") for path, text in circle.items()}
    assert tree({**moved, "f2llm/b.py": None, "f2llm/zz/b.py": circle["f2llm/b.py"]}) == before


@pytest.mark.parametrize("named", ["templates", "templates/page.js"], ids=["folder", "file"])
def test_a_data_file_that_an_imported_module_names_is_in_the_digest(tree, named):
    page, beside = "f2llm/mine/templates/page.js", "f2llm/mine/notes.txt"
    files = {page: "old", beside: "old"}
    assert tree({**files, page: "new"}) == tree(files)
    files["f2llm/mine/rule.py"] = f'{FILES["f2llm/mine/rule.py"]}FOLDER = Path(__file__).parent / "{named}"\n'
    assert tree({**files, beside: "new"}) == tree(files)
    assert tree({**files, page: "new"}) != tree(files)


def test_the_version_of_a_package_that_decides_results_is_in_the_digest(tree, monkeypatch):
    uses = {"f2llm/deep.py": "import torch\n"}
    before = tree(uses)
    monkeypatch.setattr(code.importlib.metadata, "version", lambda name: "0.0")
    assert tree(uses) != before


def test_edits_stand_in_for_the_text_of_files(tree, tmp_path):
    tree({})
    root = tmp_path / "0"
    assert CodeTree(root).edited({"f2llm/deep.py": "LIMIT = 2\n"}).digest("script.py") == tree(
        {"f2llm/deep.py": "LIMIT = 2\n"}
    )


def test_templates_decide_the_pages_and_the_cards_and_nothing_else():
    checkout = CodeTree(ROOT)
    read = {
        path.name
        for path in sorted((ROOT / "workflow/scripts").glob("*.py"))
        for module in checkout.reached(str(path.relative_to(ROOT)))
        if any(name.startswith("templates/") for name, _ in checkout.file(module).data)
    }
    assert read == {"build_report.py", "compare_changes.py", "export_scores.py", "write_cards.py"}


def test_the_files_and_packages_that_a_module_of_the_checkout_runs_are_seen():
    checkout = CodeTree(ROOT)
    reached = checkout.reached("f2llm/config/load.py")
    assert {"f2llm/config/check.py", "f2llm/records/errors.py"} <= set(reached)
    assert not any("torch" in checkout.file(path).packages for path in reached)
    assert "torch" in checkout.file("f2llm/models/encoder.py").packages


def test_a_class_or_a_function_stands_for_the_module_that_defines_it():
    assert code_digest(CodeTree, code_digest) == code_digest("f2llm/jobs/code.py", "f2llm/jobs/code.py")


def test_the_hash_of_the_code_sees_every_byte(tmp_path, monkeypatch):
    for name in ("f2llm", "rules", "workflow"):
        (tmp_path / name).mkdir()
    (tmp_path / "Snakefile").write_text("rule all:\n")
    (tmp_path / "f2llm" / "a.py").write_text("x = 1\n")
    monkeypatch.setattr(code, "ROOT", tmp_path)
    before = code.code_hash()
    (tmp_path / "f2llm" / "a.py").write_text("x = 1  # a comment\n")
    assert code.code_hash() != before
