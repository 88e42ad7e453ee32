"""``trabecula list``: the studies and series of an input, numbered as ``--study`` and ``--series`` take them."""

import json
from collections.abc import Sequence

from trabecula.dicom.contents import ListedSeries, ListedStudy
from trabecula.serving.terminal import printable


def contents_json(studies: Sequence[ListedStudy]) -> str:
    """The list for programs."""
    return json.dumps([study.to_dict() for study in studies], indent=1, ensure_ascii=False)


def contents_text(studies: Sequence[ListedStudy]) -> str:
    """The list for people; names and numbers of patients are not in it."""
    if not studies:
        return "No CT in DICOM was found here."
    several = len({study.person for study in studies}) > 1
    lines = []
    for study in studies:
        person = f"patient {study.person}, " if several else ""
        told = ", ".join(part for part in (study.date, study.description) if part)
        lines.append(f"--study {study.number}   {person}{study.images} images{f' ({told})' if told else ''}")
        lines += [_series(one) for one in study.series]
    return "\n".join(printable(line) for line in lines)


def _series(one: ListedSeries) -> str:
    named = f"series {one.series_number}" if one.series_number else "series without a number"
    told = ", ".join(part for part in (named, one.description, one.kernel) if part)
    size = f"{one.slices} slices every {one.step_mm:.3g} mm over {one.coverage_mm:.0f} mm"
    return f"    --series {one.number}   {size}: {told}{'  (read if none is chosen)' if one.best else ''}"
