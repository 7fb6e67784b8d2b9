import pytest

from f2llm.config.exclusions import Exclusion, add_exclusions, of_source, read_exclusions
from f2llm.records.errors import InputError

ROW = Exclusion(source="toy", reason="asked for", file="a.jsonl", row=3)
TEXT = Exclusion(source="toy", reason="personal data", id="0" * 32)
WHOLE = Exclusion(source="other", reason="licence withdrawn")


def test_no_file_excludes_nothing(tmp_path):
    assert read_exclusions(tmp_path / "exclude.yaml") == ()


def test_what_is_added_is_read_again_once_and_comments_stay(tmp_path):
    path = tmp_path / "exclude.yaml"
    path.write_text("# by order of the court\n")
    assert add_exclusions(path, [ROW, TEXT, ROW]) == 2
    assert add_exclusions(path, [WHOLE, TEXT]) == 1
    assert read_exclusions(path) == (ROW, TEXT, WHOLE)
    assert path.read_text().startswith("# by order of the court\n")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- {source: toy}", "reason"),
        ("- {source: toy, reason: r, row: 3}", "file"),
        ("- {source: toy, reason: r, id: xyz}", "id"),
        ("- {source: toy, reason: r, text: secret}", "text"),
        ("source: toy", "array|list"),
    ],
)
def test_faults_are_named(tmp_path, text, said):
    (tmp_path / "exclude.yaml").write_text(text)
    with pytest.raises(InputError, match=said):
        read_exclusions(tmp_path / "exclude.yaml")


def test_what_decides_the_tables_of_a_source_is_not_the_reason():
    kept = of_source([ROW, TEXT, WHOLE], "toy")
    assert [(one["file"], one["row"], one["id"], one["reason"]) for one in kept] == [
        ("a.jsonl", 3, "", ""),
        ("", None, "0" * 32, ""),
    ]
    assert of_source([ROW, TEXT, WHOLE], "other") == []
