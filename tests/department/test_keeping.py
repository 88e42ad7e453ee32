"""CTs that the node received and did not screen go after their time too; what was screened is the page's."""

import time
from pathlib import Path

import pytest

from serving.conftest import trabecula
from toys.program import Program
from trabecula.department.keeping import forget, over_time
from trabecula.department.ledger import Ledger, Planned
from trabecula.department.spool import Spool
from trabecula.studies.audit import Asked, Trail
from trabecula.studies.tables import open_database

__all__ = ["trabecula"]
DAY = 86_400.0


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A node's folder with a study that was left out, one in quarantine, one screened and one that is coming."""
    data = tmp_path / "data"
    spool = Spool(data)
    spool.prepare()
    ledger = Ledger(open_database(f"sqlite:///{data / 'trabecula.sqlite'}"))
    for key in ("left", "broken", "screened", "coming"):
        (spool.folder / key).mkdir()
        (spool.folder / key / "one.dcm").write_bytes(bytes(1000))
        ledger.receiving(key, "CT1")
    ledger.quarantine("broken")
    for key in ("left", "broken", "screened"):
        ledger.came(key, new=True, last=True)
    for key in ("left", "screened"):
        ledger.take(key)
        (study,) = ledger.studies("taking")
        if key == "left":
            ledger.leave_out(study, "digest", "no-rule-fits", "No rule fits.")
        else:
            ledger.plan(study, Planned("digest", "a" * 32, "all", None, (), (), ("one.dcm",)))
    ledger.engine.dispose()
    return data


def test_only_what_became_no_study_is_over_time(data: Path) -> None:
    ledger = Ledger(open_database(f"sqlite:///{data / 'trabecula.sqlite'}"))
    later = time.time() + 91 * DAY
    assert list(over_time(ledger, Spool(data), 92, later)) == []
    found = list(over_time(ledger, Spool(data), 90, later))
    assert [(one.key, one.idle_days, one.bytes) for one in found] == [("left", 91, 1000), ("broken", 91, 1000)]
    ledger.engine.dispose()


def test_the_command_removes_it_and_what_came_is_still_known(data: Path, trabecula: Program, tmp_path: Path) -> None:
    ledger = Ledger(open_database(f"sqlite:///{data / 'trabecula.sqlite'}"))
    with ledger.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE node_studies SET changed = 0")
    rules = tmp_path / "retention.toml"
    rules.write_text("[ct]\nafter_days = 90\n")
    assert trabecula("retention", rules, "--data", data).out.count("would be removed") == 2
    assert len(Spool(data).files("left")) == 1
    assert trabecula("retention", rules, "--data", data, "--apply").code == 0
    assert [len(Spool(data).files(key)) for key in ("left", "broken", "screened", "coming")] == [0, 0, 1, 1]
    assert len(ledger.studies()) == 4
    removed = Trail(ledger.engine).lines(Asked(what="removed-ct"))
    assert [line["received"] for line in removed] == [1, 2]
    ledger.engine.dispose()


def test_what_was_removed_comes_back_whole_where_more_of_it_comes_meanwhile(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.prepare()
    (spool.folder / "key").mkdir()
    for name in ("one", "two"):
        (spool.folder / "key" / f"{name}.dcm").write_bytes(b"first")

    def sent_again() -> bool:
        (spool.folder / "key").mkdir()
        (spool.folder / "key" / "two.dcm").write_bytes(b"second")
        return True

    assert not spool.forget_unless("key", sent_again)
    assert [path.read_bytes() for path in spool.files("key")] == [b"first", b"second"]

    (spool.folder / "key").rename(spool.leaving / "key")  # as the node is killed in the middle
    spool.prepare()
    assert len(spool.files("key")) == 2

    assert spool.forget_unless("key", lambda: False)
    assert spool.files("key") == [] and list(spool.leaving.iterdir()) == []
    assert spool.forget_unless("key", lambda: False)


def test_what_comes_while_it_is_removed_stays_whole(data: Path, tmp_path: Path) -> None:
    ledger, spool = Ledger(open_database(f"sqlite:///{data / 'trabecula.sqlite'}")), Spool(data)
    left, broken = over_time(ledger, spool, 90, time.time() + 91 * DAY)
    slice_path = tmp_path / "late.dcm"
    slice_path.write_bytes(b"late")
    for one in (left, broken):  # as intake does: what comes is written down before any of it is kept
        ledger.receiving(one.key, "CT1")
    spool.keep(slice_path, left.key, "late")
    assert not forget(left, ledger, spool, "keeper")
    assert not forget(broken, ledger, spool, "keeper")
    assert [path.name for path in spool.files("left")] == ["late.dcm", "one.dcm"]
    assert [path.name for path in spool.files("broken")] == ["one.dcm"]
    assert list(Trail(ledger.engine).lines(Asked(what="removed-ct"))) == []
    assert [one.key for one in over_time(ledger, spool, 90, time.time() + 91 * DAY)] == []

    ledger.begin_again()  # the node was killed: nobody brings what is in quarantine
    assert [one.key for one in over_time(ledger, spool, 90, time.time() + 91 * DAY)] == ["broken"]
    ledger.engine.dispose()
