"""Low-rank additions: they start as nothing, train alone, and merge into the backbone's own weights."""

import pytest
import torch

from f2llm.config.train import Lora
from f2llm.models.network import encode_packed, load_packed
from f2llm.models.packing import pack
from f2llm.records.errors import InputError
from f2llm.runs.run_file import read_run_file
from f2llm.train.trainable import add_lora, load_backbone, merged

LORA = Lora(rank=2, alpha=6.0, targets=("q_proj", "o_proj", "down_proj"))


def vectors(model):
    import numpy as np

    with torch.no_grad():
        return encode_packed(model, pack([np.array([2, 3, 0], np.int32), np.array([5, 0], np.int32)]))


@pytest.fixture
def adapted(backbone):
    model = load_packed(backbone)
    add_lora(model, LORA, seed=0)
    return model


def test_additions_start_as_nothing_and_are_all_that_trains(adapted, backbone):
    # To the bit: products of the same shapes, to which zeros are added.
    assert torch.equal(vectors(adapted), vectors(load_packed(backbone)))
    trained = {name for name, parameter in adapted.named_parameters() if parameter.requires_grad}
    assert len(trained) == 2 * 2 * 3  # two factors, two layers, three targets
    assert all(".lora_" in name for name in trained)


def test_the_seed_alone_decides_how_they_start(backbone):
    states = []
    for seed in (0, 0, 1):
        model = load_packed(backbone)
        torch.manual_seed(len(states))
        before = torch.get_rng_state()
        add_lora(model, LORA, seed=seed)
        assert torch.equal(before, torch.get_rng_state())
        states.append(torch.cat([p.flatten() for name, p in model.named_parameters() if "lora_A" in name]))
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])


def test_merged_weights_give_the_vectors_of_the_adapted_model(adapted, backbone, float64):
    adapted, plain, generator = adapted.double(), load_packed(backbone).double(), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.normal_(generator=generator)
    with float64.Float64():
        before = vectors(plain)
        whole = merged(adapted.state_dict(), LORA)
        assert whole.keys() == plain.state_dict().keys()
        plain.load_state_dict(whole)
        float64.assert_same(vectors(plain), vectors(adapted))
        assert (before - vectors(plain)).norm() > 1e-2 * before.norm()


def test_without_lora_weights_are_merged_as_they_are(backbone):
    state = load_packed(backbone).state_dict()
    assert merged(state, None) == state


def test_an_unknown_target_is_refused_with_those_there_are(toy, tmp_path):
    run = toy.plan_toy(tmp_path, lora={"rank": 1, "alpha": 1, "targets": ["query", "up_proj"]})
    with pytest.raises(InputError, match="targets: query fits no linear layer; this backbone has .*up_proj"):
        load_backbone(read_run_file(run))


def test_more_dimensions_than_the_model_has_are_refused(toy, tmp_path):
    run = toy.plan_toy(tmp_path, matryoshka=[{"dimensions": 33, "weight": 1}, {"dimensions": 32, "weight": 1}])
    with pytest.raises(InputError, match="matryoshka wants 33 dimensions, the model has 32"):
        load_backbone(read_run_file(run))
