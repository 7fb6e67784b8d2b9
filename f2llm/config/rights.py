"""Rights on data and models: a licence, and a source that a policy keeps out."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Licence:
    """Rights on the data of a source, and what follows from them."""

    id: str
    commercial: Literal["yes", "no", "unknown"]
    note: str


@dataclass(frozen=True, kw_only=True)
class Barred:
    """A source that the policy keeps out, and why."""

    name: str
    reason: str
