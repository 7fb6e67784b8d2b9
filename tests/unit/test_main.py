"""What the command line says and refuses before any verb begins, and that no job runs it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from f2llm.__main__ import main

ROOT = Path(__file__).parents[2]
# One block a call: "$ f2llm VERB --help", then what it prints on a terminal of 100 columns.
HELP = Path(__file__).with_name("help.txt").read_text(encoding="utf-8")
CALLS = re.findall(r"^\$ f2llm (.+)\n((?:(?!\$ ).*\n)+)", HELP, re.MULTILINE)


@pytest.mark.parametrize(("arguments", "text"), CALLS, ids=[arguments for arguments, _ in CALLS])
def test_help_of_every_verb_is_as_users_know_it(capsys, monkeypatch, arguments, text):
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit, match="0"):
        main(arguments.split())
    assert capsys.readouterr().out.strip() == text.strip()


def test_every_verb_has_its_help_in_the_same_order():
    verbs = re.findall(r"^    ([a-z-]+)(?=\s)", CALLS[0][1], re.MULTILINE)
    assert [f"{verb} --help" for verb in verbs] == [arguments for arguments, _ in CALLS[1:]]
    assert len(verbs) == 17


def test_help_loads_the_verbs_alone():
    code = (
        "import sys, f2llm.__main__ as command; command._parser()\n"
        "print(*sorted(name for name, module in sys.modules.items() if name.startswith('f2llm.') and module.__file__.endswith('.py')))\n"
        "print(*{'torch', 'transformers', 'faiss', 'mteb', 'duckdb', 'numpy', 'pyarrow'} & set(sys.modules))"
    )
    printed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    loaded, heavy = printed.split("\n")[:2]
    packages = {"estimate", "jobs", "lineage", "publish", "report", "sources", "vectors"}
    # The rates that `estimate --help` shows are constants in a module that imports nothing.
    own = {"f2llm.__main__", "f2llm.records", "f2llm.records.errors", "f2llm.estimate.rates"} | {
        f"f2llm.{name}{part}" for name in packages for part in ("", ".verbs")
    }
    assert (set(loaded.split()), heavy) == (own, "")


def test_no_job_and_no_planning_has_the_command_line_in_its_code():
    folders = [file for folder in ("f2llm", "rules", "workflow") for file in (ROOT / folder).rglob("*")]
    code = [path for path in [ROOT / "Snakefile", *folders] if path.suffix in ("", ".py", ".smk") and path.is_file()]
    doors = [path for path in code if re.search(r"import verbs\b|\.verbs\b|f2llm\.__main__", path.read_text())]
    assert {path.relative_to(ROOT / "f2llm") for path in doors} == {Path("__main__.py"), Path("estimate/verbs.py")}


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["estimate", "--tflops", "0"], "--tflops: '0' is no number above 0"),
        (["estimate", "--tflops=-3"], "--tflops: '-3' is no number above 0"),
        (["estimate", "--tflops", "nan"], "--tflops: 'nan' is no number above 0"),
        (["estimate", "--efficiency", "0"], "--efficiency: '0' is no number above 0"),
        (["estimate", "--efficiency", "45"], "--efficiency: '45' is above 1, a share is not"),
        (["status", "--every=-1"], "--every: '-1' is no number above 0"),
        (["status", "--every", "often"], "--every: 'often' is no number above 0"),
    ],
)
def test_numbers_that_mean_nothing_are_refused(capsys, arguments, what):
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert what in capsys.readouterr().err
