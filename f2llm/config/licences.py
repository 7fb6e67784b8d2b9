"""Which sources a run may be trained on by its licence policy. Scoring copies nothing, so it is never barred."""

from collections.abc import Sequence

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

from f2llm.config.exclusions import Exclusion
from f2llm.config.rights import Barred
from f2llm.config.sources import Source
from f2llm.records.errors import InputError

# Policy -> values of `licence.commercial` that it lets in.
ALLOWED = {"any": ("yes", "no", "unknown"), "stated": ("yes", "no"), "commercial": ("yes",)}
OWN = "LicenseRef-"  # SPDX's prefix of licences that are not in its list
OTHER = "other"  # the hub's word for a licence that it has no name for
EXCLUDED = "excluded: "


def barred_sources(sources: Sequence[Source], *, policy: str) -> tuple[Barred, ...]:
    """The sources that `policy` (a key of ALLOWED) keeps out, in their order."""
    return tuple(
        Barred(name=source.name, reason=f"licence {source.licence.id}, commercial use: {source.licence.commercial}")
        for source in sources
        if source.licence.commercial not in ALLOWED[policy]
    )


def canonical(licence: str) -> str:
    """An SPDX expression in SPDX's own spelling.

    Raises:
        InputError: it is no SPDX expression.
    """
    try:
        return str(canonicalize_license_expression(licence))
    except InvalidLicenseExpression as error:
        raise InputError(
            f"licence {licence!r}: {error}; take an id of spdx.org/licenses, or a name of your own after {OWN}"
        ) from None


def named(licence: str) -> list[str]:
    """The single licences of an SPDX expression, in their order, without words like AND and WITH."""
    words = canonical(licence).replace("(", " ").replace(")", " ").split()
    return list(dict.fromkeys(word for word in words if word not in ("AND", "OR", "WITH")))


def excluded_sources(sources: Sequence[Source], exclusions: Sequence[Exclusion]) -> tuple[Barred, ...]:
    """The sources that are excluded as a whole."""
    reasons = {exclusion.source: exclusion.reason for exclusion in exclusions if exclusion.whole}
    return tuple(
        Barred(name=source.name, reason=f"{EXCLUDED}{reasons[source.name]}")
        for source in sources
        if source.name in reasons
    )
