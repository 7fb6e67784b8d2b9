"""What a Provenance Run Crate MUST have, rule by rule with the section that says so; no network, no context is fetched.

The rules are those that the profiles (w3id.org/ro/wfrun 0.5, workflow-ro-crate 1.0) and RO-Crate 1.1 mark as MUST.
"""

import json
import re
from pathlib import Path
from urllib.parse import unquote

BASE = "https://w3id.org/ro/"
PROFILES = [BASE + f"wfrun/{name}/0.5" for name in ("process", "workflow", "provenance")]
PROFILES.append("https://w3id.org/workflowhub/workflow-ro-crate/1.0")
CONTEXTS = [BASE + "crate/1.1/context", BASE + "terms/workflow-run/context"]
ACTIONS, TOOLS = (
    {"CreateAction", "ActivateAction", "UpdateAction"},
    {"SoftwareApplication", "SoftwareSourceCode", "ComputationalWorkflow"},
)
DATA = {"File", "Dataset"}
ABSOLUTE = re.compile(r"[a-z][a-z0-9+.-]*:")


def listed(value):
    return value if isinstance(value, list) else [] if value is None else [value]


class Graph:
    def __init__(self, folder):
        self.folder = Path(folder)
        content = json.loads((self.folder / "ro-crate-metadata.json").read_text())
        self.contexts, self.entities = listed(content["@context"]), content["@graph"]
        self.by_id = {entity["@id"]: entity for entity in self.entities}

    def types(self, entity):
        return set(listed(entity.get("@type")))

    def of(self, *kinds):
        return [entity for entity in self.entities if self.types(entity) & set(kinds)]

    def refs(self, entity, name):
        return [self.by_id.get(value["@id"], {}) for value in listed(entity.get(name)) if isinstance(value, dict)]

    def all_are(self, entity, name, kinds, *, least=0):
        found = self.refs(entity, name)
        return (
            len(found) >= least
            and len(found) == len(listed(entity.get(name)))
            and all(self.types(one) & set(kinds) for one in found)
        )


def faults(folder):
    graph = Graph(folder)
    root, main = graph.by_id.get("./", {}), (graph.refs(graph.by_id.get("./", {}), "mainEntity") or [{}])[0]
    return [*base_faults(graph, root), *workflow_faults(graph, root, main), *action_faults(graph), *step_faults(graph)]


def base_faults(graph, root):
    """RO-Crate 1.1: metadata file descriptor, root data entity, data entities, JSON-LD appendix."""
    descriptor = graph.by_id.get("ro-crate-metadata.json", {})
    rules = {
        "1.1 metadata: the graph has each @id once": len(graph.by_id) == len(graph.entities),
        "1.1 metadata: every entity has @id and @type": all({"@id", "@type"} <= entity.keys() for entity in graph.entities),
        "1.1 metadata: contexts are those of RO-Crate and workflow runs": graph.contexts == CONTEXTS,
        "1.1 root: the descriptor is a CreativeWork about the root": descriptor.get("@type") == "CreativeWork" and descriptor.get("about") == {"@id": "./"},
        "1.1 root: the descriptor conforms to RO-Crate 1.1": {"@id": BASE + "crate/1.1"} in listed(descriptor.get("conformsTo")),
        "1.1 root: it is a Dataset with name, description and license": root.get("@type") == "Dataset" and all(root.get(key) for key in ("name", "description", "license")),
        "1.1 root: datePublished is ISO 8601": bool(re.match(r"\d{4}-\d\d-\d\d(T[\d:.]+([+-]\d\d:\d\d|Z))?$", str(root.get("datePublished")))),
        "1.1 appendix: no entity is nested in another": all(set(value) == {"@id"} for e in graph.entities for v in e.values() for value in listed(v) if isinstance(value, dict)),
        "1.1 appendix: references that are no web addresses lead to entities": all(
            value["@id"] in graph.by_id or value["@id"].startswith("http") for e in graph.entities for v in e.values() for value in listed(v) if isinstance(value, dict)
        ),
    }  # fmt: skip
    parts = {value["@id"] for value in listed(root.get("hasPart"))}
    data = [e for e in graph.of(*DATA) if e["@id"] not in ("./", "ro-crate-metadata.json")]
    rules["1.1 data: every file and folder is part of the root"] = all(e["@id"] in parts for e in data)
    rules["1.1 data: ids are absolute URIs, or paths that are there"] = all(
        ABSOLUTE.match(e["@id"]) or (graph.folder / unquote(e["@id"])).exists() for e in data
    )
    return [rule for rule, holds in rules.items() if not holds]


def workflow_faults(graph, root, main):
    """Process, Workflow and Provenance Run Crate, "Requirements": root, main workflow, formal parameters."""
    profiles = {one.get("@id") for one in graph.refs(root, "conformsTo") if one.get("@type") == "CreativeWork"}
    rules = {
        "wfrun: the root conforms to all profiles": profiles >= set(PROFILES),
        "workflow 1.0: the main entity is a File, SoftwareSourceCode and ComputationalWorkflow": {"File", "SoftwareSourceCode", "ComputationalWorkflow"} <= graph.types(main),
        "workflow 1.0: it names its language": graph.all_are(main, "programmingLanguage", {"ComputerLanguage"}, least=1),
        "workflow run: an action has the main workflow as its instrument": any(main in graph.refs(e, "instrument") for e in graph.of(*ACTIONS)),
        "workflow run: inputs and outputs are formal parameters": all(graph.all_are(e, name, {"FormalParameter"}) for e in graph.of(*TOOLS) for name in ("input", "output")),
        "workflow run: formal parameters have additionalType": all(e.get("additionalType") for e in graph.of("FormalParameter")),
        "workflow run: formal parameters refer to their values": all(graph.all_are(e, "workExample", DATA | {"Collection", "PropertyValue"}) for e in graph.of("FormalParameter")),
        "provenance: a workflow with steps is a HowTo": all("HowTo" in graph.types(e) for e in graph.of("ComputationalWorkflow") if e.get("step")),
        "provenance: a workflow has its tools as parts": all(graph.all_are(e, "hasPart", TOOLS, least=1) for e in graph.of("ComputationalWorkflow")),
    }  # fmt: skip
    used = {one.get("@id") for e in graph.of(*ACTIONS) for one in graph.refs(e, "instrument")}
    rules["provenance: every tool is the instrument of an action"] = all(
        one.get("@id") in used for one in graph.refs(main, "hasPart")
    )
    return [rule for rule, holds in rules.items() if not holds]


def action_faults(graph):
    """Process Run Crate, "Requirements"; Provenance Run Crate, "Representing resource usage"."""
    usage = [one for e in graph.of(*ACTIONS) for one in graph.refs(e, "resourceUsage")]
    rules = {
        "process: every action has a tool as its instrument": all(graph.all_are(e, "instrument", TOOLS, least=1) for e in graph.of(*ACTIONS)),
        "provenance: resource usage is a PropertyValue with propertyID": all("PropertyValue" in graph.types(one) and one.get("propertyID") for one in usage),
    }  # fmt: skip
    return [rule for rule, holds in rules.items() if not holds]


def step_faults(graph):
    """Provenance Run Crate, "Requirements": steps, control actions, organize action."""
    steps = {one.get("@id") for e in graph.of("ComputationalWorkflow") for one in graph.refs(e, "step")}
    rules = {
        "provenance: every step belongs to a workflow": all(e["@id"] in steps for e in graph.of("HowToStep")),
        "provenance: every step names its tool": all(graph.all_are(e, "workExample", TOOLS, least=1) for e in graph.of("HowToStep")),
        "provenance: positions are integers": all(re.fullmatch(r"\d+", str(e.get("position", "1"))) for e in graph.of("HowToStep")),
        "provenance: a control action names a step": all(graph.all_are(e, "instrument", {"HowToStep"}, least=1) for e in graph.of("ControlAction")),
        "provenance: a control action controls an action": all(graph.all_are(e, "object", ACTIONS, least=1) for e in graph.of("ControlAction")),
        "provenance: an organize action names the engine": all(graph.all_are(e, "instrument", {"SoftwareApplication"}, least=1) for e in graph.of("OrganizeAction")),
        "provenance: an organize action results in an action": all(graph.all_are(e, "result", ACTIONS, least=1) for e in graph.of("OrganizeAction")),
        "provenance: an organize action has its control actions": all(graph.all_are(e, "object", {"ControlAction"}, least=1) for e in graph.of("OrganizeAction")),
    }  # fmt: skip
    return [rule for rule, holds in rules.items() if not holds]
