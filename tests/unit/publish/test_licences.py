"""SPDX ids: those of all stanzas are valid, and the hub's names are only those that it has."""

from pathlib import Path

import pytest
import yaml

from f2llm.config.licences import canonical, named
from f2llm.publish.licences import hub_name, licence_url
from f2llm.records.errors import InputError

ROOT = Path(__file__).parents[3]
STANZAS = sorted([*(ROOT / "config/sources").glob("*.yaml"), *(ROOT / "config/models").glob("*.yaml")])


@pytest.mark.parametrize("path", STANZAS, ids=lambda path: path.stem)
def test_the_licence_of_every_stanza_is_an_spdx_expression(path):
    licence = yaml.safe_load(path.read_text())["licence"]["id"]
    assert canonical(licence) == licence
    assert named(licence)


def test_an_unknown_id_is_refused_with_what_to_do():
    with pytest.raises(InputError, match="'Apache-3.0'.*LicenseRef-"):
        canonical("Apache-3.0")


def test_an_expression_names_its_licences_once():
    assert named("(MIT AND BSD-3-Clause) OR MIT") == ["MIT", "BSD-3-Clause"]


def test_a_listed_licence_has_its_page_and_one_of_our_own_stays_an_id():
    assert licence_url("MIT") == "https://spdx.org/licenses/MIT"
    assert licence_url("LicenseRef-Own") == "#LicenseRef-Own"


@pytest.mark.parametrize(
    ("licences", "name"),
    [
        (["MIT"], "mit"),
        (["MIT", "mit"], "mit"),
        (["MIT", "CC0-1.0"], "other"),
        (["LicenseRef-Own"], "other"),
        ([], "other"),
    ],
)
def test_several_licences_have_one_name_only_where_they_are_one(licences, name):
    assert hub_name(licences) == name
