"""Places on the images as items of a structured report."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from highdicom import sr
from pydicom import Dataset
from pydicom.sr.codedict import codes

from trabecula.export.codes import MM2
from trabecula.export.places import Place
from trabecula.export.regions import slice_of_each_frame


@dataclass(frozen=True)
class Mark:
    """A place and the images it is on: slices in the order of the grid as given, or the one enhanced CT."""

    place: Place
    instances: Sequence[Dataset]

    @cached_property
    def image(self) -> sr.SourceImageForRegion:
        """The slice, or the frame."""
        first = self.instances[0]
        if "PerFrameFunctionalGroupsSequence" not in first:
            shown = self.instances[self.place.number]
            return sr.SourceImageForRegion(shown.SOPClassUID, shown.SOPInstanceUID)
        frame = int(np.flatnonzero(slice_of_each_frame(first) == self.place.number)[0]) + 1
        return sr.SourceImageForRegion(first.SOPClassUID, first.SOPInstanceUID, [frame])

    def region(self) -> sr.ImageRegion:
        """The place as what a group of measurements is of."""
        return sr.ImageRegion(self.place.graphic, self.place.points, self.image)

    def source(self) -> sr.CoordinatesForMeasurement:
        """The place as what a number is inferred from."""
        return sr.CoordinatesForMeasurement(self.place.graphic, self.place.points, self.image)

    def area(self) -> list[sr.Measurement]:
        """The area of an outline; none of a point."""
        if not self.place.is_outline:
            return []
        return [sr.Measurement(name=codes.SCT.Area, value=round(self.place.area_mm2, 1), unit=MM2)]
