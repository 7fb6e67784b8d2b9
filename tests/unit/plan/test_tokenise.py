"""Curated texts to token rows that end in EOS."""

import numpy as np
import pytest
from transformers import AutoTokenizer

from f2llm.config.build import build
from f2llm.config.tokens import Tokens
from f2llm.config.train import TrainedModel
from f2llm.plan.tokenise import tokenise_source
from f2llm.records.errors import InputError
from f2llm.records.files import read_json, write_json
from f2llm.records.ids import doc_id
from f2llm.records.ragged import Rows

EOS = 0
PASSAGES = ["the river", "a stone", "the piano is a very long instrument " * 5]
QUERIES = [("where", [2, 0]), ("what is it", [1])]


def tokenise(toy, backbone, folder, *, stanza=None, limits=(40, 12)):
    return tokenise_source(
        corpus=folder / "corpus.parquet", queries=folder / "queries.parquet", tokenizer_folder=backbone,
        folder=folder / "tokens", source="pairs", instruction="Solve {it}.", backbone=build(TrainedModel, stanza or toy.model_stanza()),
        settings=Tokens(query_max_length=limits[0], passage_max_length=limits[1]),
    )  # fmt: skip


@pytest.fixture
def curated(toy, tmp_path):
    corpus, queries = toy.write_curated(tmp_path, passages=PASSAGES, queries=QUERIES)
    return tmp_path, corpus, queries


def rows(folder, name):
    found = Rows(folder / "tokens" / name)
    return [found[place].tolist() for place in range(len(found))]


def test_rows_are_those_of_the_tables_and_read_back_as_the_texts(toy, backbone, curated):
    folder, corpus, queries = curated
    counts = tokenise(toy, backbone, folder)
    tokenizer = AutoTokenizer.from_pretrained(backbone)
    whole = [row for row in rows(folder, "passages") if len(row) < 12]
    assert sorted(tokenizer.decode(row) for row in whole) == ["a stone<eos>", "the river<eos>"]
    prompted = [f"Instruct: Solve {{it}}.\nQuery: {row['text']}<eos>" for row in queries]
    assert [tokenizer.decode(row) for row in rows(folder, "queries")] == prompted
    assert (counts["passages_rows"], counts["queries_rows"]) == (3, 2)


def test_eos_survives_truncation_and_cut_rows_are_counted(toy, backbone, curated):
    folder, corpus, _ = curated
    counts = tokenise(toy, backbone, folder)
    lengths = [len(row) for row in rows(folder, "passages")]
    assert max(lengths) == 12
    assert all(row[-1] == EOS and row.count(EOS) == 1 for row in rows(folder, "passages"))
    assert (counts["passages_truncated"], counts["queries_truncated"]) == (1, 0)
    assert counts["passages_tokens"] == sum(lengths)


def test_a_text_that_just_fits_is_not_cut(toy, backbone, curated):
    folder, _, _ = curated
    tokenise(toy, backbone, folder, limits=(200, 200))
    longest = max(len(row) for row in rows(folder, "passages"))
    assert tokenise(toy, backbone, folder, limits=(200, longest))["passages_truncated"] == 0
    assert tokenise(toy, backbone, folder, limits=(200, longest - 1))["passages_truncated"] == 1


def test_positives_are_rows_of_the_corpus(toy, backbone, curated):
    folder, corpus, queries = curated
    tokenise(toy, backbone, folder)
    row_of = {row["doc_id"]: number for number, row in enumerate(corpus)}
    assert rows(folder, "positives") == [sorted(row_of[found] for found in row["positives"]) for row in queries]


def test_a_positive_outside_the_corpus_is_refused_by_query(toy, backbone, tmp_path):
    _, queries = toy.write_curated(tmp_path, passages=PASSAGES, queries=QUERIES)
    toy.write_curated(tmp_path / "other", passages=PASSAGES[:2], queries=[])
    (tmp_path / "other" / "corpus.parquet").rename(tmp_path / "corpus.parquet")
    lost = next(row for row in queries if doc_id(PASSAGES[2]) in row["positives"])
    with pytest.raises(InputError, match=lost["query_id"].hex()):
        tokenise(toy, backbone, tmp_path)


def test_meta_says_what_was_made_of_what(toy, backbone, curated):
    folder, _, _ = curated
    tokenise(toy, backbone, folder)
    meta = read_json(folder / "tokens" / "meta.json")
    assert meta["eos_token_id"] == EOS
    assert (meta["values"], meta["offsets"]) == ("<i4", "<i8")
    assert meta["passages"]["max_length"] == 12
    assert set(meta["files"]) == {f"{n}.{s}" for n in ("passages", "queries", "positives") for s in ("bin", "offsets")}
    assert np.fromfile(folder / "tokens/queries.offsets", "<i8")[-1] == meta["queries"]["tokens"]


@pytest.mark.parametrize("letters", [True, False])
def test_rows_with_control_tokens_are_counted_by_token_and_read_as_the_model_folder_says(toy, tmp_path, letters):
    model = toy.write_backbone(tmp_path / "model")
    settings = read_json(model / "tokenizer_config.json")
    write_json(model / "tokenizer_config.json", settings | {"split_special_tokens": letters})
    texts = ["a <eos> in it", "<eos> and <pad>", "<eos><eos>", "none"]
    toy.write_curated(tmp_path, passages=texts, queries=[("what is <pad>", [0])])
    counts = tokenise(toy, model, tmp_path, limits=(90, 30))
    assert (counts["passages_control_tokens"], counts["queries_control_tokens"]) == (3, 1)
    meta = read_json(tmp_path / "tokens" / "meta.json")
    assert meta["control_tokens"] == {
        "read_as": "letters" if letters else "tokens",
        "rows": {"passages": {"<eos>": 3, "<pad>": 1}, "queries": {"<pad>": 1}},
    }
    inside = sum(EOS in row[:-1] for row in rows(tmp_path, "passages"))
    assert inside == (0 if letters else 3)


def test_a_tokenizer_without_eos_is_refused(toy, curated, tmp_path):
    without = toy.write_backbone(tmp_path / "without", eos=False)
    with pytest.raises(InputError, match="does not end in EOS"):
        tokenise(toy, without, curated[0])


@pytest.mark.parametrize(("change", "said"), [({"append_eos": False}, "append_eos"), ({"pooling": "mean"}, "pooling")])
def test_a_backbone_that_is_not_pooled_at_eos_is_refused(toy, backbone, curated, change, said):
    with pytest.raises(InputError, match=said):
        tokenise(toy, backbone, curated[0], stanza=toy.model_stanza(**change))


def test_empty_tables_give_empty_rows(toy, backbone, tmp_path):
    toy.write_curated(tmp_path, passages=[], queries=[])
    counts = tokenise(toy, backbone, tmp_path)
    assert (counts["passages_rows"], counts["queries_rows"]) == (0, 0)
