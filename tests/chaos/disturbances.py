"""What can go wrong beside a run: each disturbance takes a checkout and a source of chance, and says what it did."""

import contextlib
import os
import random
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

LOG = "chaos.log"
LATEST_KILL_SECONDS = 60.0
OLD = 1_000_000_000  # 2001: a clock that was set back
NOT_STORED = (".lock", ".snakemake_timestamp")


def call(toy, *arguments: str, limit: Callable[[], None] | None = None) -> subprocess.Popen:
    """Start snakemake in a checkout, in a session of its own; what it says is added to the checkout's LOG."""
    with open(toy.folder / LOG, "ab") as log:
        return subprocess.Popen(
            toy.command(*arguments), cwd=toy.folder, env=toy.environment(), stdout=log, stderr=log,
            start_new_session=True, preexec_fn=limit,  # noqa: PLW1509 - no threads here
        )  # fmt: skip


def end(process: subprocess.Popen, *, seconds: float = 1200.0) -> int:
    """Exit code of a call; whatever of its session outlives it is killed, as at the end of a login."""
    try:
        return process.wait(seconds)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def kill(toy, chance: random.Random) -> str:
    """SIGKILL of one process of a run's tree at a random moment."""
    process, moment = call(toy), chance.uniform(2.0, LATEST_KILL_SECONDS)
    deadline = time.monotonic() + moment
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    what = "nothing, the run had ended"
    with contextlib.suppress(psutil.NoSuchProcess):
        tree = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        victim = chance.choice(tree)
        what = " ".join(victim.cmdline())[:120]
        victim.kill()
    return f"killed after {moment:.1f} s: {what}; exit code {end(process)}"


def small_files(toy, chance: random.Random) -> str:
    """`ulimit -f`: no file may grow beyond a random size."""
    size = chance.choice([4, 16, 64, 256, 1024]) << 10

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return f"files of at most {size >> 10} KiB; exit code {end(call(toy, limit=limit))}"


def full_disk(toy, chance: random.Random) -> str:
    """A disk for results that fills up at a random point; without the right to mount one, small files instead."""
    if os.geteuid() != 0:
        return small_files(toy, chance)
    results, kept = toy.folder / "results", toy.folder / "results.kept"
    results.mkdir(exist_ok=True)
    used = sum(path.stat().st_size for path in results.rglob("*") if path.is_file())
    size = (used >> 10) + 1024 + chance.randrange(0, 4096)
    results.rename(kept)
    results.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", str(results)], check=True)
    try:
        copy(kept, results)
        code = end(call(toy))
        shutil.rmtree(kept)
        copy(results, kept)
    finally:
        subprocess.run(["umount", "-l", str(results)], check=True)
    results.rmdir()
    kept.rename(results)
    return f"a disk of {size} KiB, {used >> 10} KiB of them used; exit code {code}"


def flip(toy, chance: random.Random) -> str:
    """Flipped bits in one stored file between two calls; its time stays as it was in half of the cases."""
    folders: dict[str, list[Path]] = {}
    for file in stored(toy.folder):
        folders.setdefault(file.relative_to(toy.folder).parts[1], []).append(file)
    path = chance.choice(folders[chance.choice(list(folders))])  # not most often in the folder of most files
    stat, content = path.stat(), bytearray(path.read_bytes())
    place = chance.randrange(len(content))
    content[place] ^= 1 << chance.randrange(8)
    path.write_bytes(content)
    kept = chance.random() < 0.5
    if kept:
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    name = path.relative_to(toy.folder)
    return f"{name}: byte {place} of {len(content)}{', time kept' if kept else ''}"


def clock_set_back(toy, chance: random.Random) -> str:
    """A random share of all stored files and data has times of years ago."""
    files = [*stored(toy.folder), *sorted((toy.folder / "data").iterdir())]
    chosen = chance.sample(files, k=chance.randrange(1, len(files) + 1))
    for path in chosen:
        os.utime(path, (OLD, OLD))
    return f"{len(chosen)} of {len(files)} files set back"


def two_callers(toy, chance: random.Random) -> str:
    """Two calls at once."""
    pause = chance.uniform(0.0, 5.0)
    first = call(toy)
    time.sleep(pause)
    second = call(toy)
    return f"{pause:.1f} s apart; exit codes {end(first)} and {end(second)}"


def stored(folder: Path) -> Iterator[Path]:
    """The stored files of a checkout that hold any byte, sorted."""
    for path in sorted((folder / "results").rglob("*")):
        if path.is_file() and path.name not in NOT_STORED and path.stat().st_size:
            yield path


def copy(origin: Path, target: Path) -> None:
    """Copy a folder with all times; `target` may exist."""
    target.mkdir(exist_ok=True)
    subprocess.run(["cp", "-a", f"{origin}/.", str(target)], check=True)


DISTURBANCES = {
    function.__name__: function for function in (kill, full_disk, small_files, flip, clock_set_back, two_callers)
}
# These want a run that has work to do, and that one also something stored already.
OF_A_RUN = ("kill", "full_disk", "small_files", "two_callers", "flip")
OF_STORED = ("flip",)
