"""A finished run is read out of its run.json, also one of a version that wrote less into it."""

import pytest

from f2llm.records.errors import InputError
from f2llm.records.files import read_json, write_json
from f2llm.runs.layout import read_layout


def test_settings_that_only_training_reads_may_be_of_any_version(results):
    path = results / "runs/toyrun/run.json"
    content = read_json(path)
    write_json(path, content | {"settings": content["settings"] | {"curate": {"unheard": 1}}, "unheard": 2})
    layout = read_layout(results, run="toyrun")
    assert [source.name for source in layout.sources] == ["toy"]
    assert (layout.backbone.name, layout.retriever.name, layout.mine.window) == ("base", "finder", 10)
    assert layout.curated("toy") == results / "curated/c-1/toy"
    assert layout.content["settings"]["curate"] == {"unheard": 1}


@pytest.mark.parametrize("lost", ["mine", "backbone", "sources"])
def test_a_run_without_what_readers_need_is_of_another_version(results, lost):
    path = results / "runs/toyrun/run.json"
    content = read_json(path)
    del content["settings"][lost]
    write_json(path, content)
    with pytest.raises(InputError, match=f"KeyError: '{lost}'.*made by another version"):
        read_layout(results, run="toyrun")
