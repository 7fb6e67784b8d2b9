"""Whether the tables are the same bytes whatever the order of rows, threads, memory, parts - and after kill -9."""

import multiprocessing
import os
import random
import shutil
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.curate.rows import Setting, curate, curate_here, write_source


def same_bytes(texts: Sequence[str], *, kills: int, seed: int) -> dict[str, Any]:
    """Return the settings that were tried, whether all gave the same bytes, and the same for killed runs."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_source(folder / "straight", texts)
        began = time.monotonic()
        straight = curate(folder / "straight")
        lasting = time.monotonic() - began
        found = []
        variants = [
            (None, 65_536, Setting(threads=2)), (None, 65_536, Setting(memory_mb=150)),
            (None, 65_536, Setting(rows_per_part=100)), (1, 65_536, Setting()),
            (2, 1000, Setting(threads=2, memory_mb=200)),
            (None, 5000, Setting(memory_mb=2000, rows_per_part=5000)),
        ]  # fmt: skip
        for number, (shuffled, group, setting) in enumerate(variants):
            write_source(folder / f"v{number}", texts, shuffled=shuffled, group=group)
            run = curate(folder / f"v{number}", setting)
            said = {"shuffled": shuffled, "rows_a_group": group, **setting._asdict()}
            found.append(said | {"same": run["sha256"] == straight["sha256"], "peak_memory_mb": run["peak_memory_mb"]})
            print(found[-1], flush=True)
            shutil.rmtree(folder / f"v{number}")
        killed = [
            _killed(folder / "straight", after=after, wanted=straight) for after in _moments(kills, lasting, seed)
        ]
        print(killed, flush=True)
    return {
        "passages": len(texts),
        "variants": found,
        "all_same": all(one["same"] for one in found),
        "kills": killed,
        "all_same_after_kill": all(one["same"] for one in killed),
    }  # fmt: skip


def _moments(kills: int, lasting: float, seed: int) -> list[float]:
    draw = random.Random(seed)
    return [lasting * (at + draw.random()) / kills for at in range(kills)]


def _killed(folder: Path, *, after: float, wanted: dict[str, Any]) -> dict[str, Any]:
    """Kill a run after so many seconds, look at what it left, and run again."""
    shutil.rmtree(folder / "out", ignore_errors=True)
    process = multiprocessing.get_context("spawn").Process(target=curate_here, args=(str(folder), Setting()))
    process.start()
    process.join(after)
    dead = process.is_alive()
    if dead:
        os.kill(process.pid, signal.SIGKILL)
    process.join()
    left = sorted(path.name for path in (folder / "out").iterdir()) if (folder / "out").exists() else []
    again = curate(folder)
    after_all = sorted(path.name for path in (folder / "out").iterdir())
    same = again["sha256"] == wanted["sha256"] and len(after_all) == len(again["sha256"])
    return {"after_seconds": round(after, 2), "killed": dead, "left": left, "same": same}
