"""What goes after its time, on SQLite and PostgreSQL, and what stays whatever its age."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from trabecula.errors import WrongUsage
from trabecula.studies.audit import Asked, Trail
from trabecula.studies.folders import Folders
from trabecula.studies.retention import Due, Rules, due, finish, remove, rules_from
from trabecula.studies.settling import settle_folders
from trabecula.studies.store import Store
from trabecula.studies.tables import open_database

from .test_store import queued, result

RULES = '[ct]\nafter_days = 90\n[study]\nafter_days = 3650\nalso = ["signed"]\n'


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders(tmp_path / "data")


def screened(store: Store, folders: Folders, name: str) -> str:
    """A study with a result, an upload of 1 MiB and what the viewer is given."""
    study = queued(store, name)
    job = store.take_job()
    assert job is not None
    store.keep_first(job.id, result("normal", 150.0))
    folder = folders.study(study)
    (folder / "ct").mkdir(parents=True)
    (folder / "ct" / "000000").write_bytes(bytes(2**20))
    (folder / "view").mkdir()
    (folder / "version-1").mkdir()
    (folder / "version-1" / "report.html").write_text("report")
    return study


def rules(tmp_path: Path, text: str = RULES) -> Rules:
    path = tmp_path / "retention.toml"
    path.write_text(text)
    return rules_from(path)


def found(store: Store, folders: Folders, of: Rules, days: float, answering: tuple[str, ...] = ()) -> list[Due]:
    return list(due(store, folders, of, answering, datetime.now(UTC) + timedelta(days=days)))


def test_the_ct_goes_first_and_the_result_stays(store: Store, folders: Folders, tmp_path: Path) -> None:
    study = screened(store, folders, "a")
    store.act(study, 1, "sent", "ada")
    assert found(store, folders, rules(tmp_path), 89) == []
    (one,) = found(store, folders, rules(tmp_path), 91)
    assert (one.part, one.kept_by, one.bytes) == ("ct", "", 2**20)
    assert folders.study(study).joinpath("ct").exists()  # it was only told
    forgotten: list[str] = []
    assert remove(one, store.used_by("keeper"), folders, forgotten.append) and forgotten == [study]
    left = {path.name for path in folders.study(study).iterdir()}
    kept = store.study(study)
    assert left == {"version-1"} and kept is not None and kept.ct_removed_utc and kept.category == "normal"
    assert found(store, folders, rules(tmp_path), 91) == []
    lines = list(Trail(store.engine).lines(Asked(what="removed-ct")))
    assert [(line["who"], line["study"]) for line in lines] == [("keeper", kept.number)]


def test_what_is_signed_or_to_check_goes_only_where_the_rules_say_so(
    store: Store, folders: Folders, tmp_path: Path
) -> None:
    unread, signed, waiting = (screened(store, folders, name) for name in "abc")
    queue = queued(store, "d")
    for what in ("signed", "sent"):
        store.act(signed, 1, what, "ada")
    store.act(waiting, 1, "sent", "ada")
    kept = {one.id: one.kept_by for one in found(store, folders, rules(tmp_path), 91, (waiting,))}
    assert kept == {unread: "to-check", signed: "signed", waiting: "answer", queue: "queue"}
    late = {one.id: (one.part, one.kept_by) for one in found(store, folders, rules(tmp_path), 3651)}
    assert late == {
        unread: ("study", "to-check"),
        signed: ("study", ""),
        waiting: ("study", ""),
        queue: ("study", "queue"),
    }
    both = rules(tmp_path, '[ct]\nafter_days = 1\nalso = ["signed", "to-check"]\n')
    assert {one.id for one in found(store, folders, both, 2) if not one.kept_by} == {unread, signed, waiting}


def test_a_study_goes_with_everything_and_its_number_is_never_given_again(
    store: Store, folders: Folders, tmp_path: Path
) -> None:
    study = screened(store, folders, "a")
    store.act(study, 1, "signed", "ada")
    (one,) = found(store, folders, rules(tmp_path), 3651)
    assert remove(one, store.used_by("keeper"), folders)
    assert store.study(study) is None and not folders.study(study).exists()
    (line,) = Trail(store.engine).lines(Asked(what="removed"))
    after = store.study(queued(store, "b"))
    assert after is not None and line["study"] == one.number != after.number


def test_a_change_begins_the_time_anew(store: Store, folders: Folders, tmp_path: Path) -> None:
    study = screened(store, folders, "a")
    store.keep_correction(study, 1, "ada", ["x"], result("normal", 150.0))
    store.keep_files(study, 2, result("normal", 150.0))
    (one,) = found(store, folders, rules(tmp_path), 91)
    assert (one.part, one.kept_by, one.idle_days) == ("ct", "", 91)


EVERYTHING = '[ct]\nafter_days = 90\nalso = ["signed", "to-check"]\n[study]\nafter_days = 3650\nalso = ["to-check"]\n'


@pytest.mark.parametrize("days", [91, 3651])
@pytest.mark.parametrize("did", ["corrected", "corrected and written", "signed"])
def test_what_a_reader_did_after_it_was_found_due_keeps_it(
    store: Store, folders: Folders, tmp_path: Path, days: float, did: str
) -> None:
    study = screened(store, folders, "a")
    text = EVERYTHING.replace('"signed", ', "")
    (one,) = found(store, folders, rules(tmp_path, text), days)
    assert one.kept_by == ""
    if did == "signed":
        store.act(study, 1, "signed", "ada")
    else:
        store.keep_correction(study, 1, "ada", ["x"], result("normal", 150.0))
        if did == "corrected and written":
            job = store.take_job()
            assert job is not None
            store.keep_files(study, 2, result("normal", 150.0))
    assert not remove(one, store, folders)
    kept = store.study(study)
    assert kept is not None and not kept.ct_removed_utc and (folders.study(study) / "ct" / "000000").exists()
    assert len(store.versions(study)) == (1 if did == "signed" else 2)


@pytest.mark.parametrize("days", [91, 3651])
def test_a_reader_who_comes_too_late_is_told(store: Store, folders: Folders, tmp_path: Path, days: float) -> None:
    study = screened(store, folders, "a")
    (one,) = found(store, folders, rules(tmp_path, EVERYTHING), days)
    assert remove(one, store, folders)
    code = "ct-removed" if one.part == "ct" else "study-gone"
    with pytest.raises(WrongUsage) as told:
        store.keep_correction(study, 1, "ada", ["x"], result("normal", 150.0))
    assert told.value.code == code
    assert not store.write_again(study, 1) and not store.retry(study) and store.take_job() is None
    if one.part == "study":
        with pytest.raises(WrongUsage) as told:
            store.act(study, 1, "signed", "ada")
        assert told.value.code == code


@pytest.mark.parametrize("days", [91, 3651])
def test_of_a_reader_and_the_removal_at_the_same_moment_one_gives_way(
    url: str, store: Store, folders: Folders, tmp_path: Path, days: float
) -> None:
    """Each over connections of its own, as two processes: a correction never rests on a CT that is gone."""
    studies = [screened(store, folders, f"{number:02d}x") for number in range(24)]
    due_now = found(store, folders, rules(tmp_path, EVERYTHING), days)
    assert len(due_now) == len(studies)
    reader, keeper = Store(open_database(url)), Store(open_database(url))
    told, begin = dict[str, str](), threading.Barrier(2, timeout=60)

    def correct() -> None:
        for study in studies:
            begin.wait()
            try:
                reader.keep_correction(study, 1, "ada", ["x"], result("normal", 150.0))
                told[study] = "kept"
            except WrongUsage as error:
                told[study] = error.code

    with ThreadPoolExecutor(1) as beside:
        reading = beside.submit(correct)
        gone = {}
        for one in due_now:
            begin.wait()
            gone[one.id] = remove(one, keeper, folders)
        reading.result()
    for one in (reader, keeper):
        one.engine.dispose()
    late = "ct-removed" if days < 100 else "study-gone"
    assert {study: told[study] for study in studies} == {study: late if gone[study] else "kept" for study in studies}
    for study in studies:
        assert (folders.study(study) / "ct" / "000000").exists() == (told[study] == "kept")
        assert len(store.versions(study)) == (2 if told[study] == "kept" else 0 if days > 100 else 1)


def test_a_removal_that_was_ended_half_way_is_ended_by_the_next(store: Store, folders: Folders, tmp_path: Path) -> None:
    study = screened(store, folders, "a")
    (one,) = found(store, folders, rules(tmp_path, EVERYTHING), 91)

    def killed(study: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        remove(one, store, folders, killed)
    folders.prepare()
    settle_folders(folders, store)  # a server that starts meanwhile
    assert (folders.study(study) / "ct").exists()
    forgotten: list[str] = []
    finish(store, folders, forgotten.append)
    finish(store, folders, forgotten.append)
    assert forgotten == [study] and {path.name for path in folders.study(study).iterdir()} == {"version-1"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[ct]\nafter = 3\n", "ct.after_days"),
        ("[ct]\nafter_days = 0\n", "ct.after_days"),
        ('[ct]\nafter_days = 3\nalso = ["unread"]\n', "ct.also"),
        ("", "no rule"),
        ("[ct\n", "line 1"),
    ],
)
def test_a_slip_in_the_rules_is_told(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(WrongUsage, match=says):
        rules(tmp_path, text)
