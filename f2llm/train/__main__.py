"""`python -m f2llm.train`, alone or under torchrun: train one planned run and export the model.

Goes on from the newest checkpoint by itself. Exit codes: 0 done, 1 the input is at fault, 143 stopped
by SIGTERM or SIGINT after saving.
"""

import argparse
import logging
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

from f2llm.records.errors import FULL, InputError
from f2llm.train.life import StopRequest, die_with_launcher, lock_folder

STOPPED = 143  # 128 + SIGTERM, as a shell reports it
SPIN_COUNT = "20000"
# How the lines begin in which a failed trainer says why; the launcher looks for them.
FAILED = "training failed: "
EXAMPLE = """example:
  torchrun --standalone --nproc-per-node 2 --shutdown-timeout 1200 -m f2llm.train \\
      --config results/runs/embedded/run.json --output results/runs/embedded/model

Run it again after a crash, a kill or a stop: it goes on from the last checkpoint.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Train as the arguments say; the result is the exit code."""
    options = _parser().parse_args(arguments)
    first = os.environ.get("RANK", "0") == "0"
    logging.basicConfig(level=logging.INFO if first else logging.ERROR, format="%(message)s", stream=sys.stderr)
    try:
        return _train(options, first=first)
    except InputError as error:
        faults = error.faults
    except OSError as error:
        if error.errno not in FULL:
            raise
        faults = [f"{error}: free some disk space and run the same command again"]
    for fault in faults:
        print(f"{FAILED}{fault}", file=sys.stderr, flush=True)
    return 1


def _train(options: argparse.Namespace, *, first: bool) -> int:
    stop = StopRequest()
    die_with_launcher(stop)
    home = options.output.parent
    if first:
        lock_folder(home)
    # Waiting threads spin briefly, then sleep: much faster on a machine in shared use, and no slower on an idle one.
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)
    from transformers.utils import logging as transformers_logging

    from f2llm.runs.run_file import PLAN_FILE, VALIDATION_PLAN_FILE, read_run_file
    from f2llm.train.identity import changed_rows
    from f2llm.train.loop import TrainingPaths, train
    from f2llm.train.world import join_world, leave_world

    transformers_logging.disable_progress_bar()
    warnings.filterwarnings("ignore", message="torch.distributed is disabled")  # one process needs none
    run = read_run_file(options.config)
    paths = TrainingPaths(
        plan=options.config.with_name(PLAN_FILE),
        validation_plan=options.config.with_name(VALIDATION_PLAN_FILE),
        model=options.output,
        metrics=options.metrics or home / "metrics.parquet",
        validation=options.validation or home / "validation.parquet",
        checkpoints=options.checkpoints or home / "checkpoints",
        events=home / "tensorboard",
    )
    world = join_world(threads=run.settings.train.threads)
    try:
        first_of_node = os.environ.get("LOCAL_RANK", "0") == "0"  # it checks the files for the others there
        world.refuse(changed_rows(run) if first_of_node else [])
        return 0 if train(run, paths, world=world, stop=stop, fresh=options.fresh) else STOPPED
    finally:
        leave_world()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="f2llm.train",
        description=__doc__,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", type=Path, required=True, help="run.json of plan_run; plan.parquet lies beside it")
    parser.add_argument("--output", type=Path, required=True, help="folder of the model to make")
    parser.add_argument("--metrics", type=Path, help="table of losses and speed (default: metrics.parquet beside it)")
    parser.add_argument("--validation", type=Path, help="table of held-out losses (default: validation.parquet)")
    parser.add_argument("--checkpoints", type=Path, help="folder of checkpoints (default: checkpoints beside it)")
    parser.add_argument(
        "--fresh", action="store_true", help="discard the checkpoints of this training, start at step 0"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
