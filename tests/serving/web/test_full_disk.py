"""A server whose disk fills up says so, keeps nothing half, and goes on once there is room."""

import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from serving.doors import ended_studies, known_studies, send, wrong_in
from serving.interrupted import small_disk

from .conftest import STUB, Server, end, launch, until


@pytest.fixture
def cramped(tmp_path: Path) -> Iterator[Server]:
    """A server on a small disk."""
    try:
        with small_disk(tmp_path / "disk", 4000) as disk:
            server = launch(disk / "data", *STUB)
            yield server
            end(server)
            server.process.wait(timeout=60)
    except PermissionError as error:
        pytest.skip(str(error))


def fill(disk: Path, but_for_bytes: int = 0) -> None:
    """Takes all the room that is left, but for so many bytes."""
    with (disk / "filler").open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(4096)):
            pass
    with (disk / "filler").open("rb+") as file:
        file.truncate((disk / "filler").stat().st_size - but_for_bytes)


def make_room(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,size=100m", str(disk)], check=True)


def test_a_study_whose_results_find_no_room_says_so_and_can_be_tried_again(
    cramped: Server, cylinder_nifti: Path
) -> None:
    cramped.hold.touch()
    study = cramped.upload(cylinder_nifti)
    until(lambda: cramped.state(study)["state"] == "running")
    fill(cramped.data.parent, but_for_bytes=200_000)
    cramped.hold.unlink()
    assert cramped.wait(study) == "failed"
    page = cramped.client.get(f"/studies/{study}").text
    assert "disk-full" in page and "no room" in page
    assert wrong_in(cramped.data, known_studies(cramped.data)) == []
    make_room(cramped.data.parent)
    cramped.client.post(f"/studies/{study}/retrial", data={"csrf": cramped.csrf()})
    assert cramped.wait(study) == "done"
    assert "could not be made" not in cramped.client.get(f"/studies/{study}").text


def test_a_database_without_room_holds_the_queue_up_and_no_longer(cramped: Server, cylinder_nifti: Path) -> None:
    disk = cramped.data.parent
    cramped.hold.touch()
    study = cramped.upload(cylinder_nifti)
    until(lambda: cramped.state(study)["state"] == "running")
    fill(disk)
    cramped.hold.unlink()
    until(lambda: "no room" in cramped.log or "worker ended" in cramped.log, seconds=120)
    make_room(disk)
    assert cramped.wait(study) == "done"
    assert wrong_in(cramped.data, ended_studies(cramped)) == []


def test_an_upload_that_the_database_has_no_room_for_leaves_nothing(cramped: Server, cylinder_nifti: Path) -> None:
    disk = cramped.data.parent
    sent = [send(cramped, cylinder_nifti) for _ in range(2)]
    ended_studies(cramped)
    size = cylinder_nifti.stat().st_size
    fill(disk, but_for_bytes=4 * size + 4096)
    (disk / "second").write_bytes(bytes(3 * size - 4096))  # admitted by its size, then no room beside it
    answers = [send(cramped, cylinder_nifti) for _ in range(3)]
    assert {one.status for one in answers} <= {201, 507} and 507 in {one.status for one in answers}
    make_room(disk)
    states = ended_studies(cramped)
    assert {one.study for one in (*sent, *answers) if one.study} == set(states)
    assert wrong_in(cramped.data, states) == []
