"""Check over all sources that no group straddles splits and no training query is a held-out one."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from f2llm.curate.queries import TRAIN, held_out_queries
from f2llm.records.errors import InputError
from f2llm.records.files import clear_left_overs, write_json
from f2llm.records.sql import database
from f2llm.records.tables import count_rows, read_batches
from f2llm.records.text_keys import content_key

MOST_FAULTS = 20  # named in one error


def check_splits(
    *,
    queries: Mapping[str, str | Path],
    curated: Mapping[str, str | Path],
    scored: Sequence[str],
    in_part: Sequence[str],
    output: str | Path,
    memory_mb: int,
) -> dict[str, Any]:
    """Check the splits of all sources and write counts to `output`.

    `queries` maps every source to its normalised queries, `curated` every source that is
    trained on to its curated ones; `scored` names the sources that the benchmark scores, `in_part` those of
    them whose train split it does not.

    Raises:
        InputError: a group lies in two splits, within a source or across sources; or a curated
            training query equals (E1) a held-out query of a scored source.
    """
    groups = _straddling_groups(queries, memory_mb=memory_mb)
    held_out = held_out_queries({name: queries[name] for name in scored}, in_part=in_part)
    faults = [*groups, *_leaks(curated, held_out)]
    if faults:
        more = [f"... and {len(faults) - MOST_FAULTS} more"] if len(faults) > MOST_FAULTS else []
        raise InputError([*faults[:MOST_FAULTS], *more])
    counts = {
        "sources": len(queries),
        "queries": sum(count_rows(path) for path in queries.values()),
        "curated_queries": sum(count_rows(path) for path in curated.values()),
        "held_out_queries": len(held_out),
        "groups_in_two_splits": 0,
        "training_queries_equal_to_held_out": 0,
    }
    clear_left_overs(Path(output).parent)
    write_json(output, counts)
    return counts


def _straddling_groups(queries: Mapping[str, str | Path], *, memory_mb: int) -> Iterator[str]:
    """Yield one fault for each group that lies in several splits."""
    select = 'SELECT ${} AS source, "group", split FROM read_parquet(${})'
    tables = " UNION ALL ".join(select.format(2 * number + 1, 2 * number + 2) for number in range(len(queries)))
    arguments = [value for name, path in sorted(queries.items()) for value in (name, str(path))]
    with database(memory_mb=memory_mb, threads=1) as engine:
        straddling = engine.execute(
            f"""SELECT "group", list_sort(list(DISTINCT source || ' ' || split)) FROM ({tables})
                GROUP BY "group" HAVING count(DISTINCT split) > 1 ORDER BY "group" """,
            arguments,
        ).fetchall()
    for group, places in straddling:
        yield (
            f"{places[0].split()[0]}: group {group!r} lies in several splits ({', '.join(places)}); "
            "let the split follow from the group alone and normalise the source again"
        )


def _leaks(curated: Mapping[str, str | Path], held_out: Mapping[str, str]) -> Iterator[str]:
    """Yield one fault for each curated query that is held out."""
    for name in sorted(curated):
        for batch in read_batches(curated[name], columns=["text", "group", "split"]):
            for text, group, split in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                if split != TRAIN:
                    yield f"{name}: group {group!r} of split {split} is among the curated queries; curate it again"
                elif content_key(text) in held_out:
                    other = held_out[content_key(text)]
                    yield (
                        f"{name}: a training query of group {group!r} equals a held-out query of {other}; "
                        "curate the source again"
                    )
