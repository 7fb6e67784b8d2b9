"""The recipe `f2llm` against a plain trainer written after the authors' code: same batches, same weights."""

import pytest
import torch
from torch.nn.functional import cross_entropy, normalize

from f2llm.models.network import load_packed
from f2llm.runs.run_file import read_run_file
from f2llm.train.batches import Batches
from f2llm.train.step import Budget, Trainer, make_optimiser
from f2llm.train.world import World

STEPS, TICKS, WARMUP = 6, 2, 4
ASKED = {
    "recipe": "f2llm", "steps": STEPS, "warmup_ticks": TICKS, "warmup_steps": WARMUP, "min_lr_ratio": 0.0,
    "learning_rate": 0.01,
}  # fmt: skip


def plain_training(folder, batches, settings):
    """Padded, masked, all sequences in one tensor; detached positives; a scheduler that ticks once a process."""
    from transformers import AutoModel, get_cosine_schedule_with_warmup

    model = AutoModel.from_pretrained(folder, dtype=torch.float32).double()
    optimiser = torch.optim.AdamW(model.parameters(), lr=settings.learning_rate, betas=(0.9, 0.98), weight_decay=0.01)
    scheduler = get_cosine_schedule_with_warmup(optimiser, WARMUP, STEPS * TICKS)
    losses = []
    for step in range(STEPS):
        (batch,) = batches[step]
        vectors = padded_vectors(model, batch)
        loss = plain_loss(vectors, batch, temperature=settings.temperature)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), settings.clip_norm)
        optimiser.step()
        optimiser.zero_grad()
        for _ in range(TICKS):
            scheduler.step()
        losses.append(loss.item())
    return losses, model


def padded_vectors(model, batch):
    """Return queries, positives and negatives as upstream lays them out, repeats included."""
    queries = len(batch.tuple_ids)
    order = [*range(queries), *(queries + place for row in batch.candidates_BK for place in row)]
    sequences = [torch.from_numpy(batch.sequences[place].copy()).long() for place in order]
    tokens = torch.nn.utils.rnn.pad_sequence(sequences, batch_first=True, padding_value=1)
    lengths = torch.tensor([len(sequence) for sequence in sequences])
    mask = torch.arange(tokens.shape[1]) < lengths[:, None]
    states = model(tokens, attention_mask=mask.long()).last_hidden_state
    return normalize(states[torch.arange(len(order)), lengths - 1], dim=-1)


def plain_loss(vectors, batch, *, temperature):
    queries = len(batch.tuple_ids)
    query, candidates = vectors[:queries], vectors[queries:].view(queries, -1, vectors.shape[1])
    own = torch.zeros(queries, dtype=torch.long)
    loss = cross_entropy((query[:, None] * candidates).sum(-1) / temperature, own)
    if batch.task == "retrieval":
        loss = loss + cross_entropy(query @ candidates[:, 0].detach().T / temperature, torch.arange(queries))
    return loss


def test_the_authors_recipe_is_the_authors_mathematics(toy, tmp_path, float64):
    planned = toy.plan_toy(tmp_path, **ASKED)
    run = read_run_file(planned)
    batches, settings = Batches(run, plan=planned.with_name("plan.parquet")), run.settings.train
    assert "pairs" in {batches[step][0].source for step in range(STEPS)}
    model = load_packed(run.backbone_folder).double()
    world, budget = World(rank=0, size=1, device=torch.device("cpu")), Budget(64)
    trainer = Trainer(model, make_optimiser(model, settings=settings), world, settings, "float32", STEPS, budget)
    with float64.Float64():
        ours = [trainer.step(batches[step]).batches[0].loss for step in range(STEPS)]
        theirs, plain = plain_training(run.backbone_folder, batches, settings)
    assert ours == pytest.approx(theirs, rel=float64.RELATIVE)
    others = dict(plain.named_parameters())
    for name, parameter in model.named_parameters():
        float64.assert_same(parameter, others[name], what=name)


def test_the_corrected_recipe_is_another_one(toy, tmp_path):
    weights = []
    for recipe in ("f2llm", "default"):
        planned = toy.plan_toy(tmp_path / recipe, **ASKED | {"recipe": recipe, "warmup_ticks": 1})
        run = read_run_file(planned)
        settings = run.settings.train
        assert (settings.passage_gradient, settings.mask_equal_positives) == (
            ("none", False) if recipe == "f2llm" else ("full", True)
        )
        model = load_packed(run.backbone_folder)
        world, budget = World(rank=0, size=1, device=torch.device("cpu")), Budget(64)
        trainer = Trainer(model, make_optimiser(model, settings=settings), world, settings, "float32", STEPS, budget)
        batches = Batches(run, plan=planned.with_name("plan.parquet"))
        for step in range(STEPS):
            trainer.step(batches[step])
        weights.append(torch.cat([parameter.flatten() for parameter in model.parameters()]))
    assert (weights[0] - weights[1]).norm() > 1e-3 * weights[0].norm()
