"""What a chain is called when its names are certain, uncertain and unknowable."""

import numpy as np
import pytest

from trabecula.anatomy import LEVELS, UNKNOWN_LEVELS, Level
from trabecula.errors import Refusal
from trabecula.flow.localise.naming import PITCH_MM, Candidate, best_chain, name_spine

SPACING_MM = (1.0, 1.0, 1.0)


def chain(levels: tuple[Level, ...], sure: float, forward_mm: float = 0.0) -> list[Candidate]:
    """Vertebrae at anatomical distances; each name gets ``sure``, its two neighbours share the rest."""
    candidates, z, y = [], 500.0, 100.0
    for level in levels:
        scores = np.zeros(len(LEVELS) + 2)
        index = LEVELS.index(level) + 1
        scores[[index - 1, index, index + 1]] = (1 - sure) / 2, sure, (1 - sure) / 2
        candidates.append(Candidate((z - 9, z + 9), (180, 220), scores[1:-1], y))
        step = PITCH_MM[level]
        z, y = z - float(np.sqrt(step**2 - forward_mm**2)), y + forward_mm
    return candidates


WHOLE = LEVELS[3:10]


def test_certain_names_carry_no_reason() -> None:
    boxes, reasons = name_spine(chain(WHOLE, 0.95), SPACING_MM)
    assert [box.level for box in boxes] == list(WHOLE)
    assert reasons == ()
    assert [box.y for box in boxes] == [100.0] * len(WHOLE)


def test_uncertain_names_are_given_with_a_reason() -> None:
    boxes, reasons = name_spine(chain(WHOLE, 0.6), SPACING_MM)
    assert [box.level for box in boxes] == list(WHOLE)
    assert [reason.code for reason in reasons] == ["level-uncertain"]
    assert all(box.confidence < 0.8 for box in boxes)


def test_where_one_name_is_as_good_as_the_next_none_is_given() -> None:
    boxes, reasons = name_spine(chain(WHOLE[:4], 0.36), SPACING_MM)
    assert [box.level for box in boxes] == list(UNKNOWN_LEVELS[:4])
    assert [reason.code for reason in reasons] == ["level-unknown"]
    assert "4 vertebrae" in reasons[0].message
    assert [box.z_range for box in boxes] == sorted((box.z_range for box in boxes), reverse=True)


def test_the_sacrum_is_no_unknown_vertebra() -> None:
    boxes, _ = name_spine(chain((Level.L3, Level.L4, Level.L5, Level.S1), 0.36), SPACING_MM)
    assert len(boxes) == 3


def test_distances_are_measured_along_a_spine_that_leans_forward() -> None:
    leaning = chain(WHOLE, 0.9, forward_mm=14.0)
    assert [LEVELS[k] for _, k in best_chain(leaning, SPACING_MM)] == list(WHOLE)


def test_one_vertebra_is_no_spine() -> None:
    with pytest.raises(Refusal, match="No two neighbouring vertebrae"):
        name_spine(chain((Level.L1,), 0.95), SPACING_MM)
