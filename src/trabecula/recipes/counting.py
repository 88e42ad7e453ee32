"""The house recipe with names by counting: one network says what joins each body, two others what it looks like.

Its doubts mean more than the default's, and it says why it gives a name. Of six real CTs it names three and withholds
the names of the others, so that it is a choice and not the default (docs/results/counting.md).
"""

from dataclasses import replace

from trabecula.flow.localise.counting import CountingLocaliser
from trabecula.flow.localise.looks import NamesByLooks
from trabecula.flow.localise.projection import ProjectionLocaliser
from trabecula.recipes.house import HOUSE

COUNTING = replace(
    HOUSE,
    name="counting",
    source="Trabecula; as house, with names by counting ribs",
    localise=CountingLocaliser(
        "house-counter", looks=NamesByLooks("house-finder"), projection=ProjectionLocaliser("niu2023-localiser")
    ),
)
