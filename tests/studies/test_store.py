"""The database, on SQLite and on a real PostgreSQL: the queue, versions, search, and what a lost worker leaves."""

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import text

from trabecula.errors import WrongUsage
from trabecula.messages import Phrase
from trabecula.quantity import Category, Measurement
from trabecula.records import (
    Acquisition,
    Assessment,
    Basis,
    Calibration,
    Diagnosis,
    Readings,
    Reason,
    Scan,
    Spine,
)
from trabecula.serving.web.login import Users
from trabecula.studies.listing import ANY, Sought
from trabecula.studies.orders import Limits, Orders
from trabecula.studies.result import Result
from trabecula.studies.store import SENT, SIGNED, Store, Upload
from trabecula.studies.supervisor import Supervisor, settle
from trabecula.studies.tables import open_database
from trabecula.volume import Orientation, Volume


def queued(store: Store, name: str, label: str = "") -> str:
    study_id = name.ljust(32, "0")
    store.enqueue(Upload(study_id, "ct", label, "ada", False, "en"))
    return study_id


def taken(store: Store) -> int:
    """The next job, begun."""
    job = store.take_job()
    assert job is not None
    return job.id


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
    store.keep_first(job.id, result("normal", 150.0))
    store.keep_correction(first, 1, "ada", ["L1 was left out."], result("osteopenia", 100.0))
    jobs = [store.take_job() for _ in range(4)]
    assert [(job.study_id, job.version) for job in jobs if job is not None] == [(first, 2), (second, 1), (third, 1)]
    assert jobs[3] is None


def test_every_version_stays(store: Store) -> None:
    study = queued(store, "a")
    store.keep_first(taken(store), result("normal", 150.0))
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


def test_search_and_sorting(store: Store) -> None:
    for name, label in (("a", "Phantom 100%"), ("b", "phantom_b"), ("c", "")):
        queued(store, name, label)
    store.keep_first(taken(store), result("normal", 150.0))
    store.end_without_result(taken(store), "refused", "not-ct", "No CT.")

    def labels(words: str = "", sort: str = "received", descending: bool = True) -> list[str]:
        return [study.label for study in store.studies(Sought(words, sort=sort, descending=descending))[0]]

    assert labels() == ["Study 3", "phantom_b", "Phantom 100%"]
    assert labels("PHANTOM") == ["phantom_b", "Phantom 100%"]
    assert labels("100%") == ["Phantom 100%"] and labels("m_b") == ["phantom_b"] and labels("%") == ["Phantom 100%"]
    assert labels("phantom refused") == ["phantom_b"] and labels("not-ct") == ["phantom_b"]
    assert labels("'; drop table studies") == []
    assert labels(sort="bmd", descending=False)[0] == labels(sort="bmd")[0] == "Phantom 100%"  # the others have none
    assert store.studies(ANY, 1, 1)[0][0].label == "phantom_b" and store.studies(ANY, 1, 1)[1] == 3
    assert store.ended_without_result() == [("not-ct", 1)]
    assert [study.label for study in store.with_result("", 9)] == ["Phantom 100%"]


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


def test_a_server_that_is_stopped_in_the_middle_of_a_study_costs_it_no_attempt(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def idle(_: Supervisor) -> "subprocess.Popen[str]":
        waits = "import sys; sys.stdin.read()"
        return subprocess.Popen([sys.executable, "-c", waits], stdin=subprocess.PIPE, text=True)

    monkeypatch.setattr(Supervisor, "_launch", idle)
    study = queued(store, "a")
    for _ in range(3):
        supervisor = Supervisor(Orders(tmp_path, "", None), store)
        supervisor.start()
        while supervisor.process is None:
            time.sleep(0.01)
        taken(store)
        supervisor.stop()
    waiting = store.study(study)
    assert waiting is not None and waiting.state == "queued"


def test_what_a_cancelled_job_still_says_changes_nothing(store: Store) -> None:
    study = queued(store, "a")
    late = taken(store)
    assert store.cancel(study) == late and store.retry(study, "niu2023")
    store.tell_progress(late, "segment", 0.9)
    store.keep_first(late, result("normal", 150.0))
    store.end_without_result(late, "failed", "defect", "")
    waiting = store.study(study)
    assert waiting is not None and (waiting.state, waiting.progress, waiting.latest) == ("queued", 0.0, 0)
    store.keep_first(taken(store), result("osteopenia", 100.0))
    assert store.versions(study)[0].assessment == result("osteopenia", 100.0).assessment_json


def doubted() -> Result:
    kept = result("normal", 150.0)
    said = (Reason("level-uncertain", "The names may be one off."),)
    return replace(kept, assessment=replace(kept.assessment, scan=replace(kept.assessment.scan, reasons=said)))


def test_what_is_doubted_is_signed_by_whoever_has_looked_at_it(store: Store) -> None:
    study = queued(store, "a")
    store.keep_first(taken(store), doubted())
    for what in (SIGNED, SENT):
        with pytest.raises(WrongUsage) as refused:
            store.act(study, 1, what, "ada")
        assert refused.value.code == "doubts-unseen" and store.acts(study) == []
    store.act(study, 1, SIGNED, "ada", doubts_seen=True)
    store.act(study, 1, SENT, "bob")
    told = [(one.what, one.made_by, one.doubts_seen) for one in store.acts(study)]
    assert told == [("signed", "ada", True), ("sent", "bob", False)]
    number = store.keep_correction(study, 1, "cyd", ("Said.",), doubted())
    with pytest.raises(WrongUsage) as refused:
        store.act(study, number, SENT, "bob")  # that was another version
    assert refused.value.code == "doubts-unseen"


def test_what_waits_to_be_measured_is_neither_signed_nor_sent_and_is_tried_again(store: Store) -> None:
    study = queued(store, "a")
    store.keep_first(taken(store), result("normal", 150.0))
    number = store.keep_correction(study, 1, "ada", ("Outlined.",), result("normal", 150.0), pending="L1")
    store.files_failed(study, number, "no room")
    assert not store.write_again(study, 1) and store.write_again(study, number)
    assert not store.write_again(study, number)  # it waits already
    for what in (SIGNED, SENT):
        with pytest.raises(WrongUsage) as refused:
            store.act(study, number, what, "ada", doubts_seen=True)
        assert refused.value.code == "region-waits"
    assert taken(store)
    store.keep_measured(study, number, result("osteopenia", 100.0))
    store.act(study, number, SIGNED, "ada")
    with pytest.raises(WrongUsage) as refused:
        store.act(study, 1, SIGNED, "ada")
    assert refused.value.code == "corrected-meanwhile"


def test_removal_waits_for_the_worker_and_takes_everything(store: Store) -> None:
    study = queued(store, "a")
    job = taken(store)
    assert not store.remove(study)
    store.keep_first(job, result("normal", 150.0))
    assert store.remove(study)
    assert store.study(study) is None and store.versions(study) == []


def test_the_revision_changes_with_the_list(store: Store) -> None:
    seen = [store.revision()]
    queued(store, "a")
    seen.append(store.revision())
    job = taken(store)
    seen.append(store.revision())
    store.tell_progress(job, "segment", 0.4)
    assert store.revision() == seen[-1]
    store.keep_first(job, result("normal", 150.0))
    seen.append(store.revision())
    assert len(set(seen)) == 4
    assert store.seen_by("bob").revision() == Store(store.engine, "nobody").revision()  # nothing of what others sent


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
