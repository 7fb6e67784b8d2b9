import dataclasses
from pathlib import Path

import pytest

from f2llm.config.load import load_run_file
from f2llm.config.variants import curation_key, encoder_key, keys_of, mining_key, tokens_key

RUN = load_run_file(Path(__file__).parents[3] / "config" / "config.yaml")


def changed(section, **settings):
    return dataclasses.replace(RUN, **{section: dataclasses.replace(getattr(RUN, section), **settings)})


def keys(run):
    return curation_key(run), mining_key(run), tokens_key(run)


def test_a_mining_setting_moves_mining_only():
    before, after = keys(RUN), keys(changed("mine", skip=6))
    assert [a != b for a, b in zip(after, before, strict=True)] == [False, True, False]


@pytest.mark.parametrize(("role", "moves"), [("retriever", [False, True, False]), ("backbone", [False, False, True])])
def test_control_tokens_that_stay_tokens_move_what_the_model_reads(role, moves):
    before, after = keys(RUN), keys(changed(role, control_tokens="tokens"))
    assert [a != b for a, b in zip(after, before, strict=True)] == moves


def test_a_curation_setting_moves_everything_after_it():
    before, after = (
        keys(RUN),
        keys(
            dataclasses.replace(
                RUN,
                curate=dataclasses.replace(
                    RUN.curate, decontaminate=dataclasses.replace(RUN.curate.decontaminate, containment=0.6)
                ),
            )
        ),
    )
    assert [a != b for a, b in zip(after, before, strict=True)] == [True, True, True]


@pytest.mark.parametrize(
    ("section", "settings"),
    [
        (
            "mine",
            {"block_rows": 7, "backend": "torch", "device": "cpu", "texts_per_job": 1000, "queries_per_job": 1000},
        ),
        ("curate", {"memory_mb": 500}),
    ],
)
def test_what_cannot_change_bytes_moves_nothing(section, settings):
    assert keys(changed(section, **settings)) == keys(RUN)


@pytest.mark.parametrize(("policy", "moves"), [("report", False), ("drop", True)])
def test_the_sources_of_a_run_move_its_tables_only_where_a_source_drops_what_an_earlier_one_has(policy, moves):
    run = dataclasses.replace(
        RUN, curate=dataclasses.replace(RUN.curate, across=dataclasses.replace(RUN.curate.across, policy=policy))
    )
    fewer = dataclasses.replace(run, sources=run.sources[1:])
    assert (keys(fewer) != keys(run)) == moves


def test_a_run_has_a_key_for_each_stage():
    encoder = encoder_key(RUN.retriever, max_length=RUN.mine.max_length)
    found = keys_of(RUN)
    assert (found.curation, found.mining, found.tokens, found.encoder) == (*keys(RUN), encoder)


def test_training_settings_move_no_table():
    assert keys(changed("train", steps=1)) == keys(RUN)


def test_a_model_without_a_hash_is_known_by_its_repository_and_commit():
    def key(**fetch):
        place = dataclasses.replace(RUN.retriever.fetch, sha256="", kind="hub", **fetch)
        return encoder_key(dataclasses.replace(RUN.retriever, fetch=place), max_length=8)

    one = key(repository="a/b", revision="1" * 40)
    assert one == key(repository="a/b", revision="1" * 40)
    assert len({one, key(repository="a/b", revision="2" * 40), key(repository="a/c", revision="1" * 40)}) == 3
