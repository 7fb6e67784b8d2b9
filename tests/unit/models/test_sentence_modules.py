import json
import logging

import pytest
import torch
from safetensors.torch import load_file, save_file

from f2llm.models.sentence_modules import check_modules, store_dense
from f2llm.records.errors import InputError

MODULES = [("Transformer", ""), ("Pooling", "1_Pooling"), ("Dense", "2_Dense"), ("Normalize", "3_Normalize")]


def write_modules(folder, modules=MODULES):
    listed = [{"idx": at, "path": path, "type": f"a.{kind}"} for at, (kind, path) in enumerate(modules)]
    (folder / "modules.json").write_text(json.dumps(listed))


def write_dense(folder, path="2_Dense", *, width=4, out=3, bias=True, **config):
    (folder / path).mkdir()
    (folder / path / "config.json").write_text(json.dumps({"activation_function": "torch.nn.Tanh"} | config))
    tensors = {"linear.weight": torch.ones(out, width, dtype=torch.bfloat16)}
    save_file(tensors | ({"linear.bias": torch.zeros(out)} if bias else {}), folder / path / "model.safetensors")


def store(folder, width=4):
    modules = check_modules(folder, pooling="mean", where="model x")
    out = folder / "out"
    out.mkdir()
    return store_dense(folder, modules, out, width=width, where="model x")


def test_dense_layers_are_stored_in_order_in_float32(tmp_path):
    write_modules(tmp_path, [*MODULES[:3], ("Dense", "3_Dense")])
    write_dense(tmp_path)
    write_dense(tmp_path, "3_Dense", width=3, out=5, bias=False, activation_function=None)
    assert store(tmp_path) == 5
    assert json.loads((tmp_path / "out/dense.json").read_text()) == {
        "dim": 5,
        "layers": [{"activation": "Tanh", "in": 4, "out": 3}, {"activation": "Identity", "in": 3, "out": 5}],
    }
    weights = load_file(tmp_path / "out/dense.safetensors")
    assert {name: tuple(tensor.shape) for name, tensor in weights.items()} == {
        "0.weight": (3, 4), "0.bias": (3,), "1.weight": (5, 3),
    }  # fmt: skip
    assert weights["0.weight"].dtype is torch.float32


def test_a_model_without_dense_layers_gets_no_files(tmp_path):
    assert store(tmp_path) == 4
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize(
    ("modules", "fault"),
    [
        ([*MODULES[:2], ("LSTM", "2_LSTM")], "its vectors go through LSTM, which is not supported"),
        ([*MODULES[:2], MODULES[3], MODULES[2]], "Transformer, Pooling, Normalize, Dense is an order that is not"),
        ([*MODULES[:2], ("Dense", "../2_Dense")], "model x: modules.json"),
    ],
)
def test_other_modules_other_orders_and_foreign_folders_are_refused(tmp_path, modules, fault):
    write_modules(tmp_path, modules)
    with pytest.raises(InputError, match=fault):
        check_modules(tmp_path, pooling="mean", where="model x")


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"width": 5}, r"linear\.weight is \[3, 5\], it is to read 4 numbers"),
        ({"activation_function": "os.system"}, "activation system, .* is not supported"),
        ({"use_residual": True}, "residual True"),
        ({"module_input_name": "token_embeddings"}, "from token_embeddings"),
    ],
)
def test_a_layer_that_cannot_be_run_as_it_is_meant_is_refused(tmp_path, changes, fault):
    write_modules(tmp_path)
    write_dense(tmp_path, **changes)
    with pytest.raises(InputError, match=rf"model x: 2_Dense.*{fault}"):
        store(tmp_path)


def test_files_that_are_not_there_and_pickles_are_told_apart(tmp_path):
    write_modules(tmp_path)
    (tmp_path / "2_Dense").mkdir()
    with pytest.raises(InputError, match="there is no config.json and no model.safetensors; add them to `files`"):
        store(tmp_path)
    (tmp_path / "out").rmdir()
    (tmp_path / "2_Dense/pytorch_model.bin").write_bytes(b"")
    with pytest.raises(InputError, match="only pickled weights"):
        store(tmp_path)


@pytest.mark.parametrize(("own", "noted"), [("cls", True), ("mean", False)])
def test_a_pooling_that_is_not_the_models_own_is_noted(tmp_path, caplog, own, noted):
    write_modules(tmp_path, MODULES[:2])
    (tmp_path / "1_Pooling").mkdir()
    key = {"cls": "pooling_mode_cls_token", "mean": "pooling_mode_mean_tokens"}[own]
    (tmp_path / "1_Pooling/config.json").write_text(json.dumps({key: True}))
    with caplog.at_level(logging.WARNING):
        check_modules(tmp_path, pooling="mean", where="model x")
    assert ("the model's own is cls" in caplog.text) is noted
