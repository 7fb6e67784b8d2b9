"""The jobs of a run as actions of an RO-Crate: a tool for each code, a step for each rule, an action for each job."""

import importlib.metadata
from collections.abc import Mapping
from typing import Any

from rocrate.model.contextentity import ContextEntity
from rocrate.model.entity import Entity
from rocrate.rocrate import ROCrate

from f2llm.publish.crate_files import CrateFiles, add_entity

COMPLETED = "http://schema.org/CompletedActionStatus"
SECOND, MEGABYTE = "https://qudt.org/vocab/unit/SEC", "https://qudt.org/vocab/unit/MebiBYTE"
TERMS = "https://w3id.org/ro/terms/f2llm#"
PARAMETER = "https://bioschemas.org/profiles/FormalParameter/1.0-RELEASE"


class Steps:
    """Adds jobs one by one, and at the end the run of the whole workflow."""

    def __init__(self, crate: ROCrate, workflow: Entity, files: CrateFiles) -> None:
        self._crate, self._workflow, self._files = crate, workflow, files
        self._tools: dict[tuple[str, str], ContextEntity] = {}
        self._steps: dict[str, ContextEntity] = {}
        self._actions: list[ContextEntity] = []
        self._controls: list[ContextEntity] = []
        self._hashes: dict[str, str] = {}

    def add_job(self, name: str, manifest: Mapping[str, Any], kept: Entity) -> None:
        """Add a job by its manifest, which is kept in the crate as `kept`; `name` is unique in the run."""
        rule = manifest["rule"]
        tool = self._tool(rule, str(manifest["code"]))
        inputs = [self._files.entity(path, sha256) for path, sha256 in sorted(manifest["inputs"].items())]
        outputs = [self._files.entity(path, sha256) for path, sha256 in sorted(manifest["outputs"].items())]
        if rule == "fetch_source":
            inputs += self._files.raw(manifest["wildcards"].get("source", ""))
        self._hashes |= manifest["outputs"]
        usage = [
            self._usage(name, "seconds", manifest["seconds"], SECOND),
            self._usage(name, "peak-memory", manifest["peak_memory_mb"], MEGABYTE),
        ]
        action = self._add(
            f"#job/{name}",
            {
                "@type": "CreateAction",
                "name": f"Job {name}",
                "description": f"Rule {rule}; settings and counts are in its manifest.",
                "actionStatus": COMPLETED,
                "instrument": tool,
                "object": inputs,
                "result": outputs,
                "resourceUsage": usage,
                "subjectOf": kept,
            },
        )
        self._actions.append(action)
        control = {"@type": "ControlAction", "name": f"Engine runs job {name}", "object": action}
        self._controls.append(self._add(f"#control/{name}", control | {"instrument": self._step(rule)}))

    def finish(self, *, produced: Mapping[str, str]) -> None:
        """Add the run of the workflow with what went in and came out, and the engine that organised it.

        `produced` maps a name to the path of what came out; what no job made is left out.
        """
        raw = self._files.all_raw()
        results = {
            name: self._files.entity(path, self._hashes[path])
            for name, path in produced.items()
            if path in self._hashes
        }
        if raw:
            self._workflow["input"] = [self._parameter("raw-files", raw, several=True)]
        self._workflow["output"] = [self._parameter(name, [entity]) for name, entity in results.items()]
        self._workflow["hasPart"] = list(self._tools.values())
        for rule, step in self._steps.items():
            step["workExample"] = _single([tool for (of_rule, _), tool in self._tools.items() if of_rule == rule])
        self._workflow["step"] = list(self._steps.values())
        run = self._add(
            "#run",
            {
                "@type": "CreateAction",
                "name": "Run of the whole workflow",
                "description": "From raw files to the trained model and its scores.",
                "actionStatus": COMPLETED,
                "instrument": self._workflow,
                "object": raw,
                "result": list(results.values()),
            },
        )
        self._crate.root_dataset["mentions"] = [run, *self._actions]
        engine = self._add(
            "#engine",
            {
                "@type": "SoftwareApplication",
                "name": "Snakemake",
                "url": "https://snakemake.github.io",
                "softwareVersion": importlib.metadata.version("snakemake"),
            },
        )
        organised = {"@type": "OrganizeAction", "name": "Snakemake organises the jobs", "instrument": engine}
        self._add("#organisation", organised | {"object": self._controls, "result": run})

    def _tool(self, rule: str, code: str) -> ContextEntity:
        if (rule, code) not in self._tools:
            properties = {
                "@type": "SoftwareApplication",
                "name": rule,
                "softwareVersion": code,
                "description": "The version is the digest of the code that ran (docs/architecture.md).",
            }
            self._tools[rule, code] = self._add(f"#tool/{rule}/{code}", properties)
        return self._tools[rule, code]

    def _step(self, rule: str) -> ContextEntity:
        if rule not in self._steps:
            properties = {"@type": "HowToStep", "name": rule, "position": str(len(self._steps) + 1)}
            self._steps[rule] = self._add(f"#step/{rule}", properties)
        return self._steps[rule]

    def _usage(self, job: str, name: str, value: float, unit: str) -> ContextEntity:
        properties = {"@type": "PropertyValue", "name": name, "propertyID": TERMS + name}
        properties |= {"value": value, "unitCode": unit}
        return self._add(f"#usage/{job}/{name}", properties)

    def _parameter(self, name: str, examples: list[ContextEntity], *, several: bool = False) -> ContextEntity:
        properties = {
            "@type": "FormalParameter",
            "name": name,
            "additionalType": "File" if "File" in examples[0].type else "Dataset",
            "multipleValues": several,
            "conformsTo": {"@id": PARAMETER},
            "workExample": examples,
        }
        parameter = self._add(f"#parameter/{name}", properties)
        for entity in examples:
            entity["exampleOfWork"] = parameter
        return parameter

    def _add(self, identity: str, properties: Mapping[str, Any]) -> ContextEntity:
        kind = {"@type": properties["@type"]}
        entity = add_entity(self._crate, identity, kind)
        for key in sorted(properties.keys() - kind.keys()):
            entity[key] = _single(properties[key])
        return entity


def _single(value: Any) -> Any:  # noqa: ANN401 - what JSON-LD holds
    """The only item of a list, as RO-Crate wants it (1.1, appendix JSON-LD), else the value."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value
