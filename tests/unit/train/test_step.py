"""One step: chunks do not matter, terms apply where they should, and bad numbers stop it."""

import pytest
import torch

from f2llm.models.network import load_packed
from f2llm.records.errors import InputError
from f2llm.runs.run_file import read_run_file
from f2llm.train.batches import Batches
from f2llm.train.step import Budget, Trainer, make_optimiser
from f2llm.train.world import World


@pytest.fixture(scope="module")
def planned(toy, tmp_path_factory):
    return toy.plan_toy(tmp_path_factory.mktemp("planned"), steps=9)


def trainer_of(toy, planned, *, kept=0, dtype=torch.float32, **changes):
    run = read_run_file(planned)
    settings = toy.settings(**({"steps": 9, "learning_rate": 0.001} | changes)).train
    model = load_packed(run.backbone_folder).to(dtype)
    world = World(rank=0, size=1, device=torch.device("cpu"))
    batches = Batches(run, plan=planned.with_name("plan.parquet"))
    budget = Budget(settings.tokens_per_chunk, kept)
    return Trainer(model, make_optimiser(model, settings=settings), world, settings, "float32", 9, budget), batches


def gradient_of(trainer, made):
    """Run a step; return its outcome and the gradient that the optimiser got, all parameters in one vector."""
    seen = []
    hook = trainer.optimiser.register_step_pre_hook(
        lambda *_: seen.append(torch.cat([p.grad.flatten() for p in trainer.model.parameters()]))
    )
    outcome = trainer.step(made)
    hook.remove()
    return outcome, seen[0]


def first_of(batches, source):
    return next(batch for batch in (batches[step][0] for step in range(9)) if batch.source == source)


def weights(trainer):
    return torch.cat([parameter.detach().flatten().double() for parameter in trainer.model.parameters()])


@pytest.mark.parametrize("source", ["pairs", "kinds"])
def test_many_chunks_give_the_loss_gradient_and_weights_of_one(toy, planned, float64, source):
    whole, batches = trainer_of(toy, planned, dtype=torch.float64)
    parts, _ = trainer_of(toy, planned, dtype=torch.float64, tokens_per_chunk=64)
    batch = first_of(batches, source)
    assert sum(map(len, batch.sequences)) > 2 * 64
    with float64.Float64():
        (ours, gradient), (theirs, its_gradient) = (gradient_of(trainer, [batch]) for trainer in (whole, parts))
    assert ours.batches[0].loss == pytest.approx(theirs.batches[0].loss, rel=float64.RELATIVE)
    assert ours.gradient_norm == pytest.approx(theirs.gradient_norm, rel=float64.RELATIVE)
    float64.assert_same(its_gradient, gradient)
    float64.assert_same(weights(parts), weights(whole))


def test_the_gradient_is_that_of_autograd_through_the_whole(toy, planned, float64):
    from f2llm.models.network import encode_packed
    from f2llm.models.packing import pack
    from f2llm.train.losses.batch_vectors import Vectors
    from f2llm.train.losses.loss import evaluate_terms

    trainer, batches = trainer_of(toy, planned, clip_norm=1e9, dtype=torch.float64)
    batch = first_of(batches, "pairs")
    reference = load_packed(read_run_file(planned).backbone_folder).double()
    with float64.Float64():
        vectors = encode_packed(reference, pack(batch.sequences))
        table = Vectors(
            vectors[:4], vectors[4:], torch.from_numpy(batch.candidates_BK), torch.from_numpy(batch.equal_BB)
        )
        loss, _ = evaluate_terms(table, trainer.settings, task=batch.task)
        loss.backward()
        outcome, gradient = gradient_of(trainer, [batch])
    assert outcome.batches[0].loss == pytest.approx(loss.item(), rel=float64.RELATIVE)
    float64.assert_same(gradient, torch.cat([parameter.grad.flatten() for parameter in reference.parameters()]))


@pytest.mark.parametrize(("source", "applies"), [("pairs", True), ("kinds", False), ("topics", False)])
def test_the_in_batch_term_is_for_retrieval_only(toy, planned, source, applies):
    trainer, batches = trainer_of(toy, planned)
    (outcome,) = trainer.step([first_of(batches, source)]).batches
    assert ("in_batch" in outcome.terms) == applies
    assert outcome.loss == pytest.approx(sum(outcome.terms.values()), rel=1e-6)


def test_equal_positives_count_as_negatives_only_where_they_are_not_masked(toy, planned):
    masked, batches = trainer_of(toy, planned)
    unmasked, _ = trainer_of(toy, planned, mask_equal_positives=False)
    batch = first_of(batches, "pairs")
    equal = batch.equal_BB.copy()
    equal[0, 1] = True
    batch = batch._replace(equal_BB=equal)
    ours, theirs = (trainer.step([batch]).batches[0].terms["in_batch"] for trainer in (masked, unmasked))
    assert ours < theirs


def test_kept_graphs_change_no_bit(toy, planned):
    trainers = [trainer_of(toy, planned, tokens_per_chunk=64, kept=kept) for kept in (0, 150, 10_000)]
    batch = first_of(trainers[0][1], "pairs")
    passes = []
    for trainer, _ in trainers:
        calls = []
        trainer.model.register_forward_pre_hook(lambda *_, calls=calls: calls.append(1))
        trainer.step([batch])
        passes.append(len(calls))
    assert passes[0] > passes[1] > passes[2] > 1
    assert torch.equal(weights(trainers[0][0]), weights(trainers[1][0]))
    assert torch.equal(weights(trainers[0][0]), weights(trainers[2][0]))


def test_several_batches_step_by_the_mean_of_their_gradients(toy, planned, float64):
    _, batches = trainer_of(toy, planned)
    made = [first_of(batches, "pairs"), first_of(batches, "kinds")]
    gradients = []
    for chosen in ([made[0]], [made[1]], made):
        trainer, _ = trainer_of(toy, planned, clip_norm=1e9, dtype=torch.float64)
        with float64.Float64():
            gradients.append(gradient_of(trainer, chosen)[1])
    float64.assert_same(gradients[2], (gradients[0] + gradients[1]) / 2)


def test_validation_gives_the_loss_of_the_step_and_changes_nothing(toy, planned):
    trainer, batches = trainer_of(toy, planned, tokens_per_chunk=64)
    batch, before, state = first_of(batches, "pairs"), weights(trainer), torch.get_rng_state()
    loss = trainer.evaluate(batch)
    assert torch.equal(before, weights(trainer)) and torch.equal(state, torch.get_rng_state())
    assert all(parameter.grad is None for parameter in trainer.model.parameters())
    assert loss == trainer.step([batch]).batches[0]
    assert loss.computed_tokens == loss.tokens == sum(map(len, batch.sequences))


def test_the_loss_can_be_taken_in_the_models_format(toy, planned):
    ours, batches = trainer_of(toy, planned)
    theirs, _ = trainer_of(toy, planned, loss_precision="model")
    batch = first_of(batches, "pairs")
    losses = [trainer._replace(precision="bfloat16").step([batch]).batches[0].loss for trainer in (ours, theirs)]
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], rel=0.05)


def test_bfloat16_keeps_float32_weights_and_comes_close(toy, planned):
    full, batches = trainer_of(toy, planned)
    half, _ = trainer_of(toy, planned)
    half = half._replace(precision="bfloat16")
    batch = first_of(batches, "pairs")
    ours, theirs = (trainer.step([batch]).batches[0].loss for trainer in (full, half))
    assert theirs == pytest.approx(ours, rel=0.05)
    assert theirs != ours
    assert {parameter.dtype for parameter in half.model.parameters()} == {torch.float32}


def test_the_rate_of_the_step_is_set(toy, planned):
    trainer, batches = trainer_of(toy, planned, warmup_steps=4, learning_rate=0.008)
    assert trainer.step(batches[1]).learning_rate == pytest.approx(0.004)


def test_a_loss_that_is_no_number_names_step_source_and_tuples_and_changes_nothing(toy, planned):
    trainer, batches = trainer_of(toy, planned)
    (batch,) = batches[2]
    with torch.no_grad():
        trainer.model.norm.weight[0] = float("nan")
    before = weights(trainer)
    with pytest.raises(
        InputError, match=f"step 2: the loss is nan .source {batch.source}, tuples {batch.tuple_ids[0]}"
    ):
        trainer.step([batch])
    assert torch.equal(before.nan_to_num(), weights(trainer).nan_to_num())


def test_a_gradient_that_is_no_number_names_every_batch_of_the_step(toy, planned):
    trainer, batches = trainer_of(toy, planned)
    made = [first_of(batches, "pairs"), first_of(batches, "kinds")]
    trainer.model.norm.weight.register_hook(lambda gradient: gradient * float("inf"))
    with pytest.raises(InputError, match="the gradient norm is") as error:
        trainer.step(made)
    for batch in made:
        assert f"source {batch.source}, tuples {', '.join(batch.tuple_ids[:3])}" in str(error.value)
