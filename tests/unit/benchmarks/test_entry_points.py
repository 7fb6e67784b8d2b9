"""Every benchmark can be found: in docs/benchmarks.md with its command and its result."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
DOCUMENTED = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")


def test_docs_name_every_entry_point_and_every_result():
    files = [path for path in (ROOT / "benchmarks").rglob("*.py") if 'if __name__ == "__main__"' in path.read_text()]
    modules = {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in files}
    assert set(re.findall(r"^\| `python -m (benchmarks\.\w+\.\w+)`", DOCUMENTED, re.MULTILINE)) == modules
    results = {path.name for path in (ROOT / "benchmarks" / "results").iterdir()}
    assert set(re.findall(r"`([a-z-]+\.json)`", DOCUMENTED.split("\n## ")[0])) == results
