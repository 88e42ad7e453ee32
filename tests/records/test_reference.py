"""Where a density lies among people of the same age and sex, and tables that may not be used."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from trabecula.anatomy import Level
from trabecula.errors import WrongUsage
from trabecula.messages import Phrase
from trabecula.quantity import Category, Measurement
from trabecula.records import Acquisition, Assessment, Basis, Calibration, Diagnosis, Effect, Readings, Scan, Spine
from trabecula.records.codec import decode, to_json
from trabecula.records.reference import CHINA_BIOBANK, read_reference, reference_reason
from trabecula.screening import Beside, held_beside
from trabecula.volume import Orientation, Volume

TABLE = "sex,age_years,mean_mg_cm3,sd_mg_cm3\nF,40,160,30\nF,60,120,26\nF,80,80,24\nM,40,150,30\nM,80,90,28\n"


def result(bmd: float, sex: str | None = "F", age: float | None = 70.0) -> Assessment:
    said = Acquisition("dicom", patient_sex=sex, patient_age_years=age)
    scan = Scan(Volume(np.zeros((2, 2, 2), np.float32), np.eye(4)), Orientation(), said)
    density = Measurement(bmd, (bmd - 15, bmd + 15))
    found = Diagnosis(Category.OSTEOPENIA, Basis.BANDS, density, {}, (Level.L1, Level.L2))
    line = Calibration(Phrase("rung-default"), 1.4, 0.0, 0.045)
    return Assessment("house", scan, Spine((), 0.0), None, line, Readings((), Phrase("method-region")), found)


def written(folder: Path, text: str) -> str:
    path = folder / "clinic.csv"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_sites_table_is_read_between_its_ages(tmp_path: Path) -> None:
    reference = read_reference(written(tmp_path, TABLE))
    said = reference_reason(result(87.5), reference)
    assert said is not None and (said.code, said.effect) == ("reference", Effect.NOTE)
    # At 70 the women's mean is 100 and the SD 25.
    assert "clinic has a mean of 100" in said.message and "-12 from it, -0.5 standard" in said.message
    assert "no T-score" in said.message
    assert held_beside(result(87.5), Beside((), reference)).diagnosis.reasons == (said,)


def test_published_points_have_no_standard_deviation_and_none_is_invented() -> None:
    said = reference_reason(result(62.4, age=80.0), CHINA_BIOBANK)
    assert said is not None and "a mean of 62" in said.message and "standard deviations" not in said.message
    assert "China Biobank" in said.message
    assert read_reference("china-biobank") is CHINA_BIOBANK


@pytest.mark.parametrize(("sex", "age"), [(None, 70.0), ("F", None), ("O", 70.0), ("F", 95.0), ("F", 20.0)])
def test_without_age_or_sex_or_beyond_the_table_nothing_is_said(sex: str | None, age: float | None) -> None:
    assert reference_reason(result(90.0, sex, age), CHINA_BIOBANK) is None
    without = result(90.0)
    nothing = replace(without, diagnosis=replace(without.diagnosis, density=None))
    assert reference_reason(nothing, CHINA_BIOBANK) is None


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (TABLE + "M,70,95,28\n", "reference-unordered"),
        (TABLE.replace("F,60", "F,40"), "reference-unordered"),
        (TABLE + "X,50,100,25\n", "reference-sex"),
        (TABLE + "M,90,,25\n", "reference-without-number"),
        (TABLE + "M,90,nan,25\n", "reference-without-number"),
        (TABLE + "M,90,-80,25\n", "reference-impossible"),
        (TABLE + "M,90,80,0\n", "reference-impossible"),
        ("sex,age_years,mean_mg_cm3,sd_mg_cm3\n", "reference-empty"),
        ("", "reference-empty"),
    ],
)
def test_a_table_that_is_no_reference_is_wrong_usage(tmp_path: Path, text: str, code: str) -> None:
    with pytest.raises(WrongUsage) as refused:
        read_reference(written(tmp_path, text))
    assert refused.value.code == code
    with pytest.raises(WrongUsage):
        read_reference(str(tmp_path / "nowhere.csv"))


def test_the_population_goes_with_the_result_and_comes_back_from_its_json(tmp_path: Path) -> None:
    table = read_reference(written(tmp_path, TABLE))
    found = held_beside(result(87.5), Beside(None, table))
    back = decode(json.loads(to_json(found)))
    assert back.population == found.population == table
    assert back.population is not None and back.population.at("F", 70.0) == table.at("F", 70.0)
    told = json.loads(to_json(found))
    del told["population"]  # a result of an earlier version
    assert decode(told).population is None
