from f2llm.records.files import read_json, write_json
from f2llm.report.sections.map import map_tables, read_map
from f2llm.runs.gaps import Gaps
from f2llm.runs.layout import read_layout


def read(results):
    gaps = Gaps(results)
    return read_map(read_layout(results, run="toyrun"), gaps=gaps), gaps.notes


def test_every_sampled_text_has_a_place_and_the_places_are_centred(results):
    found, notes = read(results)
    assert notes == {}
    assert sorted(point.role for point in found.points) == ["passage"] * 3 + ["query"] * 2
    assert abs(sum(point.x for point in found.points)) < 1e-3
    assert 0 < found.explained <= 1


def test_the_map_is_the_same_every_time(results):
    assert read(results)[0].points == read(results)[0].points


def test_a_source_alone_has_no_nearest_source(results):
    (row,) = map_tables(read(results)[0])["neighbours"].rows
    assert row[0] == "toy" and row[1] == 5 and 0 < row[2] <= 1
    assert row[3:] == ("", None)


def test_a_source_whose_negatives_need_no_retriever_is_not_on_the_map(results):
    path = results / "vectors/v-1/c-1/toy.json"
    write_json(path, {"source": "toy", "passages": 0, "queries": 0})
    assert read(results) == (None, {})


def test_texts_are_looked_up_as_the_retriever_read_them(results):
    path = results / "vectors/v-1/c-1/toy.json"
    write_json(path, read_json(path) | {"query_prompt": "query: "})
    found, notes = read(results)
    assert found is None
    assert "2 of 2 vectors are not there" in notes[""][0]
