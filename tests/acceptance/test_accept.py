"""An acceptance from its files to the page to sign: real scans, a real database, the recipe of the house."""

import gzip
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from pypdf import PdfReader
from scipy import ndimage

from toys.phantoms import certificate, phantom_scan
from toys.program import Program
from trabecula.acceptance.plan import Read, read_plan
from trabecula.acceptance.precision import precision
from trabecula.acceptance.readers import vertebrae_read
from trabecula.anatomy import Level
from trabecula.errors import WrongUsage
from trabecula.recipes import recipe_named
from trabecula.records.codec import to_json
from trabecula.screening import silent
from trabecula.studies.correction import Correction, corrected
from trabecula.studies.drawing import Outline, keep_outline, kept_labels, waiting
from trabecula.studies.folders import Folders
from trabecula.studies.jobs import Task, screen_study, write_correction
from trabecula.studies.result import Result, result_from
from trabecula.studies.store import Store, Upload
from trabecula.studies.tables import open_database
from trabecula.studies.viewer import SPINE, labels_name, packed

CASES = 5
DRAWN = (Level.T12, Level.L1, Level.L2, Level.L3)
"""Of each of the first studies one: constant densities have no agreement."""

IN_PLANE = np.array([[[False], [True], [False]], [[True], [True], [True]], [[False], [True], [False]]])


class Page:
    """A data folder as the web page and its worker leave it."""

    def __init__(self, data: Path) -> None:
        self.folders = Folders(data)
        self.folders.prepare()
        self.store = Store(open_database(f"sqlite:///{data / 'trabecula.sqlite'}"))
        self.recipe = recipe_named("house")

    def screened(self, number: int, like: str | None, ct: Path) -> tuple[str, Result]:
        """A study with its result; a further one of the same scan is not computed again."""
        study = f"{number:032d}"
        folder = self.folders.study(study)
        if like is None:
            folder.mkdir()
            shutil.copy(ct, folder / "ct.nii.gz")
            result = screen_study(self.task(study), self.recipe, silent)
        else:
            shutil.copytree(self.folders.study(like), folder)
            version = self.store.version(like, 1)
            assert version is not None
            result = result_from(version.assessment, version.names)
        self.store.enqueue(Upload(study, "ct.nii.gz", "", "ada", False, "en"))
        job = self.store.take_job()
        assert job is not None
        self.store.keep_first(job.id, result)
        return study, result

    def task(self, study: str) -> Task:
        folder = self.folders.study(study)
        return Task(folder, folder / "ct.nii.gz", False, "en")

    def outlined(self, study: str, kept: Result, level: Level) -> None:
        """A reader draws one body smaller by a layer of voxels in the plane; the worker measures it."""
        folder = self.folders.study(study)
        region = keep_outline(folder, kept, 0, 2, self._shrunk(folder, level))
        made, changes = waiting(kept, region, self.recipe)
        number = self.store.keep_correction(study, 1, "ada", changes, made, None, 2, str(level))
        version = self.store.version(study, number)
        assert version is not None
        pending = result_from(version.assessment, version.names)
        done = write_correction(self.task(study), pending, number, self.recipe, 2, str(level))
        self.store.keep_measured(study, number, done)

    def _shrunk(self, folder: Path, level: Level) -> Outline:
        """The region without its outer layer, as the browser would send it: on the close-up's grid."""
        shown = {name: _image(folder / "view", name) for name in (SPINE, labels_name(0))}
        labels = shown[labels_name(0)]
        inside = ndimage.binary_erosion(np.asarray(labels.dataobj) == level.verse_id, IN_PLANE)
        low = np.rint((np.linalg.inv(shown[SPINE].affine) @ labels.affine)[:3, 3]).astype(int)
        return Outline(level, (int(low[0]), int(low[1]), int(low[2])), np.asarray(inside))


def _image(view: Path, name: str) -> nib.Nifti1Image:
    return nib.Nifti1Image.from_bytes(gzip.decompress(packed(view, name) or b""))


@pytest.fixture(scope="module")
def page(virtual_nifti: Path, tmp_path_factory: pytest.TempPathFactory) -> Page:
    """Six studies: four with a region drawn, the fifth is confirmed, nobody looked at the sixth."""
    made = Page(tmp_path_factory.mktemp("page") / "data")
    first, kept = made.screened(1, None, virtual_nifti)
    others = [made.screened(number, first, virtual_nifti)[0] for number in range(2, CASES + 2)]
    for level, study in zip(DRAWN, [first, *others], strict=False):
        made.outlined(study, kept, level)
    confirmed, changes = corrected(kept, Correction({}, {}, names_confirmed=True), made.recipe)
    made.store.keep_correction(others[-2], 1, "ada", changes, confirmed, confirmed=True)
    return made


def plan_of(folder: Path, text: str) -> Path:
    path = folder / "plan.toml"
    path.write_text(f'site = "A hospital"\n{text}', encoding="utf-8")
    return path


@pytest.mark.slow
def test_what_readers_did_is_found_in_the_page(page: Page) -> None:
    found = vertebrae_read(Read(data=page.folders.data))
    assert {one.case for one in found} == {1, 2, 3, 4, 5}  # nobody looked at the sixth
    drawn = [one for one in found if one.dice is not None]
    assert [(one.case, one.read_as) for one in drawn] == list(enumerate(DRAWN, 1))
    for one in drawn:
        assert one.dice is not None and 0.5 < one.dice < 1
        folder, label = page.folders.study(f"{one.case:032d}"), one.read_as.verse_id
        before, after = (kept_labels(folder, number) == label for number in (0, 2))
        assert one.dice == pytest.approx(2 * (before & after).sum() / (before.sum() + after.sum()))
        assert one.hu is not None and one.hu[0] != one.hu[1] and one.density_mg_cm3 is not None
    with pytest.raises(WrongUsage) as unread:
        vertebrae_read(Read(data=page.folders.data, studies=[6]))
    assert unread.value.code == "case-unread"


@pytest.mark.slow
def test_the_whole_of_it_comes_out_as_a_page_to_sign(page: Page, trabecula: Program, tmp_path: Path) -> None:
    certificate(tmp_path)
    scans = [phantom_scan(tmp_path, slope, name=f"scan-{n}").name for n, slope in enumerate((1.38, 1.384, 1.378))]
    version = page.store.version(f"{1:032d}", 1)
    assert version is not None
    once = result_from(version.assessment, version.names).assessment
    for number, factor in ((1, 1.0), (2, 1.02)):
        vertebrae = tuple(
            one if one.density is None else replace(one, density=replace(one.density, value=factor * one.density.value))
            for one in once.readings.vertebrae
        )
        again = replace(once, readings=replace(once.readings, vertebrae=vertebrae))
        (tmp_path / f"visit-{number}").mkdir()
        (tmp_path / f"visit-{number}" / "assessment.json").write_text(to_json(again))
    plan = plan_of(
        tmp_path,
        f"""
[phantom]
certificate = "model3.toml"
scans = {json.dumps(scans)}
[read]
data = "{page.folders.data}"
[repeat]
people = [["visit-1", "visit-2"]]
[limits]
cases = 5
repeats = 1
dice = 0.99
""",
    )
    ran = trabecula("accept", plan, "--out", tmp_path / "out")
    assert ran.code == 1, ran.err
    told = json.loads((tmp_path / "out" / "acceptance.json").read_text())
    criteria = {one["name"]: one for part in told["parts"] for one in part["criteria"]}
    assert criteria["scans read"]["outcome"] == "met" and criteria["cases read"]["outcome"] == "met"
    assert criteria["vertebrae named as the reader names them"]["found"].startswith("100.0")
    assert criteria["regions against those drawn, mean Dice"]["outcome"] == "not met" == told["outcome"]
    cv = criteria["precision error, RMS-CV"]
    assert cv["found"].startswith("1.4%")  # 2% between two: sqrt(1/2) of it
    assert sorted(told["changed"])[0].startswith("cases = 5 (else 20)")
    text = " ".join(one.extract_text() for one in PdfReader(tmp_path / "out" / "acceptance.pdf").pages)
    assert "A hospital" in text and "medical physicist" in text and "not met" in text
    page_text = (tmp_path / "out" / "acceptance.html").read_text()
    assert "data:image/svg+xml" in page_text and not re.search(r"(src|href)=.https?:", page_text)
    assert criteria["density, bias"]["outcome"] == "met" and criteria["density, bias"]["n"] == len(DRAWN)


def test_a_plan_without_parts_says_that_nothing_was_tested(trabecula: Program, tmp_path: Path) -> None:
    ran = trabecula("accept", plan_of(tmp_path, ""), "--out", tmp_path / "out")
    assert ran.code == 1 and ran.out.count("not tested") == 4


def test_a_phantom_whose_rods_are_missing_is_told_and_the_others_are_read(trabecula: Program, tmp_path: Path) -> None:
    certificate(tmp_path)
    phantom_scan(tmp_path, with_rods=False, name="empty")
    phantom_scan(tmp_path, name="whole")
    plan = plan_of(tmp_path, '[phantom]\ncertificate = "model3.toml"\nscans = ["empty", "whole"]\n')
    ran = trabecula("accept", plan, "--out", tmp_path / "out")
    assert "not met     scans refused: 1" in ran.out and "scans read: 1 of 2" in ran.out
    assert "phantom-rods-missing" in (tmp_path / "out" / "acceptance.html").read_text()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[limits]\ndyce = 0.9\n", "limits.dyce"),
        ("[limits]\ndice = 1.9\n", "limits.dice"),
        ('[repeat]\npeople = [["one"]]\n', "scanned once"),
        ("[limits\n", "line 2"),
        ('[read]\ndata = "nowhere"\n', "no folder"),
    ],
)
def test_a_slip_in_the_plan_is_told(trabecula: Program, tmp_path: Path, text: str, says: str) -> None:
    ran = trabecula("accept", plan_of(tmp_path, text), "--out", tmp_path / "out")
    assert ran.code == 2 and says in ran.err and not (tmp_path / "out").exists()


def test_a_plans_paths_begin_at_its_folder(tmp_path: Path) -> None:
    plan = read_plan(plan_of(tmp_path, '[phantom]\ncertificate = "a.toml"\nscans = ["b"]\n'))
    assert plan.phantom is not None and plan.phantom.scans == [tmp_path / "b"]


def test_the_precision_error_is_glueers() -> None:
    """Two people: SDs of 2 and 4 by hand; the mean square, not the mean, counts."""
    made = precision([[98.0, 102.0], [196.0, 204.0]])
    assert made.sd == pytest.approx(((8 + 32) / 2) ** 0.5) and made.freedom == 2
    assert made.cv == pytest.approx((8 / 100**2) ** 0.5)
    assert made.least_significant_change == pytest.approx(2.77 * made.sd)
    low, high = made.sd_interval
    assert low < made.sd < high
    three = precision([[100.0, 101.0, 102.0], [100.0, 102.0]])
    assert three.freedom == 3 and three.sd == pytest.approx((4 / 3) ** 0.5)
