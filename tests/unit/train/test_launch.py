"""What is said of a trainer that ended before its end."""

import sys

import pytest

from f2llm.records.errors import InputError
from f2llm.train import launch
from f2llm.train.nodes import Shape

SAVED = "import sys; print('stopped as asked; step 3 is saved', file=sys.stderr); sys.exit(1)"
STOPPED_AT_ONCE = "import os, signal, time; os.kill(os.getppid(), signal.SIGTERM); time.sleep(60)"
FAULTY = "import sys; print('training failed: disk: full; free some', file=sys.stderr); sys.exit(1)"
BROKEN = "import sys; print('Killed', file=sys.stderr); sys.exit(3)"


@pytest.mark.parametrize(
    ("trainer", "said"),
    [
        (SAVED, "^run.json: training was stopped and saved its state; run the same command to go on$"),
        (
            STOPPED_AT_ONCE,
            "^run.json: training was stopped before it could save its state; .* from the last checkpoint$",
        ),
        (FAULTY, "^disk: full; free some$"),
        (BROKEN, "^run.json: training ended with exit code 3:\nKilled$"),
    ],
)
def test_only_a_trainer_that_says_it_has_saved_its_state_is_said_to_have(monkeypatch, trainer, said):
    monkeypatch.setattr(launch, "launch_prefix", lambda *_, **__: [sys.executable, "-c", trainer])
    with pytest.raises(InputError, match=said):
        launch.launch_training(
            run="run.json", model="model", metrics="m", validation="v", shape=Shape(1, 1, 1), threads=1
        )
