"""Croissant metadata of the training tuples: which tables, with which columns, under which licences.

Made with mlcroissant (format 1.1, docs.mlcommons.org/croissant). Paths of files are relative to the folder of
croissant.json.
"""

import logging
import os
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from f2llm.config.licences import named
from f2llm.publish.licences import licence_url
from f2llm.records.errors import InputError
from f2llm.records.files import sha256_file, write_json
from f2llm.records.schemas.mine import TUPLES
from f2llm.records.schemas.sources import CORPUS, QUERIES
from f2llm.runs.layout import Layout

if TYPE_CHECKING:
    import mlcroissant

PARQUET = "application/x-parquet"  # as mlcroissant, and so its readers, name it
CONFORMS = "http://mlcommons.org/croissant/1.1"
VERSION = "1.0.0"
# mlcroissant's names of data types by Arrow's; ids are raw bytes, which Croissant has no type for: they are text there.
TYPES = {pa.string(): "TEXT", pa.binary(16): "TEXT", pa.int32(): "INT32", pa.float32(): "FLOAT32"}
MEANING = {
    "tuple_id": "id of the tuple, 16 bytes: a hash of source, query and positive",
    "query_id": "id of the query, 16 bytes: a hash of task and text",
    "doc_id": "id of the passage, 16 bytes: a hash of the text",
    "query_row": "row of the query in the source's queries table, from 0",
    "positive_row": "row of the positive in the source's passages table, from 0",
    "positive_score": "cosine of query and positive by the retriever",
    "positive_rank": "rank of the positive among the candidates of the query, from 1",
    "negative_rows": "rows of the hard negatives in the source's passages table, from 0",
    "negative_scores": "cosines of query and hard negatives by the retriever",
    "negative_ranks": "ranks of the hard negatives among the candidates, from 1; empty if drawn",
    "negative_kinds": "given (by the source), mined or drawn",
    "text": "the text itself",
    "positives": "ids of the positives",
    "negatives": "ids of negatives that the source gives",
    "label": "class, for classification and clustering",
    "grade": "graded similarity, for STS",
    "group": "rows of one group never straddle splits",
    "split": "train, dev or test",
    "content_key": "hash of the text in its normal form",
}


def write_croissant(path: str | Path, *, layout: Layout, description: str, published: datetime) -> None:
    """Write the Croissant file of a run's tuples, with the queries and passages that they point to.

    Raises:
        InputError: mlcroissant finds a fault in it.
    """
    import mlcroissant as mlc

    logging.getLogger("absl").setLevel(logging.ERROR)
    path = Path(path)
    files, records = [], []
    for source in layout.sources:
        tables = {
            "tuples": (layout.mined(source.name) / "tuples.parquet", TUPLES),
            "queries": (layout.curated(source.name) / "queries.parquet", QUERIES),
            "passages": (layout.curated(source.name) / "corpus.parquet", CORPUS),
        }
        for kind, (table, schema) in tables.items():
            files.append(_file(mlc, table, name=f"{source.name}-{kind}.parquet", beside=path.parent))
            records.append(_records(mlc, schema, name=f"{source.name}-{kind}", file=files[-1].id))
    try:
        metadata = mlc.Metadata(
            ctx=mlc.Context(conforms_to=CONFORMS),
            name=f"f2llm-{layout.run}-tuples",
            description=description,
            license=sorted({licence_url(licence) for source in layout.sources for licence in named(source.licence.id)}),
            cite_as="F2LLM technical report, arXiv 2510.02294",
            url="https://arxiv.org/abs/2510.02294",
            version=VERSION,
            date_published=published,
            distribution=files,
            record_sets=records,
            data_collection="; ".join(f"{source.name}: {source.reference}" for source in layout.sources),
        )
    except mlc.ValidationError as error:
        raise InputError(f"{path}: {error}; mend the stanza that it names") from error
    write_json(path, metadata.to_json())


def _file(mlc: Any, table: Path, *, name: str, beside: Path) -> "mlcroissant.FileObject":  # noqa: ANN401 - the module
    return mlc.FileObject(
        id=name,
        name=name,
        content_url=os.path.relpath(table, beside),
        content_size=f"{table.stat().st_size} B",
        encoding_formats=[PARQUET],
        sha256=sha256_file(table),
    )


def _records(mlc: Any, schema: pa.Schema, *, name: str, file: str) -> "mlcroissant.RecordSet":  # noqa: ANN401 - the module
    return mlc.RecordSet(id=name, name=name, fields=list(_fields(mlc, schema, name=name, file=file)))


def _fields(mlc: Any, schema: Sequence[pa.Field], *, name: str, file: str) -> Iterator[Any]:  # noqa: ANN401 - the module
    for field in schema:
        several = pa.types.is_list(field.type)
        kind = field.type.value_type if several else field.type
        yield mlc.Field(
            id=f"{name}/{field.name}",
            name=field.name,
            description=MEANING[field.name],
            data_types=[getattr(mlc.DataType, TYPES[kind])],
            source=mlc.Source(file_object=file, extract=mlc.Extract(column=field.name)),
            **({"is_array": True, "array_shape": "-1"} if several else {}),
        )
