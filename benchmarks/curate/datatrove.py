"""Run datatrove's MinHash pipeline in the interpreter that has it, on FOLDER/passages.parquet (id, text).

    /path/to/venv/bin/python -m benchmarks.curate.datatrove FOLDER

Prints CPU seconds of its four stages without imports. 20 buckets of 6 hashes, 64 bits; its default of 5-word shingles.
"""

import argparse
import json
import resource
from pathlib import Path


def main(folder: Path) -> None:
    """Sign, compare, cluster and filter."""
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.dedup import MinhashDedupSignature
    from datatrove.pipeline.dedup.minhash import (
        MinhashConfig,
        MinhashDedupBuckets,
        MinhashDedupCluster,
        MinhashDedupFilter,
    )
    from datatrove.pipeline.readers import ParquetReader
    from datatrove.pipeline.writers import JsonlWriter
    from datatrove.utils.hashing import HashConfig

    config = MinhashConfig(hash_config=HashConfig(precision=64), num_buckets=20, hashes_per_bucket=6, n_grams=5)
    at = {name: str(folder / name) for name in ("signatures", "buckets", "clusters", "removed", "kept")}

    def reader() -> ParquetReader:
        return ParquetReader(str(folder), glob_pattern="passages.parquet")

    stages = {
        "sign": [reader(), MinhashDedupSignature(at["signatures"], config=config)],
        "compare": [MinhashDedupBuckets(at["signatures"], at["buckets"], config=config)],
        "cluster": [MinhashDedupCluster(at["buckets"], at["clusters"], config=config)],
        "filter": [
            reader(),
            MinhashDedupFilter(at["clusters"], exclusion_writer=JsonlWriter(at["removed"])),
            JsonlWriter(at["kept"]),
        ],
    }
    spent = {}
    for name, pipeline in stages.items():
        began = _cpu()
        tasks = 20 if name == "compare" else 1
        logs = str(folder / "logs" / name)
        LocalPipelineExecutor(pipeline=pipeline, tasks=tasks, workers=1, logging_dir=logs).run()
        spent[name] = _cpu() - began
    print("RESULT", json.dumps({"cpu_seconds": sum(spent.values()), "stages": spent}))


def _cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    main(parser.parse_args().folder)
