"""What YAML passes over or reads as something else is refused, with its line."""

import pytest

from f2llm.records.errors import InputError
from f2llm.records.yaml_files import read_yaml, unread_number, value_of_text, yaml_faults


@pytest.fixture
def faults(tmp_path):
    def faults_of(text: str) -> list[str]:
        path = tmp_path / "c.yaml"
        path.write_text(text)
        return [fault.removeprefix(f"{path}: ") for fault in yaml_faults(path)]

    return faults_of


def test_keys_that_stand_twice_are_refused_with_both_lines_all_at_once(faults):
    text = "seed: 1\ntrain:\n  steps: 2\n  'steps': 3\ntasks: [{a: 1, b: 2, a: 3}]\nseed: 7\n"
    assert faults(text) == [
        "line 4: train.steps: stands here a second time, first in line 3; keep one of the two",
        "line 5: tasks.0.a: stands here a second time, first in line 5; keep one of the two",
        "line 6: seed: stands here a second time, first in line 1; keep one of the two",
    ]


def test_anchors_and_merge_keys_stay(tmp_path):
    (tmp_path / "c.yaml").write_text("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: *a\nd: {<<: *a, <<: {z: 4}}\n")
    content = read_yaml(tmp_path / "c.yaml")
    assert content["b"] == {"x": 1, "y": 3}
    assert content["c"] == content["a"]


def test_what_looks_like_text_or_like_another_number_is_to_be_quoted(faults):
    assert faults("a: 010\nb: [1:30, 2024-01-02]\nyes: 1\n7: x\n~: y\n") == [
        "line 1: a: 010 is read as the number 8; write that number, or put it in quotation marks if it is a text",
        "line 2: b.0: 1:30 is read as the number 90; write that number, or put it in quotation marks if it is a text",
        "line 2: b.1: 2024-01-02 is read as a date; put it in quotation marks",
        "line 3: yes: the key yes is not read as text; put it in quotation marks",
        "line 4: 7: the key 7 is not read as text; put it in quotation marks",
        "line 5: ~: the key ~ is not read as text; put it in quotation marks",
    ]
    assert faults("a: '010'\n'no': 0\nb: 0\nc: 0.5\nd: '2024-01-02'\ne: 100\n") == []


def test_a_file_that_is_not_yaml_is_named_with_its_line(tmp_path):
    (tmp_path / "c.yaml").write_text("a: [1\nb: 2\n")
    with pytest.raises(InputError, match=r"c\.yaml: not valid YAML.*line 2"):
        read_yaml(tmp_path / "c.yaml")


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"a: \xff\n", "not UTF-8"), (b"a: \x00\n", "not valid YAML"), (b"? [a]\n: 1\n", "not read as text")],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path, content, said):
    (tmp_path / "c.yaml").write_bytes(content)
    with pytest.raises(InputError, match=f"c.yaml: .*{said}"):
        read_yaml(tmp_path / "c.yaml")


def test_a_number_that_yaml_reads_as_text_has_a_spelling_that_it_reads_as_a_number():
    for text in ("1e-5", "1.0e5", "-12e+3", ".5e3", "5.e3", "125e-7"):
        assert value_of_text(unread_number(text)) == float(text)
    assert unread_number("1.0e-5x") is None


def test_only_numbers_truth_values_and_nothing_are_values_of_a_text():
    assert [value_of_text(text) for text in ("3", "-0.5", "true", "null")] == [3, -0.5, True, None]
    assert [value_of_text(text) for text in ("[1]", "{a: 1}", "2024-01-02", "a: b: c", "adam")] == [
        "[1]", "{a: 1}", "2024-01-02", "a: b: c", "adam",
    ]  # fmt: skip
