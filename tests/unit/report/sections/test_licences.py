import pytest

from f2llm.report.sections.licences import (
    ALIKE,
    CREDIT,
    FREE,
    NO_CHANGE,
    NO_COMMERCE,
    NOTICE,
    OPEN_SOURCE,
    READ,
    obligations_of,
)


@pytest.mark.parametrize(
    ("licence", "asked"),
    [
        ("CC0-1.0", (FREE,)),
        ("CC-BY-4.0", (CREDIT,)),
        ("CC-BY-SA-3.0", (CREDIT, ALIKE)),
        ("CC-BY-NC-4.0", (CREDIT, NO_COMMERCE)),
        ("CC-BY-NC-SA-4.0", (CREDIT, NO_COMMERCE, ALIKE)),
        ("CC-BY-NC-ND-4.0", (CREDIT, NO_COMMERCE, NO_CHANGE)),
        ("Apache-2.0", (NOTICE,)),
        ("AGPL-3.0-only", (NOTICE, OPEN_SOURCE, ALIKE)),
        ("BSD-3-Clause AND Unicode-3.0", (NOTICE,)),
        ("(MIT OR CC-BY-4.0)", (NOTICE, CREDIT)),
        ("MIT AND CC0-1.0", (NOTICE,)),
        ("LicenseRef-Press-Copyright", (READ,)),
        ("MIT AND LicenseRef-Own", (NOTICE, READ)),
        ("", (READ,)),
    ],
)
def test_a_licence_asks_for_what_its_family_asks_for(licence, asked):
    assert obligations_of(licence) == asked
