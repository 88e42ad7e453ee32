"""The vertebrae we name: their order, VerSe identifiers and SNOMED CT codes."""

from enum import StrEnum


class Level(StrEnum):
    """A vertebral level, declared from cranial to caudal; T13 and L6 are there for the few who have one."""

    C1 = "C1"
    C2 = "C2"
    C3 = "C3"
    C4 = "C4"
    C5 = "C5"
    C6 = "C6"
    C7 = "C7"
    T1 = "T1"
    T2 = "T2"
    T3 = "T3"
    T4 = "T4"
    T5 = "T5"
    T6 = "T6"
    T7 = "T7"
    T8 = "T8"
    T9 = "T9"
    T10 = "T10"
    T11 = "T11"
    T12 = "T12"
    T13 = "T13"
    L1 = "L1"
    L2 = "L2"
    L3 = "L3"
    L4 = "L4"
    L5 = "L5"
    L6 = "L6"
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
    UNKNOWN_12 = "unknown-12"
    UNKNOWN_13 = "unknown-13"
    UNKNOWN_14 = "unknown-14"
    UNKNOWN_15 = "unknown-15"
    UNKNOWN_16 = "unknown-16"
    UNKNOWN_17 = "unknown-17"
    UNKNOWN_18 = "unknown-18"
    UNKNOWN_19 = "unknown-19"
    UNKNOWN_20 = "unknown-20"
    UNKNOWN_21 = "unknown-21"
    UNKNOWN_22 = "unknown-22"
    UNKNOWN_23 = "unknown-23"
    UNKNOWN_24 = "unknown-24"
    UNKNOWN_25 = "unknown-25"
    UNKNOWN_26 = "unknown-26"

    @property
    def verse_id(self) -> int:
        """The VerSe label: C1 1 ... C7 7, T1 8 ... T12 19, L1 20 ... L6 25, S1 (the sacrum) 26, T13 28.

        Unnamed vertebrae, which VerSe has none of, are 101 and on.
        """
        if not self.is_named:
            return 101 + UNKNOWN_LEVELS.index(self)
        return _VERSE_IDS[self]

    @property
    def is_named(self) -> bool:
        return not self.value.startswith("unknown")

    @property
    def is_lumbar(self) -> bool:
        return self.value.startswith("L")

    @property
    def is_thoracic(self) -> bool:
        return self.value.startswith("T")


NAMED_LEVELS: tuple[Level, ...] = tuple(level for level in Level if level.is_named)
"""Every level that has a name, cranial first."""

USUAL_LEVELS: tuple[Level, ...] = tuple(level for level in NAMED_LEVELS if level not in (Level.T13, Level.L6))
"""Those of a spine of twelve thoracic and five lumbar vertebrae, cranial first."""

UNKNOWN_LEVELS: tuple[Level, ...] = tuple(level for level in Level if not level.is_named)
"""What vertebrae are called, from above, where their names cannot be known."""

_VERSE_IDS: dict[Level, int] = {
    **{level: number for number, level in enumerate(USUAL_LEVELS, 1)},
    Level.L6: 25,
    Level.S1: 26,
    Level.T13: 28,
}

LEVELS: tuple[Level, ...] = USUAL_LEVELS[USUAL_LEVELS.index(Level.T8) :]
"""T8 to S1: those that the localisers shipped so far can name."""

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
