"""``trabecula check``: every check says what it saw, a wrong number fails, and each failure says its cure."""

import json
import resource
from pathlib import Path

import pytest

from toys.program import Program
from trabecula.errors import Defect
from trabecula.serving import machine, self_test
from trabecula.studies.tables import open_database
from trabecula.weights import weights_named


@pytest.fixture
def roomy(monkeypatch: pytest.MonkeyPatch) -> None:
    """How much others leave of this machine is not what is tested."""
    monkeypatch.setattr(machine, "LEAST_MEMORY_MIB", 1)
    monkeypatch.setattr(machine, "LEAST_FREE_MIB", 1)


@pytest.mark.usefixtures("roomy")
def test_all_but_the_patient(trabecula: Program, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    assert trabecula("database", "upgrade", "--data", data).code == 0
    run = trabecula("check", "--quick", "--json", "--data", data)
    told = {one["what"]: one for one in json.loads(run.out)}
    named = {
        "packages",
        "weights",
        "disk",
        "memory",
        "files",
        "fonts en",
        "fonts zh",
        "fonts de",
        "fonts es",
        "viewer",
        "rights",
        "database",
    }
    assert set(told) == named
    assert (run.code, [what for what, one in told.items() if not one["good"]]) == (0, [])
    assert told["database"]["said"].startswith("sqlite, step ") and told["database"]["said"].endswith(" 0 studies")


def test_what_is_wrong_fails(trabecula: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "LEAST_FREE_MIB", 2**40)
    monkeypatch.setattr(machine, "LEAST_MEMORY_MIB", 2**40)
    monkeypatch.setattr(resource, "getrlimit", lambda what: (256, 512))
    data = tmp_path / "data"
    data.mkdir()
    (data / "secret").write_text("")
    data.chmod(0o700)
    (data / "secret").chmod(0o644)
    run = trabecula("check", "--quick", "--data", data, "--database", "sqlite:////nowhere/at/all.sqlite")
    assert run.code == 1
    failed = [line for line in run.out.splitlines() if line.startswith("  FAILS")]
    assert [line.split()[1] for line in failed] == ["disk", "memory", "files", "rights", "database"]
    assert "Make room" in failed[0] and "LimitNOFILE=" in failed[2] and "chmod go= " in failed[3]


@pytest.mark.usefixtures("roomy")
def test_a_check_changes_no_database(trabecula: Program, tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    assert "there is none yet" in trabecula("check", "--quick", "--data", tmp_path).out
    assert not (tmp_path / "trabecula.sqlite").exists()
    engine = open_database(f"sqlite:///{tmp_path / 'trabecula.sqlite'}")
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0001'")
    assert "a copy first" in trabecula("check", "--quick", "--data", tmp_path).out
    with engine.begin() as connection:
        assert connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar() == "0001"
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    assert "[database-unfit]" in trabecula("check", "--quick", "--data", tmp_path).out
    engine.dispose()


@pytest.mark.usefixtures("roomy")
def test_what_nobody_foresaw_fails_and_the_rest_goes_on(
    trabecula: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "memory", lambda: 1 / 0)
    run = trabecula("check", "--quick", "--json")
    told = {one["what"]: one for one in json.loads(run.out)}
    assert run.code == 1 and "ZeroDivisionError" in told["memory"]["said"] and told["viewer"]["good"]


def test_a_package_that_is_too_old_or_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.metadata, "requires", lambda name: ["numpy>=99", "no-such-thing>=1", "scipy>=1"])
    with pytest.raises(Defect) as wrong:
        machine.packages()
    assert "no-such-thing is missing" in wrong.value.message and "needed is >=99" in wrong.value.message


def test_the_limit_of_a_container_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("1073741824\n")
    (tmp_path / "memory.current").write_text("536870912\n")
    monkeypatch.setattr(machine, "CGROUP", tmp_path)
    assert machine.limit_mib() == 512
    with pytest.raises(Defect, match="512 MiB of memory are left to this container"):
        machine.memory()
    (tmp_path / "memory.max").write_text("max\n")
    assert machine.limit_mib() is None


def test_the_shipped_numbers_are_of_the_shipped_weights() -> None:
    shipped = json.loads(self_test.SHIPPED.read_text())
    assert shipped["weights"] == {name: weights_named(name).sha256 for name in shipped["weights"]}


@pytest.mark.slow
def test_the_demo_patient_reads_as_shipped(monkeypatch: pytest.MonkeyPatch) -> None:
    found = self_test.demo_numbers()
    monkeypatch.setattr(self_test, "demo_numbers", lambda: found)
    assert "7 vertebrae as shipped" in self_test.numbers_as_shipped().told()
    wrong = {**found, "densities_mg_cm3": {**found["densities_mg_cm3"], "L1": found["densities_mg_cm3"]["L1"] + 2}}
    monkeypatch.setattr(self_test, "demo_numbers", lambda: wrong)
    with pytest.raises(Defect, match="L1"):
        self_test.numbers_as_shipped()
