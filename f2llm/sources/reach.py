"""Whether what a run will fetch can be had from here: asked before anything runs, one short question a place."""

import os
import urllib.error
import urllib.request
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from f2llm.config.fetch import Fetch
from f2llm.sources import hub, web
from f2llm.sources.cache import CACHE
from f2llm.sources.fetch import local_files
from f2llm.sources.packages import run_pip
from f2llm.sources.pins import PINS, Pins

TIMEOUT_SECONDS = 15
AT_ONCE = 16
# An answer that says: the server is there, it only does not like the question.
TOLERATED = (405, 416, 429)


class PlaceReply(NamedTuple):
    """What a place says: who asks for it, its URL or host, and the fault, "" where it answers."""

    owner: str
    where: str
    fault: str


class Reach(NamedTuple):
    """Where the files of a run are: how many places are in the store already, and what is wrong with the others."""

    stored: int
    asked: int
    faults: tuple[str, ...]


def reach(
    orders: Sequence[tuple[str, Sequence[Fetch]]], *, cache: Path = CACHE, pins: Path = PINS, ask: bool = True
) -> Reach:
    """What of `orders` ("source NAME", its places) is stored, and a fault for each place that does not answer.

    Local paths are looked at, URLs and repositories asked for their heads; of packages one stands for the index.
    With `ask` false nothing is asked of the network, and what is not stored counts as asked.
    """
    known, questions, stored, faults = Pins(pins, cache=cache), {}, 0, []
    for owner, places in orders:
        for fetch in places:
            if fetch.kind == "local":
                stored += 1
                if not local_files(fetch.path):
                    faults.append(f"{owner}: {fetch.path} is not there; put it there or correct `path`")
            elif is_stored(fetch, owner=owner, cache=cache, pins=known):
                stored += 1
            else:
                questions.setdefault(_place(fetch), (owner, fetch))
    if ask and questions:
        with ThreadPoolExecutor(AT_ONCE) as threads:
            faults += _together(threads.map(lambda pair: _answer(*pair), questions.values()))
    return Reach(stored, len(questions), tuple(faults))


def _together(answers: Iterable[PlaceReply]) -> list[str]:
    """A line for each place and kind of fault: a host that is away is one, not sixty."""
    owners: dict[tuple[str, str], list[str]] = {}
    for answer in answers:
        if answer.fault:
            owners.setdefault((answer.where, answer.fault), []).append(answer.owner)
    return [f"{', '.join(names)}: {where}: {fault}" for (where, fault), names in owners.items()]


def is_stored(fetch: Fetch, *, owner: str, cache: Path, pins: Pins) -> bool:
    """Whether a place's files can be had without the network."""
    if fetch.kind == "package":
        return bool(list((cache / fetch.sha256).glob("*.whl")))
    if fetch.kind == "hub":
        return not hub.missing_offline(fetch, cache=cache, pins=pins, owner=owner)
    return web.is_stored(fetch, cache=cache, pins=pins)


def _place(fetch: Fetch) -> str:
    """What stands for a place: all packages have one index."""
    if fetch.kind == "package":
        return "package index"
    return hub.pin_key(fetch) if fetch.kind == "hub" else fetch.url


def _answer(owner: str, fetch: Fetch) -> PlaceReply:
    if fetch.kind == "package":
        code, said = run_pip(["index", "versions", fetch.package, "--disable-pip-version-check"])
        last = " ".join(said.strip().splitlines()[-1:])
        fault = f"does not have {fetch.package}, or does not answer ({last}); check pip's settings"
        return PlaceReply(owner, "the package index", fault if code else "")
    if fetch.kind == "hub":
        revision = quote(fetch.revision or fetch.branch or hub.MAIN, safe="")
        urls = [f"{_endpoint()}/api/{fetch.repository_type}s/{fetch.repository}/revision/{revision}"]
        advice = "HF_TOKEN is for repositories with terms, HF_ENDPOINT for a mirror of the hub"
    else:
        urls, advice = [fetch.url, *fetch.mirrors], "correct `url`, or add a mirror"
    answers = [_head(url, owner=owner, advice=advice) for url in urls]
    return next((answer for answer in answers if not answer.fault), answers[0])


def _head(url: str, *, owner: str, advice: str) -> PlaceReply:
    request = urllib.request.Request(url, method="HEAD", headers={"User-Agent": web.USER_AGENT})
    token = os.environ.get("HF_TOKEN", "")
    if token and url.startswith(f"{_endpoint()}/"):
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS):
            return PlaceReply(owner, url, "")
    except urllib.error.HTTPError as error:
        return PlaceReply(owner, url, "" if error.code in TOLERATED else f"answers {error.code}; {advice}")
    except (OSError, ValueError) as error:
        host = urlsplit(url).netloc
        return PlaceReply(owner, host, f"does not answer ({getattr(error, 'reason', error)}); {advice}")


def _endpoint() -> str:
    return os.environ.get("HF_ENDPOINT", hub.ENDPOINT).rstrip("/")
