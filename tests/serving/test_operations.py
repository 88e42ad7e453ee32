"""Users, the audit trail, retention and the database, on the command line."""

import io
import json
from pathlib import Path

import pytest

from toys.program import Program
from trabecula.studies.store import Store, Upload
from trabecula.studies.tables import open_database

PASSWORD = "correct horse battery\n"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


def test_users_come_change_and_go_and_the_trail_says_so(
    trabecula: Program, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, more in (("ada", ()), ("bob", ("--role", "own"))):
        monkeypatch.setattr("sys.stdin", io.StringIO(PASSWORD))
        assert trabecula("users", "add", name, *more, "--data", data).code == 0
    assert trabecula("users", "role", "bob", "all", "--data", data).code == 0
    listed = trabecula("users", "list", "--data", data).out.splitlines()
    assert [line.split()[:2] for line in listed] == [["ada", "admin"], ["bob", "all"]]
    assert trabecula("users", "remove", "bob", "--data", data).code == 0
    assert trabecula("users", "role", "bob", "all", "--data", data).code == 2
    told = [json.loads(line) for line in trabecula("audit", "--json", "--data", data).out.splitlines()]
    assert [(line["what"], line["user"]) for line in told] == [
        ("user-added", "ada"),
        ("user-added", "bob"),
        ("user-changed", "bob"),
        ("user-removed", "bob"),
    ]
    assert all(line["who"].endswith("(command line)") for line in told)
    assert "read-audit" in trabecula("audit", "--data", data).out  # reading it is noted too


def test_what_is_asked_of_the_trail_narrows_it(trabecula: Program, data: Path) -> None:
    data.mkdir()
    store = Store(open_database(f"sqlite:///{data / 'trabecula.sqlite'}"))
    for number in (1, 2):
        store.enqueue(Upload(f"{number:032d}", "ct", "", "ada", False, "en"))
    assert trabecula("audit", "--study", 2, "--data", data).out.count("uploaded") == 1
    assert trabecula("audit", "--before", "2000-01-01", "--data", data).out == ""
    assert trabecula("audit", "--what", "stole", "--data", data).code == 2


def test_retention_tells_first_and_removes_when_asked(trabecula: Program, data: Path, tmp_path: Path) -> None:
    (data / "studies" / f"{1:032d}").mkdir(parents=True)
    store = Store(open_database(f"sqlite:///{data / 'trabecula.sqlite'}"))
    store.enqueue(Upload(f"{1:032d}", "ct", "", "ada", False, "en"))
    job = store.take_job()
    assert job is not None
    store.end_without_result(job.id, "refused", "too-slow", "")
    with store.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE studies SET received_utc = '2020-01-01T00:00:00+00:00'")
    rules = tmp_path / "retention.toml"
    rules.write_text("[study]\nafter_days = 100\n")
    assert "would be removed" in trabecula("retention", rules, "--data", data).out
    assert store.study(f"{1:032d}") is not None
    assert "removed" in trabecula("retention", rules, "--data", data, "--apply").out
    assert store.study(f"{1:032d}") is None and not (data / "studies" / f"{1:032d}").exists()


def test_the_database_says_its_step_is_brought_up_and_copied(trabecula: Program, data: Path) -> None:
    data.mkdir()
    assert "empty" in trabecula("database", "status", "--data", data).out
    assert trabecula("audit", "--data", data).code == 2
    assert trabecula("database", "upgrade", "--data", data).code == 0
    assert "current" in trabecula("database", "status", "--data", data).out
    copy = Path(trabecula("database", "backup", "--data", data).out.partition(": ")[2].strip())
    assert copy.parent == data / "backups" and copy.stat().st_mode & 0o777 == 0o600


def test_settings_may_name_a_command_below_another(trabecula: Program, data: Path, tmp_path: Path) -> None:
    settings = tmp_path / "trabecula.toml"
    settings.write_text(f'[database.upgrade]\ndata = "{data}"\n')
    data.mkdir()
    assert trabecula("--config", settings, "database", "upgrade").code == 0
    assert (data / "trabecula.sqlite").exists()
