"""SPDX ids of the stanzas as other forms want them: a URL for linked data, a name that the hub knows for cards."""

from collections.abc import Iterable

from f2llm.config.licences import OTHER, OWN, canonical

SPDX = "https://spdx.org/licenses/"
# Licences that the hub knows (its documentation, "Licenses") and that sources and models have; in lower case they
# are its names of them.
HUB_KNOWS = frozenset(
    (
        "Apache-2.0 MIT ISC BSD-2-Clause BSD-3-Clause MPL-2.0 Unlicense CC0-1.0 CC-BY-2.0 CC-BY-2.5 CC-BY-3.0 "
        "CC-BY-4.0 CC-BY-SA-3.0 CC-BY-SA-4.0 CC-BY-NC-2.0 CC-BY-NC-3.0 CC-BY-NC-4.0 CC-BY-ND-4.0 CC-BY-NC-ND-3.0 "
        "CC-BY-NC-ND-4.0 CC-BY-NC-SA-2.0 CC-BY-NC-SA-3.0 CC-BY-NC-SA-4.0 CDLA-Permissive-1.0 CDLA-Permissive-2.0 "
        "CDLA-Sharing-1.0 GPL-2.0 GPL-3.0 LGPL-3.0 AGPL-3.0 EUPL-1.1 EUPL-1.2 OFL-1.1 WTFPL"
    ).split()
)


def licence_url(licence: str) -> str:
    """The page of a single SPDX licence; one of our own stays an id, as a fragment of the document."""
    return f"#{licence}" if licence.startswith(OWN) else SPDX + canonical(licence)


def hub_name(licences: Iterable[str]) -> str:
    """The hub's name of what several things are licensed under: that of all of them, or "other"."""
    distinct = {canonical(licence) for licence in licences}
    only = distinct.pop() if len(distinct) == 1 else ""
    return only.lower() if only in HUB_KNOWS else OTHER
