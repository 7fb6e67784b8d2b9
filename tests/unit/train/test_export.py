"""The exported folder: three ways to load it, one vector."""

import dataclasses
from collections import Counter

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file

from f2llm.config.rights import Barred
from f2llm.models.network import encode_packed, load_packed
from f2llm.models.packing import pack
from f2llm.records.files import read_json, sha256_path
from f2llm.records.ragged import Rows
from f2llm.runs.run_file import read_run_file
from f2llm.train.card import model_card
from f2llm.train.export import GENERIC_INSTRUCTION, export_model

TEXTS = ["the river", "a stone is here and there and everywhere", "x"]


@pytest.fixture(scope="module")
def exported(toy, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported")
    run = read_run_file(toy.plan_toy(folder))
    model = load_packed(run.backbone_folder)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.01)
    export_model(model.state_dict(), run=run, identity={"plan": "abc"}, folder=folder / "out")
    return folder, run, model


def test_the_card_names_the_sources_that_the_licence_policy_keeps_out(exported):
    _, run, _ = exported
    barred = (Barred(name="news", reason="licence CC-BY-NC-4.0, commercial use: no"),)
    settings = dataclasses.replace(run.settings, barred=barred)
    facts = {"width": 8, "letters": True, "older_fault": ""}
    card = model_card(dataclasses.replace(run, settings=settings), **facts)
    assert "licence policy: news (licence CC-BY-NC-4.0, commercial use: no)." in card
    assert "licence policy" not in model_card(run, **facts)


def test_the_card_names_the_sources_that_were_skipped_with_their_reasons(exported):
    _, run, _ = exported
    facts = {"width": 8, "letters": True, "older_fault": ""}
    left_out = {"bioasq": "HTTP 404 |\nhf_0123456789abc", "paq": "no rows"}
    card = model_card(dataclasses.replace(run, left_out=left_out), **facts)
    assert "The run went on without these sources: bioasq (HTTP 404 / [withheld]); paq (no rows)." in card
    assert "went on without" not in model_card(run, **facts)


def unit(vectors):
    return torch.nn.functional.normalize(vectors, dim=-1)


@pytest.mark.parametrize("prompt", [None, "query", "pairs"])
def test_sentence_transformers_transformers_and_the_trainer_agree(exported, prompt):
    from sentence_transformers import SentenceTransformer
    from transformers import AutoModel, AutoTokenizer

    folder, _, trained = exported
    sentence = SentenceTransformer(str(folder / "out"), device="cpu")
    plain, tokenizer = AutoModel.from_pretrained(folder / "out"), AutoTokenizer.from_pretrained(folder / "out")
    texts = [sentence.prompts[prompt] + text if prompt else text for text in TEXTS]
    tokens = tokenizer(texts, padding=True, truncation=True, max_length=sentence.max_seq_length, return_tensors="pt")
    lengths = tokens["attention_mask"].sum(1)
    ids = [row[:length] for row, length in zip(tokens["input_ids"], lengths, strict=True)]
    assert all(row[-1] == tokenizer.eos_token_id for row in ids)
    with torch.inference_mode():
        pooled = plain(**tokens).last_hidden_state[torch.arange(len(texts)), lengths - 1]
        packed = encode_packed(trained, pack([row.numpy() for row in ids]))
    encoded = torch.from_numpy(sentence.encode(TEXTS, prompt_name=prompt))
    torch.testing.assert_close(unit(pooled), unit(packed), atol=1e-5, rtol=0)
    torch.testing.assert_close(encoded, unit(packed), atol=1e-5, rtol=0)


def test_a_training_query_and_its_prompted_text_have_the_same_tokens(exported):
    from sentence_transformers import SentenceTransformer

    folder, run, _ = exported
    sentence = SentenceTransformer(str(folder / "out"), device="cpu")
    queries = Rows(folder / "tokens" / "pairs" / "queries")
    row = next(queries[place] for place in range(len(queries)))
    text = sentence.tokenizer.decode(row, skip_special_tokens=True).removeprefix(sentence.prompts["pairs"])
    assert sentence.tokenizer(sentence.prompts["pairs"] + text)["input_ids"] == row.tolist()


def test_texts_are_cut_to_the_trained_length_and_still_end_in_eos(exported):
    from sentence_transformers import SentenceTransformer

    sentence = SentenceTransformer(str(exported[0] / "out"), device="cpu")
    assert sentence.max_seq_length == 40
    features = sentence.preprocess(["river " * 100])
    assert features["input_ids"].shape == (1, 40)
    assert features["input_ids"][0, -1] == sentence.tokenizer.eos_token_id


def test_weights_are_float32_under_the_names_of_the_backbone(exported):
    folder, run, model = exported
    stored = load_file(folder / "out" / "model.safetensors")
    assert stored.keys() == load_file(f"{run.backbone_folder}/model.safetensors").keys()
    assert all(torch.equal(stored[name], tensor) for name, tensor in model.state_dict().items())
    assert {tensor.dtype for tensor in stored.values()} == {torch.float32}


def test_prompts_are_those_of_the_sources_a_generic_one_and_none_for_passages(exported):
    prompts = read_json(exported[0] / "out" / "config_sentence_transformers.json")["prompts"]
    assert prompts == {
        "query": f"Instruct: {GENERIC_INSTRUCTION}\nQuery: ",
        "document": "",
        "pairs": "Instruct: Solve pairs.\nQuery: ",
        "kinds": "Instruct: Solve kinds.\nQuery: ",
        "topics": "Instruct: Solve topics.\nQuery: ",
    }


def test_the_card_lists_every_source_with_its_licence_and_what_of_it_was_trained_on(exported):
    folder, run, _ = exported
    slots = pq.read_table(next(folder.rglob("plan.parquet")), columns=["source"])["source"].to_pylist()
    assert Counter({source.name: source.planned for source in run.sources}) == Counter(slots)
    card = (folder / "out" / "README.md").read_text()
    assert f"| pairs | retrieval | 12 | {slots.count('pairs')} | CC0-1.0 | yes | made / up |" in card
    assert "license: cc0-1.0" in card
    assert "Of 3 sources, 0 do not clearly allow commercial use." in card
    assert read_json(exported[0] / "out" / "f2llm.json")["digests"] == {"plan": "abc"}


def test_both_versions_of_transformers_find_the_rotary_base_and_the_card_says_so(exported):
    config = read_json(exported[0] / "out" / "config.json")
    assert config["rope_theta"] == config["rope_parameters"]["rope_theta"]
    assert "read the same in transformers 4.57" in (exported[0] / "out" / "README.md").read_text()


def test_the_card_of_a_model_that_version_4_cannot_read_names_the_version(exported):
    card = model_card(exported[1], width=8, letters=True, older_fault="it is scaled by 'proportional'")
    assert "for transformers 5" in card and "it is scaled by 'proportional'." in card


def test_exporting_again_gives_the_same_bytes(exported):
    folder, run, model = exported
    export_model(model.state_dict(), run=run, identity={"plan": "abc"}, folder=folder / "again")
    assert sha256_path(folder / "again") == sha256_path(folder / "out")


def test_a_tokenizer_that_pads_with_eos_keeps_its_eos(toy, tmp_path):
    from sentence_transformers import SentenceTransformer
    from transformers import AutoTokenizer

    backbone = toy.write_backbone(tmp_path / "model")
    tokenizer = AutoTokenizer.from_pretrained(backbone)
    tokenizer.pad_token = tokenizer.eos_token
    tokenizer.save_pretrained(backbone)
    run = read_run_file(toy.plan_toy(tmp_path))
    model = load_packed(run.backbone_folder)
    export_model(model.state_dict(), run=run, identity={}, folder=tmp_path / "out")
    ids = [tokenizer(text)["input_ids"] for text in TEXTS]
    with torch.inference_mode():
        packed = unit(encode_packed(model, pack([np.array(row, np.int32) for row in ids])))
    encoded = torch.from_numpy(SentenceTransformer(str(tmp_path / "out"), device="cpu").encode(TEXTS))
    torch.testing.assert_close(encoded, packed, atol=1e-5, rtol=0)
    assert (packed @ packed.T - torch.eye(3)).abs().max() < 0.999  # three texts, three vectors
