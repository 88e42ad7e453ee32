"""Names and numbers of the vertebrae, held against the VerSe convention and pydicom's own dictionary."""

from pydicom.sr.codedict import codes

from trabecula.anatomy import LEVELS, MEASURED_LEVELS, SNOMED_CODES, Level


def test_verse_identifiers() -> None:
    assert {level.value: level.verse_id for level in LEVELS} == {
        **{"T8": 15, "T9": 16, "T10": 17, "T11": 18, "T12": 19},
        **{"L1": 20, "L2": 21, "L3": 22, "L4": 23, "L5": 24, "S1": 26},
    }


def test_levels_run_from_cranial_to_caudal_and_the_measured_ones_lie_among_them() -> None:
    assert list(LEVELS) == sorted(LEVELS, key=lambda level: level.verse_id)
    first = LEVELS.index(Level.T11)
    assert LEVELS[first : first + len(MEASURED_LEVELS)] == MEASURED_LEVELS
    assert [level for level in LEVELS if level.is_lumbar] == [Level.L1, Level.L2, Level.L3, Level.L4, Level.L5]


def test_every_measured_level_has_the_snomed_concept_of_that_vertebra() -> None:
    assert set(SNOMED_CODES) == set(MEASURED_LEVELS)
    for level, code in SNOMED_CODES.items():
        concept = getattr(codes.SCT, f"{level.value}Vertebra")
        assert concept.value == code
