"""Draws the README's pictures of a report: ``python tools/pictures.py out/demo docs/images``, after ``trabecula demo``.

report.png is the head of the report; steps.png sets the CT, what was found in it and the answer side by side. Chromium
draws them, so that they are what a reader sees.
"""

import json
import sys
from base64 import b64encode
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import FloatRect, Page, sync_playwright

from trabecula.flow.read import read
from trabecula.records.codec import decode
from trabecula.report.figures import WINDOW_HU

CHROMIUM = "/usr/bin/chromium"
WIDTH_PX, STRIP_PX = 960, 1200
STEPS = (
    "1. A CT that shows the spine",
    "2. Vertebrae found, named, outlined",
    "3. The answer, and what to check first",
)
STYLE = """
* { margin: 0; box-sizing: border-box; } body { width: 1200px; padding: 16px; background: #fff;
  font: 600 17px "Liberation Sans", Arial, sans-serif; color: #17212b; }
main { padding: 12px; display: grid; grid-template-columns: 1fr 1.24fr 2.1fr; gap: 18px; }
h2 { margin-bottom: 8px; font-size: 14px; color: #0d5a68; } img { display: block; width: 100%; }
.two { display: flex; gap: 4px; } .two img { height: 330px; width: auto; }
.ct img { height: 330px; object-fit: cover; }
"""


def main(given: Path, out: Path) -> None:
    """Both pictures of the demonstration in ``given``."""
    result = given / "result"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH_PX, "height": 1400}, device_scale_factor=1.25)
        page.goto((result / "report.html").resolve().as_uri())
        page.screenshot(path=out / "report.png", clip=_head(page))
        answer = _answer(page)
        page.set_viewport_size({"width": STRIP_PX, "height": 420})
        page.set_content(_strip(_sagittal(given), result, answer))
        page.locator("main").screenshot(path=out / "steps.png")
        browser.close()


def _head(page: Page) -> FloatRect:
    """From the top to the end of pictures and table."""
    last = page.locator(".evidence").bounding_box()
    assert last is not None
    return {"x": 0, "y": 0, "width": WIDTH_PX, "height": last["y"] + last["height"] + 12}


def _answer(page: Page) -> bytes:
    """The part of the report that says category, density and what to check first."""
    first, last = page.locator(".answer").bounding_box(), page.locator(".notice").bounding_box()
    assert first is not None and last is not None
    x, y = first["x"] - 6, first["y"] + 6
    size = {"width": first["width"] + 12, "height": last["y"] + last["height"] - y + 6}
    return page.screenshot(clip={"x": x, "y": y, **size})


def _sagittal(given: Path) -> bytes:
    """The slice of the CT through the middle of L2, as a viewer shows it."""
    told = json.loads((given / "result" / "assessment.json").read_text(encoding="utf-8"))
    volume = read(given / "ct").volume
    found = decode(told).readings.vertebrae
    middle = volume.to_index(np.asarray(found[len(found) // 2].centroid_lps_mm))
    plane = volume.hu[::-1, :, round(float(middle[2]))]
    level, width = WINDOW_HU
    shades = np.clip((plane - level) / width + 0.5, 0, 1) * 255
    rows, columns = (round(n * mm) for n, mm in zip(plane.shape, volume.spacing_mm[:2], strict=True))
    held = BytesIO()
    Image.fromarray(shades.astype(np.uint8)).resize((2 * columns, 2 * rows), Image.Resampling.BICUBIC).save(held, "PNG")
    return held.getvalue()


def _strip(ct: bytes, result: Path, answer: bytes) -> str:
    views = [(result / name).read_bytes() for name in ("sagittal.png", "coronal.png")]
    found = f'<div class="two">{"".join(map(_image, views))}</div>'
    parts = (f'<div class="ct">{_image(ct)}</div>', found, _image(answer))
    sections = "".join(f"<section><h2>{said}</h2>{part}</section>" for said, part in zip(STEPS, parts, strict=True))
    return f"<style>{STYLE}</style><body><main>{sections}</main></body>"


def _image(png: bytes) -> str:
    return f'<img alt="" src="data:image/png;base64,{b64encode(png).decode("ascii")}">'


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
