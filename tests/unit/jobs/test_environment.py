from pathlib import Path

import pytest
import yaml

from f2llm.jobs import environment
from f2llm.jobs.environment import check_environment, describe_libraries, read_pins
from f2llm.records.errors import InputError

ROOT = Path(__file__).parents[3]
LOCK = ROOT / "requirements.lock"


def versions(monkeypatch, **replaced):
    real = environment._installed
    names = {name.replace("_", "-"): version for name, version in replaced.items()}
    monkeypatch.setattr(environment, "_installed", lambda name: names[name] if name in names else real(name))


def test_this_environment_passes():
    check_environment(lock=LOCK, results=ROOT)


def test_two_faiss_packages_are_refused(monkeypatch):
    versions(monkeypatch, faiss_gpu="1.15.1")
    with pytest.raises(InputError, match="overwrite each other"):
        check_environment(lock=LOCK)


def test_no_faiss_package_is_refused(monkeypatch):
    versions(monkeypatch, faiss_cpu=None, faiss_gpu=None)
    with pytest.raises(InputError, match="extra `cpu` or `gpu`"):
        check_environment(lock=LOCK)


def test_missing_and_wrong_packages_are_named_at_once(monkeypatch):
    versions(monkeypatch, torch=None, mteb="1.0")
    with pytest.raises(InputError) as found:
        check_environment(lock=LOCK)
    assert len(found.value.faults) == 2
    assert "mteb: version 1.0, but requirements.lock pins" in str(found.value)


def test_the_lock_names_no_address_and_no_local_version():
    lines = [line for line in LOCK.read_text().splitlines() if not line.startswith("#")]
    assert len(read_pins(LOCK)) == len(lines) > 100
    assert not [line for line in lines if "+" in line or "@" in line or "://" in line or line.startswith("-")]


def test_conda_users_get_the_same_pins():
    (pip,) = [
        part["pip"]
        for part in yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
        if isinstance(part, dict)
    ]
    pins = [line for line in LOCK.read_text().splitlines() if not line.startswith("#")]
    extras = [line for line in pip if line not in pins]
    assert [line for line in pip if line in pins] == pins
    assert extras == ["faiss-gpu==1.15.1", "--editable ."]


def test_the_image_has_the_pins_of_the_lock_and_the_faiss_of_the_conda_environment():
    recipe = (ROOT / "containers" / "f2llm.def").read_text()
    assert "pip install --no-cache-dir --requirement /opt/f2llm/requirements.lock faiss-gpu==1.15.1" in recipe
    assert "requirements.lock /opt/f2llm/requirements.lock" in recipe  # of this checkout, not a copy
    assert "faiss-cpu" not in LOCK.read_text()


@pytest.mark.parametrize(
    ("gpus", "torch", "faiss", "said"),
    [
        (0, "2.13.0+cpu", "faiss_cpu", None),
        (2, "2.13.0+cpu", "faiss_cpu", "a build for CPUs: the GPUs would stay idle"),
        (2, "2.13.0", "faiss_cpu", "faiss has no GPU here: mining searches with torch"),
        (
            2,
            "2.13.0",
            "faiss_gpu",
            "untried in one process; if mining fails, `mine: {backend: torch}` gives the same bytes",
        ),
    ],
)
def test_builds_that_leave_gpus_idle_or_are_untried_are_said(monkeypatch, gpus, torch, faiss, said):
    found = {"torch": torch, faiss.replace("_", "-"): "1.15.1"}
    monkeypatch.setattr(environment, "_version", found.get)
    first, *more = describe_libraries(gpus=gpus)
    assert first == f"libraries    torch {torch}, {faiss.replace('_', '-')} 1.15.1"
    assert (len(more), not said or said in more[0]) == (int(said is not None), True)


def test_another_platform_is_said(monkeypatch):
    monkeypatch.setattr(environment.platform, "machine", lambda: "aarch64")
    assert describe_libraries(gpus=0)[-1] == "  Linux on aarch64: untried; Linux on x86_64 is what is tested"
