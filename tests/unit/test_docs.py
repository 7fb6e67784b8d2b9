"""The docs name what there is: every package, files that exist, pages that can be found."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").glob("*.md"))
READ = [*PAGES, ROOT / "README.md", ROOT / "CHANGELOG.md"]
PACKAGES = sorted(path.parent.name for path in (ROOT / "f2llm").glob("*/__init__.py"))
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
# A path from the top of the checkout; one that stands behind another (results/benchmarks/...) is none.
PATH = re.compile(r"(?<![\w./{}-])(?:f2llm|benchmarks|rules|workflow|tests|profiles|slurm)/[\w./-]*\w")


@pytest.mark.parametrize("package", PACKAGES)
def test_the_map_has_a_line_for_every_package(package):
    assert re.search(rf"^\| `f2llm/{package}` \| .+ \| .*\|$", ARCHITECTURE, re.MULTILINE)


@pytest.mark.parametrize("page", READ, ids=lambda page: page.name)
def test_paths_in_the_docs_exist(page):
    paths = set(PATH.findall(page.read_text(encoding="utf-8")))
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []


def test_pages_and_modules_that_the_code_names_exist():
    named = re.compile(r"(?<![\w./{}-])(?:docs/[\w-]+\.md|(?:f2llm|benchmarks|rules)/[\w./-]+\.(?:py|smk))(?!\w)")
    folders = ("f2llm", "benchmarks", "rules", "workflow", "config", "slurm", "profiles")
    files = [
        path for folder in folders for path in (ROOT / folder).rglob("*") if path.suffix in (".py", ".smk", ".yaml")
    ]
    names = {name for path in files for name in named.findall(path.read_text(encoding="utf-8"))}
    assert [name for name in sorted(names) if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("page", READ, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page):
    links = re.findall(r"\]\((?!https?:)([^)#]+)(?:#([^)]+))?\)", page.read_text(encoding="utf-8"))
    for target, anchor in links:
        linked = page.parent / target
        assert linked.is_file(), target
        if anchor:
            heads = re.findall(r"^#+ (.+)$", linked.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", head).lower().replace(" ", "-") for head in heads}


def test_the_readme_leads_to_every_page():
    linked = set(re.findall(r"\(docs/([\w-]+\.md)\)", (ROOT / "README.md").read_text(encoding="utf-8")))
    assert {page.name for page in PAGES} <= linked
