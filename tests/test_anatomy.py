"""Names and numbers of the vertebrae, held against the VerSe convention and pydicom's own dictionary."""

from pydicom.sr.codedict import codes

from trabecula.anatomy import (
    LEVELS,
    MEASURED_LEVELS,
    NAMED_LEVELS,
    SNOMED_CODES,
    UNKNOWN_LEVELS,
    USUAL_LEVELS,
    Level,
)


def test_verse_identifiers() -> None:
    """Sekuboyina 2021: 1 to 7 cervical, 8 to 19 thoracic, 20 to 25 lumbar, 26 the sacrum, 28 a thirteenth thoracic."""
    assert {level.value: level.verse_id for level in NAMED_LEVELS} == {
        **{f"C{number}": number for number in range(1, 8)},
        **{f"T{number}": 7 + number for number in range(1, 13)},
        **{f"L{number}": 19 + number for number in range(1, 7)},
        **{"S1": 26, "T13": 28},
    }


def test_no_two_vertebrae_share_an_identifier_and_each_fits_a_byte() -> None:
    numbers = [level.verse_id for level in Level]
    assert len(set(numbers)) == len(numbers) and min(numbers) > 0 and max(numbers) < 256
    assert len(UNKNOWN_LEVELS) >= len(NAMED_LEVELS) - 2  # a whole spine of which no name is known


def test_levels_are_declared_from_cranial_to_caudal_and_the_usual_ones_are_numbered_so() -> None:
    assert list(USUAL_LEVELS) == sorted(USUAL_LEVELS, key=lambda level: level.verse_id)
    assert list(Level) == [*NAMED_LEVELS, *UNKNOWN_LEVELS]
    t13, l6 = NAMED_LEVELS.index(Level.T13), NAMED_LEVELS.index(Level.L6)
    assert NAMED_LEVELS[t13 - 1 : t13 + 2] == (Level.T12, Level.T13, Level.L1)
    assert NAMED_LEVELS[l6 - 1 : l6 + 2] == (Level.L5, Level.L6, Level.S1)


def test_the_localisers_levels_are_a_stretch_of_the_spine_that_holds_the_measured_ones() -> None:
    assert [level.value for level in LEVELS] == ["T8", "T9", "T10", "T11", "T12", "L1", "L2", "L3", "L4", "L5", "S1"]
    first = LEVELS.index(Level.T11)
    assert LEVELS[first : first + len(MEASURED_LEVELS)] == MEASURED_LEVELS
    assert [level.value for level in Level if level.is_lumbar] == ["L1", "L2", "L3", "L4", "L5", "L6"]
    assert [level.value for level in Level if level.is_thoracic] == [f"T{number}" for number in range(1, 14)]


def test_every_measured_level_has_the_snomed_concept_of_that_vertebra() -> None:
    assert set(SNOMED_CODES) == set(MEASURED_LEVELS)
    for level, code in SNOMED_CODES.items():
        concept = getattr(codes.SCT, f"{level.value}Vertebra")
        assert concept.value == code
