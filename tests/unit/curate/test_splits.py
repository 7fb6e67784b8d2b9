import pytest

from f2llm.curate.splits import check_splits
from f2llm.records.errors import InputError
from f2llm.records.files import read_json


@pytest.fixture
def check(tmp_path, write_query_rows):
    def run(sources, curated, scored=("a",)):
        for folder, tables in (("raw", sources), ("curated", curated)):
            (tmp_path / folder).mkdir(exist_ok=True)
            for name, rows in tables.items():
                write_query_rows(tmp_path / folder / name, rows)
        return check_splits(
            queries={name: tmp_path / "raw" / name for name in sources},
            curated={name: tmp_path / "curated" / name for name in curated},
            scored=scored, in_part=tuple(curated), output=tmp_path / "splits.json", memory_mb=100,
        )  # fmt: skip

    return run


def test_clean_splits_are_counted(check, query, tmp_path):
    a = [query("one", group="x"), query("two", group="y", split="test")]
    counts = check({"a": a, "b": a[:1]}, {"a": a[:1]})
    assert counts == read_json(tmp_path / "splits.json")
    assert (counts["queries"], counts["curated_queries"], counts["held_out_queries"]) == (3, 1, 1)


def test_a_group_in_two_splits_of_a_source_is_named(check, query, tmp_path):
    rows = [query("one", group="x"), query("two", group="x", split="test")]
    with pytest.raises(InputError, match=r"a: group 'x' lies in several splits \(a test, a train\)"):
        check({"a": rows}, {"a": rows[:1]})
    assert not (tmp_path / "splits.json").exists()


def test_a_group_in_two_splits_across_sources_is_named(check, query):
    a, b = [query("one", group="x")], [query("two", group="x", split="dev")]
    with pytest.raises(InputError, match=r"group 'x' lies in several splits \(a train, b dev\)"):
        check({"a": a, "b": b}, {"a": a})


def test_a_training_query_equal_to_a_scored_one_is_named(check, query):
    a, b = [query("One", group="x", split="test")], [query("one", group="y")]
    with pytest.raises(InputError, match="b: a training query of group 'y' equals a held-out query of a"):
        check({"a": a, "b": b}, {"b": b})
    check({"a": a, "b": b}, {"b": b}, scored=("b",))


def test_of_a_source_never_trained_on_all_rows_are_held_out(check, query):
    a, b = [query("One", group="x")], [query("one", group="y")]
    with pytest.raises(InputError, match="equals a held-out query of a"):
        check({"a": a, "b": b}, {"b": b})
    with pytest.raises(InputError, match="of split test is among the curated queries"):
        check({"b": b}, {"b": [query("two", split="test", group="t")]}, scored=("b",))
