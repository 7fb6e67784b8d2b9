from f2llm.config.ablations import Change, changed_config, changes_of, names_of_changed

CONFIG = {
    "run": "toy", "sources": ["a", "b", "c"], "train": {"steps": 4, "seed": 1}, "ablate": "leave_one_source_out",
    "compare": {"a": "theirs"}, "audit": {"mine": {"path": "data"}},
}  # fmt: skip


def test_each_source_is_left_out_once():
    found = changes_of("leave_one_source_out", sources=["a", "b"])
    assert found == (Change(name="without-a", set={"sources": ["b"]}), Change(name="without-b", set={"sources": ["a"]}))


def test_a_list_of_changes_is_taken_as_it_is_and_none_is_none():
    assert changes_of([{"name": "long", "set": {"train": {"steps": 9}}}], sources=["a"]) == (
        Change(name="long", set={"train": {"steps": 9}}),
    )
    assert changes_of(None, sources=["a"]) == ()


def test_a_change_leaves_all_else_as_it_is():
    changed = changed_config(CONFIG, Change(name="long", set={"train": {"steps": 9}}))
    assert changed == {"run": "toy-long", "sources": ["a", "b", "c"], "train": {"steps": 9, "seed": 1}}
    assert CONFIG["train"] == {"steps": 4, "seed": 1}


def test_changed_runs_are_named_after_the_run_and_the_change():
    assert names_of_changed(CONFIG) == ["toy-without-a", "toy-without-b", "toy-without-c"]
    assert names_of_changed({"run": "toy", "sources": ["a"]}) == []
