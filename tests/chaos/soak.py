"""The toy run, disturbed again and again: it must end with the bytes of the undisturbed run, or name a file.

    python tests/chaos/soak.py --times 30 --seed 1 --output chaos.json

Each round copies the finished run, takes away what one stage and those after it have made, disturbs the next call, and
runs again, doing what messages say. Rounds depend on the seed and their number alone: `--first 7 --times 1` is round 7
again, as far as a moment in time can be the same.
"""

import argparse
import importlib.util
import json
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import disturbances

from f2llm.records.files import sha256_file, write_json

SPEC = importlib.util.spec_from_file_location("toy", Path(__file__).parents[1] / "workflow" / "conftest.py")
toy_checkout = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(toy_checkout)
Toy = toy_checkout.Toy
# In the order of the flow: what a stage has made. A run that begins at one has nothing of those after it either.
STAGES = {
    "fetch": ("results/sources", "results/models", ".cache"),
    "curate": ("results/curated", "results/shared", "results/evaluation_texts"),
    "mine": ("results/vectors", "results/mined"),
    "train": ("results/tokens", "results/runs"),
    "evaluate": ("results/scores", "results/report", "results/cards", "results/lineage/ro-crate"),
}
# What holds times, or is no result.
NO_RESULT = re.compile(
    r"results/(lineage|report|cards|\.cache|scores/costs\.json|vectors/.*store)|/\."
    r"|results/runs/[^/]+/(estimate|checkpoints|tensorboard|metrics)"
)
MOST_CALLS = 8  # after the disturbance: each does what the message of the one before says
REMEDY = re.compile(r"`snakemake --cores all --force ([^`]+)`")
SHARD = re.compile(r"(\S+/shard_\w+)\.\w+: .*delete the files of this shard")
NOT_JSON = re.compile(r"(results/\S+): not JSON")
CHANGED = re.compile(r"^changed +(results/[^:]+):", re.MULTILINE)
STORES = ("shard_", "encoder.json", "checkpoints")  # in the path of what no rule declares


def make_toy(folder: Path) -> Toy:
    """A toy checkout with data and models, never run."""
    folder.mkdir(parents=True)
    for name in toy_checkout.CODE:
        origin = toy_checkout.ROOT / name
        if origin.is_dir():
            shutil.copytree(origin, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(origin, folder / name)
    toy_checkout.write_data(folder / "data")
    toy_checkout.write_models(folder / "models")
    toy_checkout.write_stanzas(folder / "config")
    Toy(folder).configure()
    return Toy(folder)


def results_of(folder: Path) -> dict[str, str]:
    """sha256 of all that a run has made and that holds no times."""
    files = {str(path.relative_to(folder)): path for path in disturbances.stored(folder)}
    return {name: sha256_file(path) for name, path in files.items() if not NO_RESULT.search(name)}


def said_since(toy: Toy, start: int) -> str:
    """What calls have said since a place in the log of a checkout."""
    return (toy.folder / disturbances.LOG).read_bytes()[start:].decode(errors="replace")


def do_as_told(toy: Toy, said: str) -> list[str]:
    """Make the files anew that a message names, or take away those that no rule declares; their names."""
    anew = [*REMEDY.findall(said), *NOT_JSON.findall(said), *CHANGED.findall(said)]
    undeclared = [name for name in anew if any(word in name for word in STORES)]
    targets = list(dict.fromkeys(name for name in anew if name not in undeclared))
    gone = [f"{name.rpartition('.')[0]}.*" if "shard_" in name else name for name in undeclared]
    gone += [f"{stem}.*" for stem in SHARD.findall(said)]
    for path in [
        path
        for name in gone
        for path in toy.folder.glob(str(Path(name).relative_to(toy.folder)) if name.startswith("/") else name)
    ]:
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    if targets:
        disturbances.end(disturbances.call(toy, "--force", *targets))
    return [*targets, *dict.fromkeys(gone)]


def run_again(toy: Toy, wanted: dict[str, str]) -> dict:
    """Call until the run is through, doing what messages say; what each call said, and what differs in the end."""
    calls: list[dict] = []
    for _ in range(MOST_CALLS):
        log = toy.folder / disturbances.LOG
        start = log.stat().st_size if log.exists() else 0
        code = disturbances.end(disturbances.call(toy))
        said = said_since(toy, start)
        calls.append({"code": code, "named": do_as_told(toy, said) if code else [], "traceback": "Traceback" in said})
        if code:
            calls[-1]["said"] = said[-2000:]
            continue
        if not (differs := differing(toy, wanted)):
            break
        # The run took its stored files as they are: whoever asks is told which one is not what was made.
        done = subprocess.run(
            [sys.executable, "-m", "f2llm", "verify", "toy"], cwd=toy.folder, env=toy.environment(),
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        calls.append({"verify": done.stdout[-2000:], "named": do_as_told(toy, done.stdout), "differs": differs})
        if not calls[-1]["named"]:
            break
    differs = differing(toy, wanted)
    silent = [entry for entry in calls if entry.get("traceback") or (entry.get("code") and not entry["said"].strip())]
    return {"calls": calls, "differs": differs, "passed": not differs and not silent and calls[-1].get("code") == 0}


def differing(toy: Toy, wanted: dict[str, str]) -> list[str]:
    """The results that are not those of the undisturbed run, missing and additional ones included."""
    now = results_of(toy.folder)
    return sorted(name for name in {*now, *wanted} if now.get(name) != wanted.get(name))


def one_round(number: int, *, seed: int, kinds: list[str], finished: Toy, folder: Path) -> dict:
    """Disturb a copy of the finished run, and run again."""
    chance, started = random.Random(f"{seed} {number}"), time.monotonic()
    kind = chance.choice(kinds)
    stage = chance.choice(list(STAGES)[kind in disturbances.OF_STORED :])
    toy = Toy(folder / f"round_{number}")
    disturbances.copy(finished.folder, toy.folder)
    if kind in disturbances.OF_A_RUN:
        for later in list(STAGES)[list(STAGES).index(stage) :]:
            for name in STAGES[later]:
                shutil.rmtree(toy.folder / name, ignore_errors=True)
    else:
        stage = "none"
    done = disturbances.DISTURBANCES[kind](toy, chance)
    outcome = run_again(toy, results_of(finished.folder))
    if outcome["passed"]:
        shutil.rmtree(toy.folder)
    took = round(time.monotonic() - started, 1)
    return {"round": number, "kind": kind, "from": stage, "done": done, "seconds": took, **outcome}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=30, help="rounds (default: %(default)s)")
    parser.add_argument("--first", type=int, default=0, help="number of the first round (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="+", choices=disturbances.DISTURBANCES, default=[*disturbances.DISTURBANCES])
    parser.add_argument("--output", type=Path, default=Path("chaos.json"), help="default: %(default)s")
    parser.add_argument(
        "--folder", type=Path, help="of the checkouts, kept for the next call (default: a temporary one)"
    )
    options = parser.parse_args()
    folder = (options.folder or Path(tempfile.mkdtemp(prefix="chaos-"))).resolve()
    finished = Toy(folder / "finished")
    if not (finished.folder / "results/runs/toy/gate.json").is_file():
        shutil.rmtree(finished.folder, ignore_errors=True)
        make_toy(finished.folder).run()
    rounds = []
    for number in range(options.first, options.first + options.times):
        rounds.append(one_round(number, seed=options.seed, kinds=options.kinds, finished=finished, folder=folder))
        print(json.dumps({key: rounds[-1][key] for key in ("round", "kind", "from", "done", "seconds", "passed")}))
        sys.stdout.flush()
        write_json(options.output, {"seed": options.seed, "passed": sum(r["passed"] for r in rounds), "rounds": rounds})
    if options.folder is None and all(entry["passed"] for entry in rounds):
        shutil.rmtree(folder)
    return int(not all(entry["passed"] for entry in rounds))


if __name__ == "__main__":
    sys.exit(main())
