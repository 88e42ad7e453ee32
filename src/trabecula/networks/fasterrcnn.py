"""Faster R-CNN for vertebrae on a coronal maximum intensity projection.

torchvision's detector over a small residual pyramid of our own: no pretrained weights are used, so the backbone is
sized for two cores (about 2.4 M parameters) and normalises by groups, which a batch of four can train.
"""

from collections import OrderedDict
from itertools import pairwise
from typing import Any

from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.ops import MultiScaleRoIAlign

from trabecula.anatomy import LEVELS

CANVAS = (448, 352)
"""Rows and columns of a projection once trained: 672 x 528 mm at 1.5 mm."""

CLASSES = 1 + len(LEVELS)
"""Background, then T8 to S1."""


class ResidualPyramid(nn.Module):
    """Strides 2 to 32, merged from the coarsest down to one map of stride 4 that has seen the whole image."""

    out_channels = 64

    def __init__(self, widths: tuple[int, ...] = (24, 48, 80, 128, 192)) -> None:
        super().__init__()
        self.stem = _convolve(1, widths[0], stride=2)
        stages = pairwise(widths)
        self.stages = nn.ModuleList(nn.Sequential(_Residual(a, b, 2), _Residual(b, b, 1)) for a, b in stages)
        self.lateral = nn.ModuleList(nn.Conv2d(w, self.out_channels, 1) for w in widths[1:])
        self.smooth = _convolve(self.out_channels, self.out_channels)

    def forward(self, image: Tensor) -> "OrderedDict[str, Tensor]":
        x = self.stem(image)
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        merged = self.lateral[-1](maps[-1])
        for lateral, fine in zip(list(self.lateral)[-2::-1], maps[-2::-1], strict=True):
            merged = lateral(fine) + functional.interpolate(merged, size=fine.shape[-2:], mode="nearest")
        return OrderedDict([("0", self.smooth(merged))])


def vertebra_detector() -> FasterRCNN:
    """A detector of T8 to S1 on projections (1, H, W) in 0 to 1, 1.5 mm pixels."""
    # Bodies are 28 to 55 mm wide and 18 to 35 mm high, so 19 to 37 by 12 to 23 pixels.
    anchors = AnchorGenerator(sizes=((17, 23, 30),), aspect_ratios=((0.45, 0.65, 0.9),))
    # torchvision skips its resizing in training only; these sizes make it a resizing by one afterwards.
    options: dict[str, Any] = {"_skip_resize": True, "min_size": CANVAS[1], "max_size": CANVAS[0]}
    return FasterRCNN(
        ResidualPyramid(),
        rpn_anchor_generator=anchors,
        rpn_pre_nms_top_n_train=600,
        rpn_pre_nms_top_n_test=300,
        rpn_post_nms_top_n_train=200,
        rpn_post_nms_top_n_test=100,
        rpn_nms_thresh=0.6,
        rpn_batch_size_per_image=128,
        box_batch_size_per_image=64,
        box_roi_pool=MultiScaleRoIAlign(["0"], output_size=7, sampling_ratio=2),
        box_head=TwoMLPHead(ResidualPyramid.out_channels * 49, 256),
        box_predictor=FastRCNNPredictor(256, CLASSES),
        box_score_thresh=0.02,
        box_nms_thresh=0.4,
        box_detections_per_img=80,
        image_mean=[0.0],
        image_std=[1.0],
        **options,
    )


class _Residual(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = _convolve(inputs, outputs, stride)
        self.second = nn.Sequential(nn.Conv2d(outputs, outputs, 3, padding=1, bias=False), nn.GroupNorm(8, outputs))
        self.shortcut = nn.Identity() if stride == 1 else nn.Conv2d(inputs, outputs, 1, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        return functional.silu(self.second(self.first(x)) + self.shortcut(x))


def _convolve(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False), nn.GroupNorm(8, outputs), nn.SiLU()
    )
