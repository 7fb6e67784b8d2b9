"""Try again where it may help: servers that are busy or down, connections that break."""

import email.utils
import logging
import math
import os
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

from f2llm.records.errors import InputError

TRIES = 6
FIRST_WAIT_SECONDS = 1.0  # doubles from try to try
MOST_WAIT_SECONDS = 600.0  # also where the server asks for more
PASSING_STATUS = (408, 425, 429, 500, 502, 503, 504)
OFFLINE = "is not in the store, and HF_HUB_OFFLINE forbids to fetch it; unset it, or bring the store along"
Result = TypeVar("Result")
logger = logging.getLogger(__name__)


class Passing(Exception):
    """A failure that may pass; `wait` is the number of seconds that the server asks for, or None."""

    def __init__(self, what: str, *, wait: float | None = None) -> None:
        super().__init__(what)
        self.wait = wait


class Refused(Exception):
    """A refusal that another try would not change: the status of HTTP, and the headers of the answer."""

    def __init__(self, status: int, headers: Mapping[str, str]) -> None:
        super().__init__(f"HTTP {status}")
        self.status, self.headers = status, headers


def retried(action: Callable[[], Result], *, what: str, tries: int | None = None) -> Result:
    """Result of `action`, called again after growing waits while it raises `Passing`: TRIES times, or `tries`.

    Raises:
        InputError: all tries failed; `what` ("source icd_term: https://...") says what was tried.
    """
    tries = tries or TRIES
    for attempt in range(1, tries + 1):
        try:
            return action()
        except Passing as failure:
            if attempt == tries:
                raise InputError(
                    f"{what}: {failure} ({tries} tries); check the network, then run the same command again: "
                    "it goes on where it stopped"
                ) from failure
            wait = FIRST_WAIT_SECONDS * 2 ** (attempt - 1) if failure.wait is None else failure.wait
            wait = min(max(wait, 0.0), MOST_WAIT_SECONDS)
            logger.warning("%s: %s; try %d of %d in %.0f s", what, failure, attempt + 1, tries, wait)
            time.sleep(wait)
    raise AssertionError("unreachable")


def retry_after(value: str | None) -> float | None:
    """The seconds that a Retry-After header asks for (seconds or a date); None if it says nothing."""
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
        except ValueError:
            return None
    return max(seconds, 0.0) if math.isfinite(seconds) else None


def is_offline() -> bool:
    """Whether the user forbids the network (HF_HUB_OFFLINE)."""
    return os.environ.get("HF_HUB_OFFLINE", "").strip().lower() in {"1", "true", "yes", "on"}
