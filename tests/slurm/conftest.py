"""The toy checkout of the workflow tests, and a real Slurm of two pretended nodes."""

import importlib.util
import shutil
from pathlib import Path

import pytest
import yaml

WORKFLOW = importlib.util.spec_from_file_location(
    "workflow_conftest", Path(__file__).parents[1] / "workflow" / "conftest.py"
)
LOCAL = importlib.util.spec_from_file_location("local_slurm", Path(__file__).with_name("local_slurm.py"))
workflow, local_slurm = (importlib.util.module_from_spec(spec) for spec in (WORKFLOW, LOCAL))
WORKFLOW.loader.exec_module(workflow)
LOCAL.loader.exec_module(local_slurm)
template, finished = workflow.template, workflow.finished
# The shipped intervals spare a shared controller; alone with it, jobs may be asked after at once.
POLLING = {"slurm-init-seconds-before-status-checks": 2, "max-status-checks-per-second": 5, "latency-wait": 5}


def pytest_addoption(parser):
    parser.addoption(
        "--figures", metavar="FILE", help="JSON file for what the fault tests saw; entries are replaced by name"
    )


@pytest.fixture(scope="session")
def cluster(local_cluster):
    made = local_cluster()
    yield made
    made.stop()


class SlurmToy(workflow.Toy):
    """A toy checkout whose snakemake submits to `cluster`."""

    settings = workflow.TOY_RUN

    def __init__(self, folder, cluster):
        super().__init__(folder)
        self._cluster = cluster
        self.profile()

    def profile(self, *, mine_source=None, **training):
        """Edit the shipped profile as a site does: how often it asks, and what mining and training take."""
        path = self.folder / "slurm" / "config.yaml"
        content = yaml.safe_load(path.read_text())
        content["set-resources"]["train_model"] |= {"gres": "gpu:1"} | training
        if mine_source:
            content["set-resources"]["mine_source"] = mine_source
        path.write_text(yaml.safe_dump(content | POLLING))

    def command(self, *arguments):
        return [*super().command()[:3], "--cores", "all", "--profile", "slurm", *arguments]

    def environment(self):
        return super().environment() | self._cluster.environment

    def submitted(self, said):
        """Return the rules that were submitted as Slurm jobs, from snakemake's own words."""
        logs = [line for line in said.splitlines() if "has been submitted with SLURM jobid" in line]
        return {line.partition("rule_")[2].partition("/")[0] for line in logs}


@pytest.fixture(scope="session")
def local():
    """The workflow tests' own module: `Toy` runs on this machine, `TOY_RUN` is its config."""
    return workflow


@pytest.fixture(scope="session")
def slurm_toy():
    """The class of a toy in a folder whose snakemake submits to a cluster."""
    return SlurmToy


@pytest.fixture(scope="session")
def local_cluster(tmp_path_factory):
    """Start a cluster of two pretended nodes; its test stops it."""

    def start(*, accounting=False):
        more = local_slurm.missing_programs(local_slurm.ACCOUNTING_PROGRAMS) if accounting else []
        packages = (*local_slurm.PACKAGES, *(local_slurm.ACCOUNTING_PACKAGES if accounting else ()))
        if missing := local_slurm.missing_programs() + more:
            pytest.skip(f"no Slurm here: {', '.join(missing)} missing; apt-get install {' '.join(packages)}")
        made = local_slurm.LocalSlurm(tmp_path_factory.mktemp("slurm"), accounting=accounting)
        try:
            made.start()
        except BaseException:
            made.stop()
            raise
        return made

    return start


@pytest.fixture
def toy(template, cluster, tmp_path):
    shutil.copytree(template, tmp_path / "checkout")
    return SlurmToy(tmp_path / "checkout", cluster)
