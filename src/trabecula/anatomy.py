"""The vertebrae we name: their order, VerSe identifiers and SNOMED CT codes."""

from enum import StrEnum


class Level(StrEnum):
    """A vertebral level, declared from cranial to caudal."""

    T8 = "T8"
    T9 = "T9"
    T10 = "T10"
    T11 = "T11"
    T12 = "T12"
    L1 = "L1"
    L2 = "L2"
    L3 = "L3"
    L4 = "L4"
    L5 = "L5"
    S1 = "S1"
    # Where nothing in view says which vertebrae these are: the first, second ... from above.
    UNKNOWN_1 = "unknown-1"
    UNKNOWN_2 = "unknown-2"
    UNKNOWN_3 = "unknown-3"
    UNKNOWN_4 = "unknown-4"
    UNKNOWN_5 = "unknown-5"
    UNKNOWN_6 = "unknown-6"
    UNKNOWN_7 = "unknown-7"
    UNKNOWN_8 = "unknown-8"
    UNKNOWN_9 = "unknown-9"
    UNKNOWN_10 = "unknown-10"
    UNKNOWN_11 = "unknown-11"

    @property
    def verse_id(self) -> int:
        """The VerSe label: T8 15 ... T12 19, L1 20 ... L5 24, S1 (the sacrum) 26; unknown ones, ours, 101 and on."""
        if not self.is_named:
            return 101 + UNKNOWN_LEVELS.index(self)
        return 26 if self is Level.S1 else 15 + LEVELS.index(self)

    @property
    def is_named(self) -> bool:
        return not self.value.startswith("unknown")

    @property
    def is_lumbar(self) -> bool:
        return self.value.startswith("L")


LEVELS: tuple[Level, ...] = tuple(level for level in Level if level.is_named)
"""Every level, cranial first."""

UNKNOWN_LEVELS: tuple[Level, ...] = tuple(level for level in Level if not level.is_named)
"""What vertebrae are called, from above, where their names cannot be known."""

MEASURED_LEVELS: tuple[Level, ...] = (Level.T11, Level.T12, Level.L1, Level.L2, Level.L3, Level.L4, Level.L5)
"""The levels that a result may hold by name."""

SNOMED_CODES: dict[Level, str] = {
    Level.T11: "12989004",
    Level.T12: "23215003",
    Level.L1: "66794005",
    Level.L2: "14293000",
    Level.L3: "36470004",
    Level.L4: "11994002",
    Level.L5: "49668003",
}
"""SNOMED CT concept of each vertebra, as in pydicom's concept dictionary."""
