"""Rights on data and models: licences, and sources that the licence policy excludes."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Licence:
    """The licence of data or a model, and whether it allows commercial use."""

    id: str
    commercial: Literal["yes", "no", "unknown"]
    note: str


@dataclass(frozen=True, kw_only=True)
class Barred:
    """A source that the licence policy excludes, and why."""

    name: str
    reason: str
