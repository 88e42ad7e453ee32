"""``trabecula list``, and ``screen --study --series`` after it."""

import json
from pathlib import Path

import pytest

from toys.program import Program
from trabecula.virtual.study import StudyHeader, write_dicom
from trabecula.volume import Volume


@pytest.fixture(scope="module")
def two_people(cylinder: Volume, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a CT of each of two people, the second one of 55 slices."""
    folder = tmp_path_factory.mktemp("two")
    for person, volume in enumerate((cylinder, Volume(cylinder.hu[:55], cylinder.affine))):
        header = StudyHeader(sex="F", age_years=70, slice_thickness_mm=3.0)
        write_dicom(volume, folder / str(person), seed=person, header=header)
    return folder


def test_two_people_are_refused_listed_and_read_by_choice(trabecula: Program, two_people: Path, tmp_path: Path) -> None:
    out = ("--out", tmp_path / "out", "--recipe", "blocks", "--quiet")
    refused = trabecula("screen", two_people, *out)
    assert refused.code == 3 and "Choose one: on the command line with --study" in refused.err

    shown = trabecula("list", two_people)
    assert shown.code == 0 and "--study 2   patient 2, " in shown.out and "(read if none is chosen)" in shown.out
    studies = json.loads(trabecula("list", two_people, "--json").out)
    small = next(study for study in studies if study["images"] == 55)

    for chosen in (str(small["number"]), small["uid"]):
        assert trabecula("screen", two_people, *out, "--study", chosen).code == 0
        found = json.loads((tmp_path / "out" / "assessment.json").read_text())
        assert "60 of another study" in next(r["message"] for r in found["reasons"] if r["code"] == "files-left-out")
    wrong = trabecula("screen", two_people, *out, "--study", "3")
    assert (wrong.code, "study-not-found" in wrong.err) == (2, True)


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("de", ("Patient 2, 55 Bilder", "55 Schichten alle 3 mm auf", "(wird gelesen, wenn keine gewählt ist)")),
        ("es", ("paciente 2, 55 imágenes", "55 cortes cada 3 mm en", "(se lee si no se elige ninguna)")),
        ("zh", ("患者 2, 55 幅图像", "55 层，层间距 3 mm", "(未选择时读取此序列)")),
    ],
)
def test_it_is_listed_in_each_language(
    trabecula: Program, two_people: Path, language: str, said: tuple[str, ...]
) -> None:
    shown = trabecula("list", two_people, "--language", language)
    assert shown.code == 0 and [one for one in said if one not in shown.out] == []
    assert "images" not in shown.out and "slices" not in shown.out


def test_what_cannot_be_listed_is_told_in_the_language(trabecula: Program, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("Dear colleague")
    refused = trabecula("list", tmp_path / "letter.txt", "--language", "de")
    assert refused.code == 3 and refused.err.startswith("Abgelehnt [unknown-format]: ")
    wrong = trabecula("list", tmp_path, "--language", "tlh")
    assert (wrong.code, "unknown-language" in wrong.err) == (2, True)


def test_an_image_of_another_kind_offers_nothing(trabecula: Program, ct: Path, tmp_path: Path) -> None:
    assert trabecula("list", ct).out == "No CT in DICOM was found here.\n"
    refused = trabecula("screen", ct, "--out", tmp_path / "out", "--study", "1")
    assert (refused.code, "nothing-to-choose" in refused.err) == (2, True)
