"""How a student sees its picture: whole, pooled, in one channel of its colours, or as a signal.

A smaller picture is part of the network, a pooling and a convolution before the layers of a search
space: what costs, trains, quantises and exports a network needs to know nothing of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from hwkd.core.layers_builder import LayersBuilder
from hwkd.core.student import Chooser, Layers, ParamValue, SearchSpace, StudentSpec

_POOL, _IS_GREY, _IS_SIGNAL = "input_pool", "input_grey", "input_signal"
_POOLS = (1, 2, 4)
_COLOURS = 3
# Smaller pictures hold too little to be worth a candidate.
_FEWEST_PIXELS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class InputView:
    """One way of seeing a picture.

    Attributes:
        pool: means of so many by so many pixels take the place of the pixels.
        is_grey: the colours are mixed into one channel, by weights that are learned.
        is_signal: rows are steps in time and columns are channels, as TC-ResNet reads a
            spectrogram (Choi et al. 2019, arXiv:1904.03814); of one channel, neither pooled.
    """

    pool: int = 1
    is_grey: bool = False
    is_signal: bool = False

    @property
    def label(self) -> str:
        """Value of the choice among views."""
        size = self.prefix.rstrip("_") or "whole"
        return f"{size} grey" if self.is_grey else size

    @property
    def prefix(self) -> str:
        """Before the names of choices whose bounds are not those of the whole picture."""
        if self.is_signal:
            return "signal_"
        return "" if self.pool == 1 else f"pooled{self.pool}_"

    @property
    def params(self) -> dict[str, ParamValue]:
        """What a spec says about it; nothing of the whole picture."""
        return {
            **({_POOL: self.pool} if self.pool > 1 else {}),
            **({_IS_GREY: True} if self.is_grey else {}),
            **({_IS_SIGNAL: True} if self.is_signal else {}),
        }

    def shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape that a space is given, of an input (channels, height, width)."""
        if self == WHOLE_INPUT:
            return input_shape
        channels, height, width = input_shape
        if self.is_signal:
            return (width, height)
        return (1 if self.is_grey else channels, height // self.pool, width // self.pool)

    def before(self, layers: Layers, input_shape: tuple[int, ...]) -> Layers:
        """Return a network that sees its input so, and is `layers` from there on."""
        builder = LayersBuilder(input_shape)
        seen = builder.image
        if self.pool > 1:
            seen = builder.avg_pool(seen, _POOL, kernel=self.pool)
        if self.is_grey:
            seen = builder.conv(seen, _IS_GREY, 1, norm=False)
        names, rest = {"input": seen}, layers.layers
        if self.is_signal:
            seen = builder.transpose(seen, _IS_SIGNAL, (2, 0, 1))
            if rest[0].name == "to_image":  # `LayersBuilder` makes a picture of a signal again
                names["to_image"], rest = seen, rest[1:]
            else:
                seen = builder.reshape(seen, f"{_IS_SIGNAL}_flat", layers.input_shape)
            names["input"] = seen
        behind = (
            replace(layer, inputs=tuple(names.get(name, name) for name in layer.inputs))
            for layer in rest
        )
        return replace(layers, input_shape=input_shape, layers=(*builder.build().layers, *behind))


WHOLE_INPUT = InputView()


def input_views(input_shape: tuple[int, ...]) -> tuple[InputView, ...]:
    """Return the views of an input, the whole first and alone where it is no picture."""
    if len(input_shape) != 3:
        return (WHOLE_INPUT,)
    pools = [pool for pool in _POOLS if pool == 1 or min(input_shape[1:]) // pool >= _FEWEST_PIXELS]
    colours = (False, True) if input_shape[0] == _COLOURS else (False,)
    views = [InputView(pool=pool, is_grey=grey) for grey in colours for pool in pools]
    channels, height, width = input_shape
    if channels == 1 and height != width:  # a spectrogram may be; few photographs have one channel
        views.append(InputView(is_signal=True))
    return tuple(views)


def viewed_layers(space: SearchSpace, spec: StudentSpec) -> Layers:
    """Describe the network of a spec, the way it sees its input included."""
    if isinstance(space, SeeingSpace):
        space = next(iter(space.ways.values()))
    names = (_POOL, _IS_GREY, _IS_SIGNAL)
    if not set(names) & set(spec.params):
        return space.layers(spec)
    view = InputView(
        pool=int(spec.params.get(_POOL, 1)),
        is_grey=bool(spec.params.get(_IS_GREY, False)),
        is_signal=bool(spec.params.get(_IS_SIGNAL, False)),
    )
    kept = {name: value for name, value in spec.params.items() if name not in names}
    inner = replace(spec, params=kept, input_shape=view.shape(spec.input_shape))
    return view.before(space.layers(inner), spec.input_shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeeingSpace:
    """A search space whose students also choose how they see their picture.

    Attributes:
        ways: each view with the space that holds its students, which differ in their bounds.
    """

    ways: Mapping[InputView, SearchSpace]

    @property
    def name(self) -> str:
        """Registered name."""
        return next(iter(self.ways.values())).name

    @property
    def summary(self) -> str:
        """One line for `hwkd spaces list`."""
        return next(iter(self.ways.values())).summary

    def suggest(
        self, chooser: Chooser, *, input_shape: tuple[int, ...], num_outputs: int
    ) -> StudentSpec:
        """Sample a view, then a student of a picture of that shape."""
        by_label = {view.label: view for view in self.ways}
        view = by_label[str(chooser.categorical("input_view", tuple(by_label)))]
        # Bounds differ between sizes of the picture, and a choice has the same bounds everywhere.
        own = _Prefixed(chooser, view.prefix)
        shape = view.shape(input_shape)
        spec = self.ways[view].suggest(own, input_shape=shape, num_outputs=num_outputs)
        return replace(spec, params={**spec.params, **view.params}, input_shape=input_shape)

    def layers(self, spec: StudentSpec) -> Layers:
        """Describe the network of a spec."""
        return viewed_layers(self, spec)


@dataclass(frozen=True, slots=True)
class _Prefixed:
    chooser: Chooser
    prefix: str

    def categorical(self, name: str, choices: Sequence[ParamValue]) -> ParamValue:
        return self.chooser.categorical(self.prefix + name, choices)

    def integer(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        return self.chooser.integer(self.prefix + name, low, high, step=step, log=log)
