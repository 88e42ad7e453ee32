"""A killed run and a full disk leave nothing that is half there; benchmarks/interrupted.py tries many more."""

from pathlib import Path

import pytest

from trabecula.volume import Volume

from .interrupted import Place, disk_full, killed, packed_ct, small_disk, whole_run_seconds


@pytest.fixture(scope="module")
def given(cylinder: Volume, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return packed_ct(cylinder, tmp_path_factory.mktemp("given"))


def test_a_killed_run_leaves_the_earlier_result_whole_and_the_next_start_clears_up(given: Path, tmp_path: Path) -> None:
    place = Place(given, tmp_path / "results", tmp_path / "temporary")
    seconds = whole_run_seconds(place)
    for share in (0.5, 0.8, 0.95):
        killed(place, share * seconds)
        assert place.out.exists() and place.complaint() is None
    assert place.left_behind() == []


@pytest.mark.parametrize(
    ("filled", "kilobytes"), [("temporary", 4), ("temporary", 300), ("results", 4), ("results", 60)]
)
def test_a_disk_that_fills_up_is_a_sentence(given: Path, tmp_path: Path, filled: str, kilobytes: int) -> None:
    try:
        with small_disk(tmp_path / "disk", kilobytes) as disk:
            folders = {name: tmp_path / name for name in ("results", "temporary")} | {filled: disk / filled}
            assert disk_full(Place(given, **folders)) == (True, None)
    except PermissionError as error:
        pytest.skip(str(error))
