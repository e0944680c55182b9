"""Designs that an engineer would try first, as wishes for the choices of the search spaces.

A width counts at multiplier 1; every one is scaled to the limits at hand by
`hwkd.engine.setup.references`. Shapes follow the papers and the MLPerf Tiny models (mlcommons/tiny,
`benchmark/training`) as far as the spaces hold them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hwkd.core.student import ParamValue


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceDesign:
    """One design before it is scaled.

    Attributes:
        stem_stride: in multiples of the stride that the input asks for.
        widths: choice -> channels at multiplier 1.
        choices: choice -> value that does not depend on the width.
        axes: of the inputs that it is meant for: 1 for signals, 2 for images.
        is_first: whether it is tried before what trains faster.
    """

    name: str
    space: str
    stem_stride: int
    widths: Mapping[str, int]
    choices: Mapping[str, ParamValue]
    axes: tuple[int, ...] = (1, 2)
    is_first: bool = False


def _stages(what: str, *values: int) -> dict[str, int]:
    return {f"stage{number}_{what}": value for number, value in enumerate(values, start=1)}


def _widths(stem: int, *stages: int) -> dict[str, int]:
    return {"stem_channels": stem, **_stages("channels", *stages)}


def _kernels(*values: int) -> dict[str, int]:
    return _stages("kernel", *values)


def _separable(*blocks: int, expansion: int = 1) -> dict[str, ParamValue]:
    return {
        "stages": len(blocks),
        "squeeze_excite": "none",
        "head_channels": 0,
        **_stages("blocks", *blocks),
        **_kernels(*[3] * len(blocks)),
        **{f"stage{number}_expansion": expansion for number in range(2, len(blocks) + 1)},
        "stage1_expansion": 1,
        **{f"stage{number}_stride": 2 for number in range(3, len(blocks) + 1)},
    }


def _residual(*blocks: int) -> dict[str, ParamValue]:
    return {
        "activation": "relu",
        "stages": len(blocks),
        "convs_per_block": 2,
        **_stages("blocks", *blocks),
        **_kernels(*[3] * len(blocks)),
    }


def _plain(*convs: int, last_width: str = "same") -> dict[str, ParamValue]:
    return {
        "activation": "relu",
        "stages": len(convs),
        "last_width": last_width,
        **_stages("convs", *convs),
        **_kernels(*[3] * len(convs)),
    }


def _temporal(block: str, *kernels: int, skips: bool = False) -> dict[str, ParamValue]:
    return {
        "activation": "relu",
        "stem_kernel": 3,
        "block": block,
        "skips": skips,
        "dilation": 1,
        "stages": len(kernels),
        **_stages("blocks", *[1] * len(kernels)),
        **_kernels(*kernels),
    }


def _over_time(space: str) -> tuple[ReferenceDesign, ...]:
    """Return what convolutions over time alone are tried as first."""
    return (
        # Dense windows, wide at first: ten spoken digits, voices never heard, by hand .993.
        ReferenceDesign(
            name=f"dense convolutions over time, {space}",
            space=space,
            stem_stride=1,
            widths=_widths(32, 40, 48, 64),
            choices=_temporal("dense", 9, 5, 5),
            is_first=True,
        ),
        # Choi et al. 2019, arXiv:1904.03814.
        ReferenceDesign(
            name=f"TC-ResNet8 over time, {space}",
            space=space,
            stem_stride=1,
            widths=_widths(16, 24, 32, 48),
            choices=_temporal("residual", 9, 9, 9, skips=True),
        ),
        # Majumdar and Ginsburg 2020, arXiv:2004.08531.
        ReferenceDesign(
            name=f"separable convolutions over time, {space}",
            space=space,
            stem_stride=1,
            widths=_widths(64, 64, 64, 64),
            choices=_temporal("separable", 9, 15, 15, skips=True),
        ),
    )


def _pyramid(*blocks: int, convolutions: str) -> dict[str, ParamValue]:
    return {
        "activation": "relu",
        "convolutions": convolutions,
        "levels": len(blocks),
        **{f"level{number}_blocks": value for number, value in enumerate(blocks, start=1)},
    }


def _levels(*channels: int) -> dict[str, int]:
    return {f"level{number}_channels": value for number, value in enumerate(channels, start=1)}


REFERENCE_DESIGNS = (
    ReferenceDesign(
        name="plain dense 3x3",
        space="plain",
        stem_stride=2,
        widths=_widths(8, 16, 32),
        choices=_plain(2, 2, last_width="three quarters"),
    ),
    ReferenceDesign(
        name="plain dense 3x3, deep",
        space="plain",
        stem_stride=2,
        widths=_widths(8, 16, 24, 32),
        choices=_plain(2, 2, 2),
    ),
    # Zhang et al. 2017, arXiv:1711.07128, and MLPerf Tiny's keyword spotting.
    ReferenceDesign(
        name="DS-CNN",
        space="depthwise",
        stem_stride=2,
        widths=_widths(64, 64, 64),
        choices={"activation": "relu", **_separable(2, 2)},
    ),
    # Howard et al. 2017, arXiv:1704.04861, and MLPerf Tiny's visual wake words.
    ReferenceDesign(
        name="MobileNetV1 blocks",
        space="depthwise",
        stem_stride=2,
        widths=_widths(8, 16, 32, 64, 128),
        choices={"activation": "relu", **_separable(1, 2, 2, 3)},
    ),
    # Sandler et al. 2018, arXiv:1801.04381.
    ReferenceDesign(
        name="MobileNetV2 blocks",
        space="depthwise",
        stem_stride=2,
        widths=_widths(16, 8, 12, 16, 32),
        choices={"activation": "relu6", **_separable(1, 2, 3, 3, expansion=3)},
    ),
    # Zhang et al. 2017, arXiv:1707.01083.
    ReferenceDesign(
        name="ShuffleNet units",
        space="shuffle",
        stem_stride=2,
        widths=_widths(16, 32, 48, 96),
        choices={
            "activation": "relu",
            "groups": 2,
            "stages": 3,
            "skips": True,
            **_stages("blocks", 1, 2, 2),
            **_kernels(3, 3, 3),
        },
    ),
    # He et al. 2015, arXiv:1512.03385, and MLPerf Tiny's image classification.
    ReferenceDesign(
        name="ResNet-8",
        space="narrow_deep",
        stem_stride=1,
        widths=_widths(16, 16, 32, 64),
        choices=_residual(1, 1, 1),
    ),
    ReferenceDesign(
        name="ResNet, stem halved",
        space="narrow_deep",
        stem_stride=2,
        widths=_widths(16, 16, 24),
        choices=_residual(2, 1),
    ),
    # Choi et al. 2019, arXiv:1904.03814.
    ReferenceDesign(
        name="TC-ResNet8",
        space="narrow_deep",
        stem_stride=2,
        widths=_widths(16, 24, 32, 48),
        choices={**_residual(1, 1, 1), **_kernels(9, 9, 9)},
        axes=(1,),
    ),
    # One detector each, mAP@50 on validation, beside the pyramid after as long on one core: .426 to
    # .403 on scenes of five classes (60 s), .817 to .758 on nuts and bolts (40 s). In one search
    # with 12 channels at first and with 8, all else equal: .443 and .424 after six passes.
    ReferenceDesign(
        name="cells that look around, dense 3x3",
        space="detector",
        stem_stride=2,
        widths=_levels(12, 16, 36),
        choices=_pyramid(1, 1, 5, convolutions="dense"),
        is_first=True,
    ),
    # In the same search one with 20 channels at the cells had an mAP@50 on validation of .30 after
    # two passes and .617 after 53; the best of the former, .443 after six and .553 after 78.
    ReferenceDesign(
        name="cells that look around, from finer maps",
        space="detector",
        stem_stride=2,
        widths=_levels(8, 28, 24),
        choices=_pyramid(1, 3, 7, convolutions="dense"),
        is_first=True,
    ),
    # Lin et al. 2017, arXiv:1612.03144, with the one level that answers.
    ReferenceDesign(
        name="pyramid, dense 3x3",
        space="detector",
        stem_stride=2,
        widths=_levels(8, 16, 28, 40, 44),
        choices=_pyramid(1, 1, 1, 1, 1, convolutions="dense"),
    ),
    ReferenceDesign(
        name="pyramid, separable",
        space="detector",
        stem_stride=2,
        widths=_levels(8, 16, 48, 80, 104),
        choices=_pyramid(1, 1, 2, 2, 2, convolutions="separable"),
    ),
    # What things are counts more than where they end: weights lie where a position is as large as
    # a part of one.
    ReferenceDesign(
        name="down and half up, dense 3x3",
        space="segmenter",
        stem_stride=2,
        widths=_levels(8, 16, 26),
        choices=_pyramid(1, 1, 4, convolutions="dense") | {"finest": 2},
        is_first=True,
    ),
    # Ronneberger et al. 2015, arXiv:1505.04597, with the sums of LinkNet (arXiv:1707.03718).
    ReferenceDesign(
        name="down and up, dense 3x3",
        space="segmenter",
        stem_stride=2,
        widths=_levels(8, 16, 24, 36),
        choices=_pyramid(1, 1, 1, 1, convolutions="dense"),
    ),
    ReferenceDesign(
        name="down and up, separable",
        space="segmenter",
        stem_stride=2,
        widths=_levels(8, 24, 48, 80),
        choices=_pyramid(1, 1, 2, 2, convolutions="separable"),
    ),
    *_over_time("temporal"),
    *_over_time("streaming"),
)
