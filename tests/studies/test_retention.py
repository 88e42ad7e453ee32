"""What goes after its time, on SQLite and PostgreSQL, and what stays whatever its age."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from trabecula.errors import WrongUsage
from trabecula.studies.audit import Asked, Trail
from trabecula.studies.folders import Folders
from trabecula.studies.retention import Due, Rules, due, remove, rules_from
from trabecula.studies.store import Store

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
