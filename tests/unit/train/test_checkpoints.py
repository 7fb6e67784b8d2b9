"""Checkpoints: complete or absent, checked before they are read, never of another training."""

import errno

import pytest
import torch
import torch.distributed.checkpoint as dcp

from f2llm.records.errors import InputError
from f2llm.records.files import read_json, write_json
from f2llm.train.checkpoints import Checkpoints, other_trainings, refuse_to_abandon
from f2llm.train.identity import differences
from f2llm.train.world import World

pytestmark = pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
STEPS = 12
WORLD = World(rank=0, size=1, device=torch.device("cpu"))


def made():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Embedding(4, 3), torch.nn.Linear(3, 2))
    model[0].requires_grad_(False)
    return model, torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.1, fused=True)


def move(model, optimiser, *, seed=1):
    torch.manual_seed(seed)
    model(torch.randint(4, (5,))).square().sum().backward()
    optimiser.step()
    optimiser.zero_grad()


def checkpoints(folder, *, keep=2, keep_every=None, **identity):
    identity = {"seed": 0} | identity
    return Checkpoints(folder, identity=identity, steps=STEPS, keep=keep, keep_every=keep_every, world=WORLD)


def state(model):
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def test_weights_and_moments_come_back_bit_for_bit(tmp_path):
    model, optimiser = made()
    move(model, optimiser)
    checkpoints(tmp_path).save(1, model, optimiser)
    move(model, optimiser, seed=2)

    other, its_optimiser = made()
    assert checkpoints(tmp_path).resume(other, its_optimiser) == 1
    move(other, its_optimiser, seed=2)
    assert torch.equal(state(model), state(other))


def test_without_a_checkpoint_training_starts_at_zero(tmp_path):
    model, optimiser = made()
    before = state(model).clone()
    assert checkpoints(tmp_path).resume(model, optimiser) == 0
    assert torch.equal(before, state(model))


def test_the_newest_are_kept(tmp_path):
    model, optimiser = made()
    for step in (2, 4, 10):
        checkpoints(tmp_path).save(step, model, optimiser)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step_000004", "step_000010"]


def test_a_full_disk_leaves_the_previous_checkpoint(tmp_path, monkeypatch):
    model, optimiser = made()
    checkpoints(tmp_path).save(2, model, optimiser)

    def full(*args, checkpoint_id, **more):
        (checkpoint_id / "__0_0.distcp").write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(dcp, "save", full)
    with pytest.raises(InputError, match="step 4 could not be written .*No space left.* free some disk"):
        checkpoints(tmp_path).save(4, model, optimiser)
    assert [path.name for path in tmp_path.iterdir()] == ["step_000002"]
    assert checkpoints(tmp_path).resume(*made()) == 2


def test_a_folder_that_was_not_finished_is_no_checkpoint(tmp_path):
    model, optimiser = made()
    checkpoints(tmp_path).save(2, model, optimiser)
    checkpoints(tmp_path).save(4, model, optimiser)
    (tmp_path / "step_000004").rename(tmp_path / ".step_000004.part")
    assert checkpoints(tmp_path).resume(*made()) == 2
    assert not (tmp_path / ".step_000004.part").exists()


def test_a_damaged_checkpoint_is_passed_over_and_said_so(tmp_path, caplog):
    model, optimiser = made()
    for step in (2, 4):
        checkpoints(tmp_path).save(step, model, optimiser)
    path = tmp_path / "step_000004" / "__0_0.distcp"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert checkpoints(tmp_path).resume(*made()) == 2
    assert "__0_0.distcp does not have its recorded hash" in caplog.text
    checkpoints(tmp_path).save(4, model, optimiser)
    assert checkpoints(tmp_path).resume(*made()) == 4


@pytest.mark.parametrize("content", ['{"step": 4, "iden', "{}", "[]", "\udcff"])
def test_a_checkpoint_whose_description_is_damaged_is_passed_over_and_said_so(tmp_path, caplog, content):
    model, optimiser = made()
    own = checkpoints(tmp_path / "own")
    for step in (2, 4):
        own.save(step, model, optimiser)
    about = tmp_path / "own" / "step_000004" / "checkpoint.json"
    about.write_bytes(content.encode(errors="surrogateescape"))
    assert own.resume(*made()) == 2
    assert "step_000004: checkpoint.json is damaged; passed over" in caplog.text
    other = checkpoints(tmp_path / "new", rate=2)
    assert [newest.step for _, newest in other_trainings(tmp_path, own=other)] == [2]


def test_a_checkpoint_of_another_training_is_refused_by_the_keys_that_differ(tmp_path):
    model, optimiser = made()
    checkpoints(tmp_path).save(2, model, optimiser)
    about = tmp_path / "step_000002" / "checkpoint.json"
    write_json(about, read_json(about) | {"identity": {"seed": 1, "plan": "x"}})
    with pytest.raises(InputError, match="differs in plan, seed; start afresh with --fresh"):
        checkpoints(tmp_path).resume(*made())
    checkpoints(tmp_path).discard()
    assert checkpoints(tmp_path).resume(*made()) == 0


def test_every_so_manieth_is_kept_beside_the_newest(tmp_path):
    model, optimiser = made()
    kept = checkpoints(tmp_path, keep=1, keep_every=4)
    for step in (2, 4, 6, 8, 10):
        kept.save(step, model, optimiser)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step_000004", "step_000008", "step_000010"]


def test_an_unfinished_training_of_other_settings_is_not_left_behind_unnoticed(tmp_path):
    model, optimiser = made()
    old = checkpoints(tmp_path / "old", rate=1)
    old.save(STEPS - 2, model, optimiser)
    own = checkpoints(tmp_path / "new", rate=2)
    with pytest.raises(InputError, match=rf"old: .* after step {STEPS - 2} of {STEPS}, .* differ .* in rate; put them"):
        refuse_to_abandon(tmp_path, own=own)
    old.save(STEPS, model, optimiser)
    refuse_to_abandon(tmp_path, own=own)
    ((folder, newest),) = other_trainings(tmp_path, own=own)
    assert (folder, newest.step, newest.steps) == (tmp_path / "old", STEPS, STEPS)
    assert differences(own.identity, newest.identity) == ["rate"]
    assert other_trainings(tmp_path / "nowhere", own=own) == []
