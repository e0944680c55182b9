"""Temporal students: convolutions over time alone, as of spectra and of sensors."""

from __future__ import annotations

from dataclasses import dataclass

from hwkd.core.catalog import SEARCH_SPACES
from hwkd.core.layers_builder import LayersBuilder, is_tiny, max_stages
from hwkd.core.room import Room
from hwkd.core.space import Params, Space, activation_of, choose_width
from hwkd.core.stem import choose_activation, choose_stem
from hwkd.core.student import Activation, Chooser, Layers, StudentSpec

# (fewest, most) channels of the stem and of the stages after it
_WIDTHS = ((8, 32), (12, 40), (16, 48), (24, 64), (24, 64))
_TINY_WIDTHS = ((8, 24), (8, 32), (12, 40), (16, 48), (16, 48))
_KERNELS = (3, 5, 9, 15)
_DILATIONS = (1, 2, 4)
_BLOCKS = ("residual", "separable", "dense")


@dataclass(frozen=True)
class TemporalSpace(Space):
    """A stem that takes all frequencies or sensors at once, then stages that halve the time.

    The first convolution spans the whole height, so that a spectrum is read as (bins, time) and
    what follows is one row: a wide window over time costs few weights and little work. Blocks are
    those of TC-ResNet (arXiv:1904.03814), two convolutions and a skip with one of 1x1 where time
    is halved, separable ones with wide windows (arXiv:2004.08531), or one dense convolution.
    Windows that do not halve the time may be dilated (arXiv:1811.07684).

    Attributes:
        is_padded: windows reach over both ends of the input, over zeros. Without, what a layer
            answers at a moment follows from the input alone, and not from where its window began.
    """

    name: str = "temporal"
    summary: str = "convolutions over time alone: spectra and sensors (of pictures only when named)"
    is_for_signals: bool = True
    is_padded: bool = True

    def choose(self, chooser: Chooser, input_shape: tuple[int, ...], room: Room) -> Params:
        """Sample the kind of blocks, widths, depths, windows over time and the activation."""
        as_signal = (input_shape[0], input_shape[-1])
        most = max_stages(as_signal)
        widths = _TINY_WIDTHS if is_tiny(as_signal) else _WIDTHS
        stages = chooser.integer("stages", room.fewest_stages(most), most)
        params: Params = {
            **choose_activation(chooser, room),
            **choose_stem(chooser, room, as_signal, widths[0]),
            "stem_kernel": chooser.categorical("stem_kernel", _KERNELS[:2]),
            "block": chooser.categorical("block", _BLOCKS),
            "skips": chooser.categorical("skips", room.affordable((False, True), lean=1)),
            "dilation": chooser.categorical("dilation", _DILATIONS),
            "stages": stages,
        }
        for stage in range(1, stages + 1):
            key = f"stage{stage}"
            params |= choose_width(chooser, room, f"{key}_channels", widths[stage])
            params[f"{key}_blocks"] = chooser.integer(f"{key}_blocks", 1, room.most(1, 2))
            params[f"{key}_kernel"] = chooser.categorical(f"{key}_kernel", _KERNELS)
        return params

    def layers(self, spec: StudentSpec) -> Layers:
        """Describe the network of a spec."""
        p = spec.params
        activation = activation_of(spec)
        builder = LayersBuilder(spec.input_shape)
        height = builder.shape(builder.image)[1]
        x = builder.conv(
            builder.image, "stem", int(p["stem_channels"]),
            kernel=(height, int(p["stem_kernel"])), stride=(height, int(p["stem_stride"])),
            padded=(False, self.is_padded), activation=activation,
        )  # fmt: skip
        append = _APPEND[str(p["block"])]
        for stage in range(1, int(p["stages"]) + 1):
            key = f"stage{stage}"
            for block in range(1, int(p[f"{key}_blocks"]) + 1):
                window = _Window(
                    kernel=int(p[f"{key}_kernel"]),
                    stride=2 if block == 1 else 1,
                    dilation=int(p.get("dilation", 1)),
                    is_padded=self.is_padded,
                )
                x = append(
                    builder, x, f"{key}_block{block}", int(p[f"{key}_channels"]),
                    window=window, has_skip=bool(p["skips"]), activation=activation,
                )  # fmt: skip
            builder.tap(key, x)
        builder.classifier(x, spec.num_outputs)
        return builder.build()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Window:
    """What a block slides over time."""

    kernel: int
    stride: int
    dilation: int
    is_padded: bool

    @property
    def apart(self) -> int:
        """From one tap to the next of the first convolution, which may halve the time."""
        return self.dilation if self.stride == 1 else 1


def _residual(
    builder: LayersBuilder, source: str, name: str, channels: int,
    *, window: _Window, has_skip: bool, activation: Activation,
) -> str:  # fmt: skip
    """Append two convolutions and a skip, through one of 1x1 where the shape changes."""
    x = builder.conv(
        source, f"{name}_conv1", channels,
        kernel=window.kernel, stride=window.stride, dilation=window.apart,
        padded=window.is_padded, activation=activation,
    )  # fmt: skip
    x = builder.conv(
        x, f"{name}_conv2", channels,
        kernel=window.kernel, dilation=window.dilation, padded=window.is_padded,
        activation="none" if has_skip else activation,
    )  # fmt: skip
    if not has_skip:
        return x
    skip = _middle(builder, source, x, name, window.stride)
    if builder.shape(skip) != builder.shape(x):
        skip = builder.conv(
            skip, f"{name}_shortcut", channels, stride=window.stride, activation=activation
        )
    return builder.add(skip, x, f"{name}_skip", activation=activation)


def _separable(
    builder: LayersBuilder, source: str, name: str, channels: int,
    *, window: _Window, has_skip: bool, activation: Activation,
) -> str:  # fmt: skip
    """Append a depthwise and a 1x1 convolution, with a skip where the shape stays."""
    x = builder.depthwise(
        source, f"{name}_time",
        kernel=window.kernel, stride=window.stride, dilation=window.apart,
        padded=window.is_padded, activation=activation,
    )  # fmt: skip
    before, width = builder.shape(source), builder.shape(x)[2]
    keeps_time = before[2] == width if window.is_padded else window.stride == 1
    if not (has_skip and keeps_time and before[0] == channels):
        return builder.conv(x, f"{name}_mix", channels, activation=activation)
    skip = _middle(builder, source, x, name, stride=1)
    x = builder.conv(x, f"{name}_mix", channels)
    return builder.add(skip, x, f"{name}_skip", activation=activation)


def _dense(
    builder: LayersBuilder, source: str, name: str, channels: int,
    *, window: _Window, has_skip: bool, activation: Activation,  # noqa: ARG001
) -> str:  # fmt: skip
    """Append one convolution, which has nothing to skip."""
    return builder.conv(
        source, name, channels,
        kernel=window.kernel, stride=window.stride, dilation=window.apart,
        padded=window.is_padded, activation=activation,
    )  # fmt: skip


_APPEND = {"residual": _residual, "separable": _separable, "dense": _dense}


def _middle(builder: LayersBuilder, source: str, behind: str, name: str, stride: int) -> str:
    """Return the source where windows without padding have their middle; all of it with padding."""
    width, left = builder.shape(source)[2], builder.shape(behind)[2]
    step = min(stride, width)
    if (width - 1) // step + 1 == left:
        return source
    # Of one position, too, a convolution of 1x1 has room for its stride.
    kept = max((left - 1) * step + 1, step)
    start = (width - kept) // 2
    return builder.slice(source, f"{name}_middle", start=start, stop=start + kept, axis=2)


SEARCH_SPACES.register("temporal")(TemporalSpace())
SEARCH_SPACES.register("streaming")(
    TemporalSpace(
        name="streaming",
        summary="temporal without padding over time: `hwkd export --streaming` (only when named)",
        is_default=False,
        is_padded=False,
    )
)
