"""The database, on SQLite and on a real PostgreSQL: the queue, versions, search, and what a lost worker leaves."""

import json
import os
import pwd
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import text

from trabecula.errors import WrongUsage
from trabecula.messages import Phrase
from trabecula.quantity import Category, Measurement
from trabecula.records import Acquisition, Assessment, Basis, Calibration, Diagnosis, Readings, Scan, Spine
from trabecula.serving.web.login import Users
from trabecula.studies.orders import Limits, Orders
from trabecula.studies.result import Result
from trabecula.studies.store import Store, Upload
from trabecula.studies.supervisor import Supervisor, settle
from trabecula.studies.tables import Base, open_database
from trabecula.volume import Orientation, Volume


def postgresql_folder() -> Path | None:
    return max(Path("/usr/lib/postgresql").glob("*/bin"), default=None, key=lambda path: int(path.parent.name))


@pytest.fixture(scope="module")
def postgresql() -> Iterator[str]:
    """The URL of a PostgreSQL server of our own, on a socket of its own."""
    programs = postgresql_folder()
    if programs is None:
        pytest.skip("postgresql is not installed; tools/apt.sh installs it")
    owner = pwd.getpwnam("postgres") if os.geteuid() == 0 else None  # it does not run as root
    as_owner = {} if owner is None else {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
    with tempfile.TemporaryDirectory(prefix="trabecula-pg-") as folder:
        if owner is not None:
            os.chown(folder, owner.pw_uid, owner.pw_gid)
        data, port = f"{folder}/data", 5432  # names the socket

        def run(*command: str) -> None:
            subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL, **as_owner)  # type: ignore[call-overload]

        run(str(programs / "initdb"), "-D", data, "-U", "trabecula", "--auth", "trust", "--no-sync")
        options = f"-c listen_addresses= -c unix_socket_directories={folder} -p {port} -c fsync=off"
        run(str(programs / "pg_ctl"), "-D", data, "-o", options, "-w", "-l", f"{folder}/log", "start")
        try:
            yield f"postgresql+psycopg://trabecula@/postgres?host={folder}&port={port}"
        finally:
            run(str(programs / "pg_ctl"), "-D", data, "-m", "immediate", "-w", "stop")


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'studies.sqlite'}"
    else:
        url = request.getfixturevalue("postgresql")
    engine = open_database(url)
    yield Store(engine)
    Base.metadata.drop_all(engine)
    engine.dispose()


def queued(store: Store, name: str, label: str = "") -> str:
    study_id = name.ljust(32, "0")
    store.enqueue(Upload(study_id, "ct", label, "ada", False, "en"))
    return study_id


def result(category: str, bmd: float | None, notes: tuple[str, ...] = ()) -> Result:
    """Of a woman of 61 years in whom nothing is seen."""
    said = Acquisition("nifti", patient_sex="F", patient_age_years=61.0)
    density = None if bmd is None else Measurement(bmd, (bmd - 10, bmd + 10))
    scan = Scan(Volume(np.zeros((3, 3, 3), np.float32), np.eye(4)), Orientation(), said)
    found = Assessment(
        "house",
        scan,
        Spine((), 1.0),
        None,
        Calibration(Phrase("rung-assumed"), 1.5, 0.0, 0.1),
        Readings((), Phrase("method-network", {"error_sd": 5.0})),
        Diagnosis(Category(category), Basis.BANDS, density, {}, ()),
    )
    return Result(found, {}, notes)


def test_jobs_come_in_order_and_corrections_first(store: Store) -> None:
    first, second, third = (queued(store, name) for name in "abc")
    assert [(study.id, ahead) for study, ahead in store.active()] == [(first, 0), (second, 1), (third, 2)]
    job = store.take_job()
    assert job is not None and job.study_id == first
    store.keep_first(first, result("normal", 150.0))
    store.keep_correction(first, 1, "ada", ["L1 was left out."], result("osteopenia", 100.0))
    jobs = [store.take_job() for _ in range(4)]
    assert [(job.study_id, job.version) for job in jobs if job is not None] == [(first, 2), (second, 1), (third, 1)]
    assert jobs[3] is None


def test_every_version_stays(store: Store) -> None:
    study = queued(store, "a")
    store.take_job()
    store.keep_first(study, result("normal", 150.0))
    numbers = [store.keep_correction(study, 1, who, [who], result("osteopenia", 100.0)) for who in ("ada", "bob")]
    assert numbers == [2, 3]
    store.keep_files(study, 2, result("normal", 140.0, ("a note",)))
    store.files_failed(study, 3, "No room. [disk-full]")
    kept = store.versions(study)
    assert [(one.number, one.made_by, one.based_on, one.files) for one in kept] == [
        (1, "Trabecula", 0, "ready"),
        (2, "ada", 1, "ready"),
        (3, "bob", 1, "failed"),
    ]
    assert [json.loads(one.assessment)["diagnosis"]["category"] for one in kept] == ["normal", "normal", "osteopenia"]
    assert [json.loads(one.notes) for one in kept] == [[], ["a note"], ["No room. [disk-full]"]]
    found = store.study(study)
    assert found is not None and (found.latest, found.category, found.density, found.quantity) == (
        3,
        "osteopenia",
        100.0,
        "vbmd-k2hpo4",
    )
    assert (found.sex, found.age_years) == ("F", 61.0)


def test_a_database_from_before_each_study_had_a_recipe_is_still_read(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'studies.sqlite'}"
    engine = open_database(url)
    study = queued(Store(engine), "a")
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE studies DROP COLUMN recipe"))
    engine.dispose()
    store = Store(open_database(url))
    found = store.study(study)
    assert found is not None and found.recipe is None
    store.enqueue(Upload("b" * 32, "ct", "", "ada", False, "en", "niu2023"))
    chosen = store.study("b" * 32)
    assert chosen is not None and chosen.recipe == "niu2023"


def test_search_and_sorting(store: Store) -> None:
    for name, label in (("a", "Phantom 100%"), ("b", "phantom_b"), ("c", "")):
        queued(store, name, label)
    store.take_job()
    store.keep_first("a".ljust(32, "0"), result("normal", 150.0))
    store.take_job()
    store.end_without_result("b".ljust(32, "0"), "refused", "not-ct", "No CT.")

    def labels(words: str = "", sort: str = "received", descending: bool = True) -> list[str]:
        return [study.label for study in store.studies(sort, descending, words)[0]]

    assert labels() == ["Study 3", "phantom_b", "Phantom 100%"]
    assert labels("PHANTOM") == ["phantom_b", "Phantom 100%"]
    assert labels("100%") == ["Phantom 100%"] and labels("m_b") == ["phantom_b"] and labels("%") == ["Phantom 100%"]
    assert labels("phantom refused") == ["phantom_b"] and labels("not-ct") == ["phantom_b"]
    assert labels("'; drop table studies") == []
    assert labels(sort="bmd", descending=False)[0] == labels(sort="bmd")[0] == "Phantom 100%"  # the others have none
    assert store.studies(first=1, count=1)[0][0].label == "phantom_b" and store.studies(first=1, count=1)[1] == 3
    assert store.ended_without_result() == [("not-ct", 1)]
    assert [study.label for study, _ in store.latest_assessments()] == ["Phantom 100%"]


def test_what_a_lost_worker_leaves_is_put_back_once_then_given_up(store: Store) -> None:
    first, second = queued(store, "a"), queued(store, "b")
    store.take_job()
    settle(store, attempts=2)
    again = store.take_job()
    assert again is not None and (again.study_id, again.attempts) == (first, 2)  # at its old place
    settle(store, attempts=2)
    given_up = store.study(first)
    assert given_up is not None and (given_up.state, given_up.code) == ("failed", "worker-lost")
    following = store.take_job()
    assert following is not None and following.study_id == second


def test_removal_waits_for_the_worker_and_takes_everything(store: Store) -> None:
    study = queued(store, "a")
    store.take_job()
    assert not store.remove(study)
    store.keep_first(study, result("normal", 150.0))
    assert store.remove(study)
    assert store.study(study) is None and store.versions(study) == []


def test_the_revision_changes_with_the_list(store: Store) -> None:
    seen = [store.revision()]
    study = queued(store, "a")
    seen.append(store.revision())
    store.take_job()
    seen.append(store.revision())
    store.tell_progress(study, "segment", 0.4)
    assert store.revision() == seen[-1]
    store.keep_first(study, result("normal", 150.0))
    seen.append(store.revision())
    assert len(set(seen)) == 4


def test_users_and_logins(store: Store) -> None:
    users = Users(store.engine)
    assert not users.any()
    users.add("ada", "correct horse battery")
    assert users.any() and users.check("ada", "correct horse battery")
    assert not users.check("ada", "wrong horse battery") and not users.check("bob", "correct horse battery")
    token = users.log_in("ada")
    assert users.who(token) == "ada"
    with store.engine.begin() as connection:
        connection.execute(text("UPDATE logins SET until_utc = '2000-01-01T00:00:00+00:00'"))
    assert users.who(token) is None


@pytest.mark.parametrize("url", ["nonsense", "postgresql+psycopg://u:secret@127.0.0.1:1/x", "sqlite:////no/such/dir/x"])
def test_a_database_that_cannot_be_opened_is_told_without_its_address(url: str) -> None:
    with pytest.raises(WrongUsage) as refused:
        open_database(url)
    assert refused.value.code == "database-unreachable" and "secret" not in refused.value.message


def test_tables_of_another_version_are_left_alone(store: Store) -> None:
    with store.engine.begin() as connection:
        connection.execute(text("ALTER TABLE studies ADD COLUMN later TEXT"))
    with pytest.raises(WrongUsage) as refused:
        open_database(store.engine.url.render_as_string(hide_password=False))
    assert refused.value.code == "database-of-another-version"


def test_a_scan_that_takes_too_long_is_stopped_and_says_so(store: Store, tmp_path: Path) -> None:
    study = queued(store, "a")
    store.take_job()
    Supervisor(Orders(tmp_path, "", None, Limits(job_seconds=600)), store)._stop_what_takes_too_long()
    still = store.study(study)
    assert still is not None and still.state == "running"
    Supervisor(Orders(tmp_path, "", None, Limits(job_seconds=-1)), store)._stop_what_takes_too_long()
    stopped = store.study(study)
    assert stopped is not None and (stopped.state, stopped.code) == ("failed", "took-too-long")
    assert store.running_jobs() == []
