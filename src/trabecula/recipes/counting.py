"""The house recipe with names by counting: one network says what joins each body, and the ribs and the sacrum name it.

On virtual patients it names more rightly, and says why. On real CTs it still takes the first lumbar body, beside which
the last ribs pass, for one that bears them, so that it is a choice and not the default (docs/results/counting.md).
"""

from dataclasses import replace

from trabecula.flow.localise.counting import CountingLocaliser
from trabecula.recipes.house import HOUSE

COUNTING = replace(
    HOUSE,
    name="counting",
    source="Trabecula; as house, with names by counting ribs",
    localise=CountingLocaliser("house-counter"),
    about="As house, with the names told by counting ribs and the sacrum: better on virtual people, not yet on real.",
)
