"""Which artefacts are hashed when not all are: always the run's own, and a keyed sample of the others."""

import hashlib
from pathlib import Path
from typing import NamedTuple

from f2llm.records.errors import InputError
from f2llm.runs.layout import value_in

# What a run itself made: plan, run.json, model, scores and what passes them on, cards, manifests, report. Checkpoints
# are sampled.
ALWAYS = (
    "results/runs/",
    "results/scores/",
    "results/submission",
    "results/ablations/",
    "results/cards/",
    "results/lineage/",
    "results/report/",
)
SAMPLED = "/checkpoints/"
SCALE = 2**64


class HashSample(NamedTuple):
    """A share (0 to 1) of all artefacts, the same ones each time for one seed."""

    share: float
    seed: int

    def takes(self, name: str) -> bool:
        """Say whether the artefact of this name, as manifests have it, is hashed."""
        if name.startswith(ALWAYS) and SAMPLED not in name:
            return True
        key = hashlib.sha256(f"{self.seed}\0{name}".encode()).digest()[:8]
        return int.from_bytes(key) < self.share * SCALE


EVERYTHING = HashSample(share=1.0, seed=0)


def hash_sample(folder: Path, *, share: float) -> HashSample:
    """The sample of a run's artefacts that its seed draws; `folder` holds its run.json.

    Raises:
        InputError: the share is not between 0 and 1.
    """
    if not 0 <= share <= 1:
        raise InputError(f"share {share:g} of hashes: it is not between 0 and 1; name one such as 0.1")
    seed = value_in(folder / "run.json", "settings", "seed")  # a changed run.json is found by its own hash
    return HashSample(share, seed or 0)
