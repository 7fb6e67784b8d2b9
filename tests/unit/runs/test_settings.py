from f2llm.runs.settings import flat, unequal_settings


def test_settings_that_differ_in_any_run_are_named_and_of_a_source_that_a_run_lacks_none():
    runs = [
        {"run": "a", "seed": 1, "sources": [{"name": "toy", "cap": 1}, {"name": "news", "cap": 1}]},
        {"run": "b", "seed": 1, "sources": [{"name": "toy", "cap": 2}]},
        {"run": "c", "seed": 2, "sources": [{"name": "toy", "cap": 1}]},
    ]
    assert unequal_settings([dict(flat(run)) for run in runs]) == ["seed", "sources.toy.cap"]
    assert unequal_settings([dict(flat(runs[0]))]) == []
