"""The colour of each vertebra, the same in the viewer, in tables and wherever else regions are drawn."""

from trabecula.anatomy import UNKNOWN_LEVELS, USUAL_LEVELS, Level

COLOURS = ("#cb4b00", "#59fff9", "#b55597", "#c0ff60", "#ac08fd", "#ff841c", "#55beff")
"""Seven that every two of stay apart, neighbours the farthest, for people of any colour vision (Machado, Oliveira and
Fernandes 2009, deuteranopia and protanopia), and none of them grey as a CT is."""

FIRST = USUAL_LEVELS.index(Level.T11)
BESIDE = {Level.T13: COLOURS[4], Level.L6: COLOURS[1]}
"""Of the levels that few people have: like neither neighbour."""


def colour_of(level: Level) -> str:
    """As a CSS colour. T11 to L5 have one each; above them, and where names are unknown, the seven come again."""
    if level in BESIDE:
        return BESIDE[level]
    place = USUAL_LEVELS.index(level) - FIRST if level.is_named else UNKNOWN_LEVELS.index(level)
    return COLOURS[place % len(COLOURS)]


def swatch_of(level: Level) -> str:
    """The same as a name for a style sheet: ``level-3``."""
    return f"level-{COLOURS.index(colour_of(level))}"
