"""sentence-transformers' own trainer on the same tuples, with its plain and its cached ranking loss.

Its loss takes all passages of the batch as candidates of every query, which is more than F2LLM's two
terms do, but costs nothing beside the model. Batches come as token ids through a collator of our own, in
the order of the other arms; fetching and padding them is outside the clock, which runs from the
trainer's on_step_begin to its on_step_end (forward, backward, clipping, AdamW).
"""

import time
import warnings
from collections.abc import Callable, Sequence, Sized
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import BatchSampler, SequentialSampler

from benchmarks.train.arms import BETAS, CLIP_NORM, TEMPERATURE, WEIGHT_DECAY, Job, Pass
from benchmarks.train.token_batches import PAD, TokenBatch

LOSSES = {
    "sentence_transformers": "MultipleNegativesRankingLoss",
    "sentence_transformers_cached": "CachedMultipleNegativesRankingLoss",
}


def peer_arm(name: str) -> Callable[[Job], Pass]:
    """Return the arm of a loss of LOSSES."""

    def run(job: Job) -> Pass:
        return _run(job, loss_name=LOSSES[name])

    return run


def padded_columns(batch: TokenBatch) -> dict[str, torch.Tensor]:
    """Return ids and masks of each column (query, positive, every negative) padded to its own longest."""
    features = {}
    columns = [batch.queries, *(list(column) for column in zip(*batch.candidates, strict=True))]
    for number, column in enumerate(columns):
        tokens_BL = pad_sequence([_long(tokens) for tokens in column], batch_first=True, padding_value=PAD)
        features[f"text_{number}_input_ids"] = tokens_BL
        features[f"text_{number}_attention_mask"] = tokens_BL.ne(PAD).long()
    return features


class _Collator:
    """Hands out batches made before, by the first of the rows asked for."""

    valid_label_columns: tuple[str, ...] = ()

    def __init__(self, collated: Sequence[dict[str, torch.Tensor]], size: int) -> None:
        self._collated, self._size = collated, size

    def __call__(self, rows: Sequence[dict[str, int]]) -> dict[str, torch.Tensor]:
        return dict(self._collated[rows[0]["row"] // self._size])


def _in_order(dataset: Sized, batch_size: int, drop_last: bool, **_: object) -> BatchSampler:
    """Return a sampler that takes the rows as they come."""
    from sentence_transformers.base.sampler import DefaultBatchSampler

    return DefaultBatchSampler(SequentialSampler(dataset), batch_size=batch_size, drop_last=drop_last)


def _long(tokens: NDArray[np.int32]) -> torch.Tensor:
    return torch.from_numpy(tokens).long()


def _run(job: Job, *, loss_name: str) -> Pass:
    """Train once over the batches, in order."""
    from datasets import Dataset
    from sentence_transformers import SentenceTransformerTrainer
    from sentence_transformers.sentence_transformer import losses
    from transformers import PrinterCallback, ProgressCallback, TrainerCallback

    class Clock(TrainerCallback):
        def __init__(self) -> None:
            self.begins: list[float] = []
            self.ends: list[float] = []

        def on_step_begin(self, *_: object, **__: object) -> None:
            self.begins.append(time.process_time())

        def on_step_end(self, *_: object, **__: object) -> None:
            self.ends.append(time.process_time())

    model, clock, size = _model(job), Clock(), len(job.batches[0].queries)
    collated = [padded_columns(batch) for batch in job.batches]
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = SentenceTransformerTrainer(
            model=model,
            args=_arguments(folder, job, size=size),
            train_dataset=Dataset.from_dict({"row": list(range(size * len(job.batches)))}),
            loss=getattr(losses, loss_name)(model, scale=1 / TEMPERATURE),
            data_collator=_Collator(collated, size),
            callbacks=[clock],
        )
        for callback in (PrinterCallback, ProgressCallback):
            trainer.remove_callback(callback)
        trainer.train()
    seconds = [end - begin for begin, end in zip(clock.begins, clock.ends, strict=True)]
    computed = sum(ids.numel() for batch in collated for name, ids in batch.items() if name.endswith("_input_ids"))
    return Pass(seconds, [], computed, model)  # another loss than the other arms', so not shown


def _model(job: Job):  # noqa: ANN202 - SentenceTransformer, imported late
    """Return the model with last-token pooling; the ranking losses normalise by themselves."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer import modules

    transformer = modules.Transformer(str(job.folder), model_kwargs={"dtype": torch.float32})
    pooling = modules.Pooling(transformer.get_embedding_dimension(), pooling_mode="lasttoken")
    return SentenceTransformer(modules=[transformer, pooling], device="cpu")


def _arguments(folder: str, job: Job, *, size: int):  # noqa: ANN202 - SentenceTransformerTrainingArguments
    """Return arguments that set all arms' mathematics and turn everything else off."""
    from sentence_transformers import SentenceTransformerTrainingArguments

    return SentenceTransformerTrainingArguments(
        output_dir=folder, use_cpu=True, per_device_train_batch_size=size, num_train_epochs=1,
        learning_rate=job.learning_rate, lr_scheduler_type="constant", weight_decay=WEIGHT_DECAY,
        adam_beta1=BETAS[0], adam_beta2=BETAS[1], max_grad_norm=CLIP_NORM, optim="adamw_torch_fused",
        batch_sampler=_in_order, save_strategy="no", logging_strategy="no", report_to="none", disable_tqdm=True,
        dataloader_pin_memory=False,
    )  # fmt: skip
