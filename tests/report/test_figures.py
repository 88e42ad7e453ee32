"""Pictures: the right way round, in the body's proportions, along a bent spine, each vertebra marked for what it is."""

from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageColor

from trabecula.anatomy import Level
from trabecula.palette import colour_of
from trabecula.records import Assessment, Regions
from trabecula.report.figures import marked, overlays

Blocks = Callable[..., Assessment]
Turned = Callable[[Assessment], Assessment]
BODY_MM = (8.0, 11.0, 15.0)
"""Half axes of the blocks' bodies."""


def picture(png: bytes) -> np.ndarray[Any, Any]:
    return np.asarray(Image.open(BytesIO(png)).convert("RGB")).astype(int)


def inked(image: np.ndarray[Any, Any], level: Level) -> np.ndarray[Any, Any]:
    """Where a picture has the colour that a level has in the viewer too."""
    return (image == ImageColor.getrgb(colour_of(level))).all(axis=2)


def rows_of(image: np.ndarray[Any, Any], level: Level) -> np.ndarray[Any, Any]:
    return np.flatnonzero(inked(image, level).any(axis=1))


@pytest.mark.parametrize(
    ("name", "bright", "half"),
    [
        ("sagittal.png", np.s_[36:], np.s_[:240]),  # superior is up
        ("coronal.png", np.s_[36:], np.s_[:240]),
        ("sagittal.png", np.s_[:, :36], np.s_[:, :200]),  # anterior is on the left
        ("axial-L1.png", np.s_[:, :36], np.s_[:150]),  # and up
        ("coronal.png", np.s_[:, :, :37], np.s_[:, :220]),  # the patient's right is on the left
        ("axial-L1.png", np.s_[:, :, :36], np.s_[:, :180]),
    ],
)
def test_pictures_are_the_right_way_round(blocks: Blocks, name: str, bright: Any, half: Any) -> None:
    made = blocks()
    made.scan.volume.hu[bright] += 500
    image = picture(overlays(made)[name]).mean(axis=2)
    assert image[half].mean() > image.mean() + 15


def test_pictures_keep_the_proportions_of_the_body(blocks: Blocks) -> None:
    rows, columns = np.nonzero(inked(picture(overlays(blocks())["axial-L1.png"])[:280], Level.L1))
    assert np.ptp(rows) / 4 == pytest.approx(2 * BODY_MM[1], abs=2.5)
    assert np.ptp(columns) / 4 == pytest.approx(2 * BODY_MM[2], abs=2.5)


def test_every_body_of_a_bent_spine_is_shown_in_both_views(blocks: Blocks) -> None:
    pictures = overlays(blocks())
    for name in ("sagittal.png", "coronal.png"):
        withheld, l1, l2 = (rows_of(picture(pictures[name]), level) for level in (Level.T12, Level.L1, Level.L2))
        assert withheld.size and withheld.mean() < l1.mean() < l2.mean()
        for rows in (l1, l2):
            assert np.ptp(rows) / 4 == pytest.approx(2 * BODY_MM[0], abs=3.5)


def test_every_vertebra_is_marked_for_what_it_is(blocks: Blocks, as_classifier: Turned) -> None:
    for made in (blocks(), as_classifier(blocks())):
        assert [(mark.name, mark.standing) for mark in marked(made)] == [
            ("(T12)", "withheld"),
            ("L1", "used"),
            ("L2", "used"),
        ]


def test_a_vertebra_that_decides_nothing_is_measured_and_one_without_a_region_only_seen(blocks: Blocks) -> None:
    made = blocks()
    labels = np.where(made.labels == Level.L2.verse_id, 0, made.labels).astype(np.uint8)
    diagnosis = replace(made.diagnosis, levels_used=(Level.L2,))
    seen = marked(replace(made, regions=Regions(labels, ()), diagnosis=diagnosis))
    assert [mark.standing for mark in seen] == ["withheld", "measured", "seen"]


def test_where_nothing_is_outlined_the_vertebrae_are_named_all_the_same(blocks: Blocks) -> None:
    bare = replace(blocks(), regions=None)
    assert [mark.standing for mark in marked(bare)] == ["withheld", "used", "used"]
    pictures = overlays(bare)
    assert set(pictures) == set(overlays(blocks()))
    image = picture(pictures["sagittal.png"])
    assert rows_of(image, Level.L1).size == 0
    assert (image == 255).all(axis=2).any()  # the names
