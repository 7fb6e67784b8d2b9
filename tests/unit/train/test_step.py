"""One step: chunks do not matter, terms apply where they should, and bad numbers stop it."""

import pytest
import torch

from f2llm.encode.packed import load_packed
from f2llm.errors import InputError
from f2llm.train.batches import Batches
from f2llm.train.optimiser import make_optimiser
from f2llm.train.settings import read_run_file
from f2llm.train.step import Trainer
from f2llm.train.world import World


@pytest.fixture(scope="module")
def planned(toy, tmp_path_factory):
    return toy.plan_toy(tmp_path_factory.mktemp("planned"), steps=9)


def trainer_of(toy, planned, **changes):
    run = read_run_file(planned)
    settings = toy.settings(**({"steps": 9, "learning_rate": 0.001} | changes)).train
    model = load_packed(run.backbone_folder)
    world = World(rank=0, size=1, device=torch.device("cpu"))
    batches = Batches(run, plan=planned.with_name("plan.parquet"))
    return Trainer(model, make_optimiser(model, settings=settings), world, settings, "float32"), batches


def first_of(batches, source):
    return next(batch for batch in (batches[step] for step in range(9)) if batch.source == source)


def weights(trainer):
    return torch.cat([parameter.detach().flatten().double() for parameter in trainer.model.parameters()])


@pytest.mark.parametrize("source", ["pairs", "kinds"])
def test_many_chunks_give_the_weights_of_one(toy, planned, source):
    whole, batches = trainer_of(toy, planned)
    parts, _ = trainer_of(toy, planned, tokens_per_chunk=64)
    batch = first_of(batches, source)
    assert sum(map(len, batch.sequences)) > 2 * 64
    ours, theirs = whole.step(batch), parts.step(batch)
    assert ours.loss == pytest.approx(theirs.loss, rel=1e-6)
    assert (weights(whole) - weights(parts)).norm() <= 1e-6 * weights(whole).norm()


def test_the_gradient_is_that_of_autograd_through_the_whole(toy, planned):
    from f2llm.encode.packed import encode_packed, pack
    from f2llm.train.losses import hard, in_batch

    trainer, batches = trainer_of(toy, planned, clip_norm=1e9)
    batch = first_of(batches, "pairs")
    reference = load_packed(read_run_file(planned).backbone_folder)
    vectors = encode_packed(reference, pack(batch.sequences))
    queries, passages = vectors[:4], vectors[4:]
    candidates = torch.from_numpy(batch.candidates_BK)
    loss = hard(queries, passages, candidates, temperature=0.05)
    loss = loss + in_batch(
        queries, passages[candidates[:, 0]], temperature=0.05, equal_BB=torch.from_numpy(batch.equal_BB)
    )
    loss.backward()
    seen = {}
    trainer.optimiser.register_step_pre_hook(
        lambda *_: seen.update({name: p.grad.clone() for name, p in trainer.model.named_parameters()})
    )
    outcome = trainer.step(batch)
    assert outcome.loss == pytest.approx(loss.item(), rel=1e-6)
    for name, parameter in reference.named_parameters():
        torch.testing.assert_close(seen[name], parameter.grad, rtol=1e-4, atol=1e-5, msg=name)


@pytest.mark.parametrize(("source", "applies"), [("pairs", True), ("kinds", False), ("topics", False)])
def test_the_in_batch_term_is_for_retrieval_only(toy, planned, source, applies):
    trainer, batches = trainer_of(toy, planned)
    outcome = trainer.step(first_of(batches, source))
    assert (outcome.in_batch is not None) == applies
    assert outcome.loss == pytest.approx(outcome.hard + (outcome.in_batch or 0), rel=1e-6)


def test_terms_are_weighted_in_the_sum_and_reported_as_they_are(toy, planned):
    plain, batches = trainer_of(toy, planned)
    losses = [{"term": "hard", "weight": 0.5}, {"term": "in_batch", "weight": 2.0}]
    weighted, _ = trainer_of(toy, planned, losses=losses)
    batch = first_of(batches, "pairs")
    ours, theirs = plain.step(batch), weighted.step(batch)
    assert (ours.hard, ours.in_batch) == (theirs.hard, theirs.in_batch)
    assert theirs.loss == pytest.approx(0.5 * ours.hard + 2 * ours.in_batch, rel=1e-6)


def test_equal_positives_count_as_negatives_only_where_they_are_not_masked(toy, planned):
    masked, batches = trainer_of(toy, planned)
    unmasked, _ = trainer_of(toy, planned, mask_equal_positives=False)
    batch = first_of(batches, "pairs")
    equal = batch.equal_BB.copy()
    equal[0, 1] = True
    batch = batch._replace(equal_BB=equal)
    assert masked.step(batch).in_batch < unmasked.step(batch).in_batch


def test_bfloat16_keeps_float32_weights_and_comes_close(toy, planned):
    full, batches = trainer_of(toy, planned)
    half, _ = trainer_of(toy, planned)
    half = half._replace(precision="bfloat16")
    batch = first_of(batches, "pairs")
    ours, theirs = full.step(batch).loss, half.step(batch).loss
    assert theirs == pytest.approx(ours, rel=0.05)
    assert theirs != ours
    assert {parameter.dtype for parameter in half.model.parameters()} == {torch.float32}


def test_the_rate_of_the_step_is_set(toy, planned):
    trainer, batches = trainer_of(toy, planned, warmup_steps=4, learning_rate=0.008)
    assert trainer.step(batches[1]).learning_rate == pytest.approx(0.004)


def test_a_loss_that_is_no_number_names_step_source_and_tuples_and_changes_nothing(toy, planned):
    trainer, batches = trainer_of(toy, planned)
    batch = batches[2]
    with torch.no_grad():
        trainer.model.norm.weight[0] = float("nan")
    before = weights(trainer)
    with pytest.raises(
        InputError, match=f"step 2: source {batch.source}: the loss is nan .tuples {batch.tuple_ids[0]}"
    ):
        trainer.step(batch)
    assert torch.equal(before.nan_to_num(), weights(trainer).nan_to_num())
