"""A finished run as a Workflow Run RO-Crate: what ran, on what, with which results, in a form that other tools read.

Profiles: Process, Workflow and Provenance Run Crate 0.5 (w3id.org/ro/wfrun) and Workflow RO-Crate 1.0, on RO-Crate
1.1. The crate holds the workflow's code, the manifests of all jobs and the cards. Data stay where they are: each file
is named by an arcp URI of the run (its path in it) with its sha256, raw files also by where they come from, so that the
crate may be given away where the data may not.
"""

import uuid
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from rocrate.rocrate import ROCrate

from f2llm.jobs.code import ROOT
from f2llm.publish.crate_files import CrateFiles, add_entity, add_licence
from f2llm.publish.crate_steps import Steps
from f2llm.publish.licences import licence_url
from f2llm.records.files import atomic_folder, sha256_file
from f2llm.runs.layout import Layout, read_layout
from f2llm.runs.manifests import newest, read_content

VERSION = "1.1"  # of RO-Crate, the one that the profiles build on
PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": "Process Run Crate",
    "https://w3id.org/ro/wfrun/workflow/0.5": "Workflow Run Crate",
    "https://w3id.org/ro/wfrun/provenance/0.5": "Provenance Run Crate",
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": "Workflow RO-Crate",
}
CONTEXT = "https://w3id.org/ro/terms/workflow-run/context"
CODE = ("rules/**/*.smk", "workflow/scripts/*.py", "f2llm/**/*.py", "requirements.lock", "CITATION.cff")
CODE_LICENCE = "Apache-2.0"
WORKFLOW = ["File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"]


def write_crate(
    results: str | Path, *, run: str, jobs: Sequence[str | Path], cards: str | Path, folder: str | Path
) -> dict[str, Any]:
    """Write the crate of a run into `folder`, whole or not at all; return counts.

    `jobs` are the manifests of all jobs of the run, `cards` the folder of its cards.

    Raises:
        InputError: no such run.
    """
    layout = read_layout(results, run=run)
    manifests = {str(path): read_content(path) for path in sorted(map(str, jobs))}
    crate = ROCrate(version=VERSION)
    _describe_root(crate, layout, published=newest(manifests))
    # The arcp authority of a run is a UUID made from its run.json.
    authority = uuid.uuid5(uuid.NAMESPACE_OID, sha256_file(layout.of_run("run.json")))
    files = CrateFiles(crate, layout, archive=f"arcp://uuid,{authority}/")
    files.add_raw()
    workflow = _add_workflow(crate)
    steps = Steps(crate, workflow, files)
    for path, manifest in manifests.items():
        kept = crate.add_file(path, f"jobs/{_below_jobs(path)}", properties={"encodingFormat": "application/json"})
        steps.add_job(_below_jobs(path).removesuffix(".json"), manifest, kept)
    produced = {"model": f"results/runs/{run}/model", "plan": f"results/runs/{run}/plan.parquet"}
    steps.finish(produced=produced | {"scoreboard": "results/scores/scoreboard.parquet"})
    for card in sorted(path for path in Path(cards).iterdir() if path.suffix in (".md", ".json")):
        crate.add_file(card, f"cards/{card.name}", properties={"name": card.stem.replace("_", " ")})
    with atomic_folder(folder) as aside:
        crate.metadata.extra_contexts.append(CONTEXT)
        crate.write(aside)
    return {"jobs": len(manifests), "entities": len(list(crate.get_entities())), "files": len(files)}


def _describe_root(crate: ROCrate, layout: Layout, *, published: datetime) -> None:
    profiles = [
        add_entity(crate, url, {"@type": "CreativeWork", "name": name, "version": url.rsplit("/", 1)[1]})
        for url, name in PROFILES.items()
    ]
    crate.root_dataset["conformsTo"] = profiles
    crate.name = f"Run {layout.run} of the F2LLM pipeline"
    crate.description = (
        f"How the text-embedding model {layout.run} was made: every job with its inputs and outputs, from the raw "
        f"files of {len(layout.sources)} sources to its scores. The data themselves are not in this crate."
    )
    crate.datePublished = published
    crate.license = add_licence(crate, CODE_LICENCE)
    author = {"@type": "Organization", "name": "The F2LLM pipeline authors"}
    crate.root_dataset["author"] = add_entity(crate, "#authors", author)


def _add_workflow(crate: ROCrate) -> Any:  # noqa: ANN401 - an entity of rocrate
    """Add the Snakefile as the main entity, and the code that it runs."""
    workflow = crate.add_workflow(
        ROOT / "Snakefile", "Snakefile", main=True, lang="snakemake",
        properties={"@type": WORKFLOW, "name": "F2LLM pipeline", "license": {"@id": licence_url(CODE_LICENCE)}},
    )  # fmt: skip
    for path in sorted(path for pattern in CODE for path in ROOT.glob(pattern)):
        kind = {"encodingFormat": "text/x-python" if path.suffix == ".py" else "text/plain"}
        crate.add_file(path, str(path.relative_to(ROOT)), properties=kind)
    return workflow


def _below_jobs(path: str) -> str:
    return path.partition("lineage/jobs/")[2] or Path(path).name
