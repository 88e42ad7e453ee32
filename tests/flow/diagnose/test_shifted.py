"""A category that depends on the names being right says so."""

from trabecula.anatomy import Level
from trabecula.flow.diagnose.bands import BandDiagnosis
from trabecula.flow.diagnose.shifted import NamesShifted, shifted
from trabecula.messages import Phrase
from trabecula.quantity import Category, Measurement
from trabecula.records import Effect, Readings, VertebraReading

DIAGNOSE = NamesShifted(BandDiagnosis())


def readings(**bmd_by_level: float) -> Readings:
    vertebrae = tuple(
        VertebraReading(Level(name), (0.0, 0.0, 0.0), 12000.0, 140.0, 30.0, Measurement(bmd, (bmd - 15, bmd + 15)))
        for name, bmd in bmd_by_level.items()
    )
    return Readings(vertebrae, Phrase("method-network", {"error_sd": 10.0}))


def test_the_same_category_one_level_up_and_down_adds_nothing() -> None:
    given = readings(T12=100.0, L1=98.0, L2=96.0, L3=95.0)
    assert DIAGNOSE(given) == BandDiagnosis()(given)


def test_another_category_one_level_up_is_said_and_changes_nothing() -> None:
    result = DIAGNOSE(readings(T12=130.0, L1=118.0, L2=110.0, L3=108.0))
    assert result.category is Category.OSTEOPENIA
    assert [(one.code, one.effect) for one in result.reasons] == [("category-depends-on-names", Effect.NOTE)]
    assert "Normal" in result.reasons[0].message
    assert "Osteoporosis" not in result.reasons[0].message


def test_a_level_that_would_leave_view_takes_no_part() -> None:
    # L1 and L2 called T12 and L1 leave no L2: there is no second category to compare with.
    assert DIAGNOSE(readings(L1=118.0, L2=110.0)).reasons == ()


def test_what_cannot_be_diagnosed_is_left_as_it_is() -> None:
    given = readings(L4=90.0)
    assert DIAGNOSE(given) == BandDiagnosis()(given)


def test_names_move_by_one_and_unnamed_vertebrae_leave() -> None:
    moved = shifted(readings(T12=1.0, L5=2.0), 1)
    assert [one.level for one in moved.vertebrae] == [Level.L1, Level.S1]
    unnamed = Readings((VertebraReading(Level.UNKNOWN_1, (0.0, 0.0, 0.0), 1.0, 1.0, 1.0, None),), Phrase("none"))
    assert shifted(unnamed, 1).vertebrae == ()
