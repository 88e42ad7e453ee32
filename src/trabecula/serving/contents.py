"""``trabecula list``: the studies and series of an input, numbered as ``--study`` and ``--series`` take them."""

import json
from collections.abc import Sequence

from trabecula.dicom.contents import ListedSeries, ListedStudy
from trabecula.messages import DEFAULT_LANGUAGE, Phrase, messages
from trabecula.serving.terminal import printable


def contents_json(studies: Sequence[ListedStudy]) -> str:
    """The list for programs."""
    return json.dumps([study.to_dict() for study in studies], indent=1, ensure_ascii=False)


def contents_text(studies: Sequence[ListedStudy], language: str = DEFAULT_LANGUAGE) -> str:
    """The list for people; names and numbers of patients are not in it."""
    if not studies:
        return messages(language)["contents-none"]
    several = len({study.person for study in studies}) > 1
    lines = []
    for study in studies:
        images = Phrase("contents-images", {"number": study.images})
        person = (Phrase("contents-patient", {"number": study.person}),) if several else ()
        size = ", ".join(one.told(language) for one in (*person, images))
        about = ", ".join(part for part in (study.date, study.description) if part)
        lines.append(f"--study {study.number}   {size}{f' ({about})' if about else ''}")
        lines += [_series(one, language) for one in study.series]
    return "\n".join(printable(line) for line in lines)


def _series(one: ListedSeries, language: str) -> str:
    text = messages(language)
    named = (
        text["contents-series"].format(number=one.series_number) if one.series_number else text["contents-unnumbered"]
    )
    about = ", ".join(part for part in (named, one.description, one.kernel) if part)
    facts = {"slices": one.slices, "step_mm": one.step_mm, "coverage_mm": one.coverage_mm}
    best = f"  ({text['contents-best']})" if one.best else ""
    size = Phrase("contents-size", facts).told(language)
    return f"    --series {one.number}   {size}: {about}{best}"
