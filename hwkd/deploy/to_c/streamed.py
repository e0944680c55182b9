"""Rewrites a network of time so that each run takes the next frames and computes new columns alone.

A window without padding slides: what a layer says of a moment is the same in every window that the
moment lies in. So each layer computes the columns that are new, from those of its input and the
few before them that its own window reaches back to, which stay where they are; the mean over time
is a sum that columns come into and leave again. Every run ends with the very integers that the
whole network gives for the window of frames that ends there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from hwkd.core.errors import ConfigError
from hwkd.core.printable import printable
from hwkd.core.streaming import Stream
from hwkd.deploy.to_c.layout import Arranged, channels_last
from hwkd.qgraph.foreign_text import fresh_name
from hwkd.qgraph.ir import (
    Binary,
    Concat,
    Conv,
    Keep,
    Pad,
    Pool,
    QuantOp,
    QuantTensor,
    RunningMean,
    Slice,
    Table,
)

_INT32_BYTES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class _Track:
    """A tensor along time.

    Attributes:
        columns: of the whole window.
        stride: frames from one column to the next.
    """

    channels: int
    columns: int
    stride: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Alias:
    """Where the columns of a tensor lie: a slice is part of another's.

    Attributes:
        base: tensor that holds them.
        behind: columns of it after the last.
    """

    base: str
    behind: int = 0


def streamed(whole: Arranged) -> tuple[Arranged, Stream]:
    """Return the network of one run, and what it takes and keeps.

    Raises:
        ConfigError: if what a layer says depends on where its window began, or there is no time;
            names the layer.
    """
    return _Streamer(whole).run()


class _Streamer:
    """Follows time through a network; used once."""

    def __init__(self, whole: Arranged) -> None:
        self._whole = whole
        self._tracks: dict[str, _Track] = {}
        self._aliases: dict[str, _Alias] = {}
        self._body: list[QuantOp] = []
        self._head: list[QuantOp] = []
        self._tensors: dict[str, QuantTensor] = {}
        self._buffer_of: dict[str, str] = {}
        self._begins: dict[str, int] = {}
        self._kept: set[str] = set()

    def run(self) -> tuple[Arranged, Stream]:
        graph = self._whole.graph
        self._begin()
        for op in graph.ops:
            self._follow(op)
        self._require_an_end()
        self._hop = math.lcm(*(track.stride for track in self._tracks.values()))
        self._require_room()
        self._needs = self._needed()
        for name in self._needs:
            self._place(name)
        ops = [*self._streamed_ops(), *self._head]
        for op in self._head:
            for name in (*op.inputs, op.output):
                self._copy(name)
        for name in graph.outputs.values():
            self._copy(name)
        places = {
            name: channels_last(tensor.shape)
            if name in self._tracks or name not in self._whole.places
            else self._whole.places[name]
            for name, tensor in self._tensors.items()
        }
        arranged = Arranged(
            graph=replace(graph, ops=tuple(ops), tensors=self._tensors),
            places=places,
            buffer_of=self._buffer_of,
            begins=self._begins,
            kept=frozenset(self._kept),
        )
        track = self._tracks[graph.input]
        stream = Stream(
            hop_frames=self._hop,
            window_frames=track.columns,
            frame_bytes=track.channels,
            kept_bytes=sum(self._tensors[name].elements for name in self._kept),
            window_macs=graph.macs,
        )
        return arranged, stream

    # What of the network lies along time.

    def _begin(self) -> None:
        source = self._whole.graph.tensors[self._whole.graph.input]
        if len(source.shape) == 2:
            raise ConfigError(
                f"--streaming: the network reads {source.shape[1]} numbers without time; "
                "leave it out"
            )
        rows = source.shape[2] if len(source.shape) == 4 else 1
        if rows != 1:
            raise ConfigError(
                f"--streaming: the network reads pictures of {rows} rows, not columns over time; "
                "leave it out, or of sounds take features without picture=yes"
            )
        self._tracks[source.name] = _Track(
            channels=source.shape[1], columns=source.shape[-1], stride=1
        )
        self._aliases[source.name] = _Alias(base=source.name)
        self._require_columns(source.name, "the input")

    def _track(self, name: str) -> _Track | None:
        return self._tracks.get(self._whole.buffer_of.get(name, name))

    def _base(self, name: str) -> _Alias:
        return self._aliases[self._whole.buffer_of[name]]

    def _require_columns(self, name: str, where: str) -> None:
        places = self._whole.places[name]
        if not np.array_equal(places, channels_last(places.shape)):
            raise ConfigError(
                f"--streaming: {where}: the values of a moment do not lie side by side; leave it "
                "out"
            )

    def _refuse(self, op: QuantOp, why: str) -> ConfigError:
        kind = type(op).__name__
        return ConfigError(f"--streaming: layer {printable(op.name)} ({kind}) {why}")

    def _follow(self, op: QuantOp) -> None:
        """Sort an operator into what runs along time and what comes after."""
        constants = self._whole.graph.constants
        tracks = [self._track(name) for name in op.inputs if name not in constants]
        if not any(tracks):
            self._head.append(op)
            return
        track = tracks[0]
        if track is None or any(other != track for other in tracks):
            raise self._refuse(
                op, "joins what is of one moment and what is of the whole window; leave it out"
            )
        if _is_mean(op):
            self._body.append(op)
            return
        out = self._whole.graph.tensors[op.output].shape
        if isinstance(op, Slice) and op.table is None and out[1] == track.channels:
            before = self._base(op.inputs[0])
            behind = track.columns - op.starts[-1] - out[-1]
            self._aliases[op.output] = _Alias(base=before.base, behind=before.behind + behind)
            self._tracks[op.output] = replace(track, columns=out[-1])
            return
        self._require_streams(op, track)
        stride = op.stride[1] if isinstance(op, Conv | Pool) else 1
        self._tracks[op.output] = _Track(
            channels=out[1], columns=out[-1], stride=track.stride * stride
        )
        self._aliases[op.output] = _Alias(base=op.output)
        self._require_columns(op.output, f"layer {printable(op.name)}")
        self._body.append(op)

    def _require_streams(self, op: QuantOp, track: _Track) -> None:
        if isinstance(op, Pad) or (isinstance(op, Conv | Pool) and any(op.pads)):
            raise self._refuse(
                op,
                "pads the window, so what it says of a moment depends on where the window began; "
                "search with --space streaming, whose students pad nothing",
            )
        constants = self._whole.graph.constants
        sizes = [constants[name].size for name in op.inputs if name in constants]
        is_row = all(size in (1, track.channels) for size in sizes)
        is_known = isinstance(op, Conv | Pool | Table | Binary) or (
            isinstance(op, Concat) and op.axis == 1
        )
        if not is_known or not is_row:
            raise self._refuse(op, "needs all of the window at once; search with --space streaming")

    def _require_an_end(self) -> None:
        graph = self._whole.graph
        if any(self._track(name) is not None for name in graph.outputs.values()):
            raise ConfigError(
                "--streaming: the network answers for every moment and has no mean over time; "
                "leave it out"
            )
        if len(graph.outputs) > 1:
            raise ConfigError(f"--streaming: of one output, this has {len(graph.outputs)}")
        if not self._body:
            raise ConfigError("--streaming: no layer reads the input along time; leave it out")

    def _require_room(self) -> None:
        frames = self._tracks[self._whole.graph.input].columns
        if self._hop > frames:
            raise ConfigError(
                f"--streaming: {self._hop} frames lie between two answers, and a window has "
                f"{frames}; take a student of fewer strides"
            )

    # How many columns are new, and how many older ones are read with them.

    def _new(self, name: str) -> int:
        """Return how many columns a run adds; where it passes over some, all of the window."""
        track = self._track(name)
        assert track is not None
        return min(self._hop // track.stride, track.columns)

    def _read_columns(self, op: QuantOp, name: str) -> int:
        """Return how many of the last columns of an operand the new results follow from."""
        if not isinstance(op, Conv | Pool) or _is_mean(op):
            return self._new(name)
        before, after = self._track(name), self._tracks[op.output]
        assert before is not None
        return before.columns - (after.columns - self._new(op.output)) * op.stride[1]

    def _needed(self) -> dict[str, int]:
        """Return base -> columns that it holds, the new ones last."""
        found = {
            name: self._new(name) for name, alias in self._aliases.items() if alias.base == name
        }
        for op in self._body:
            for name in op.inputs:
                if self._track(name) is not None:
                    alias = self._base(name)
                    columns = alias.behind + self._read_columns(op, name)
                    found[alias.base] = max(found[alias.base], columns)
        return found

    # The network of one run.

    def _place(self, name: str) -> None:
        """Give a tensor its new columns, at the end of those that it holds."""
        tensor, track = self._whole.graph.tensors[name], self._tracks[name]
        new, held = self._new(name), self._needs[name]
        self._tensors[name] = replace(tensor, shape=(*tensor.shape[:-1], new))
        self._buffer_of[name] = name
        if held > new:
            buffer = self._add(f"{name}/kept", tensor, (1, track.channels, 1, held))
            self._kept.add(buffer)
            self._buffer_of[name] = self._buffer_of[buffer] = buffer
            self._begins[name] = (held - new) * track.channels

    def _add(self, wanted: str, like: QuantTensor, shape: tuple[int, ...]) -> str:
        name = fresh_name(wanted, {**self._whole.graph.tensors, **self._tensors})
        self._tensors[name] = replace(like, name=name, shape=shape)
        self._buffer_of[name] = name
        return name

    def _copy(self, name: str) -> None:
        """Take over a tensor that is not of time, and what it lies in."""
        if name in self._tensors:
            return
        self._tensors[name] = self._whole.graph.tensors[name]
        self._buffer_of[name] = self._whole.buffer_of[name]
        self._copy(self._buffer_of[name])

    def _read(self, op: QuantOp, name: str) -> str:
        """Return the tensor of the columns that an operator reads of an operand."""
        if name in self._whole.graph.constants:
            self._copy(name)
            return name
        alias, columns = self._base(name), self._read_columns(op, name)
        tensor, track = self._whole.graph.tensors[alias.base], self._tracks[alias.base]
        part = self._add(f"{alias.base}@{op.name}", tensor, (1, track.channels, 1, columns))
        self._buffer_of[part] = self._buffer_of[alias.base]
        first = self._needs[alias.base] - alias.behind - columns
        if first:
            self._begins[part] = first * track.channels
        return part

    def _streamed_ops(self) -> Iterator[QuantOp]:
        """Yield every operator over its new columns; what is read again stays after its last."""
        last = {
            self._base(name).base: op
            for op in self._body
            for name in op.inputs
            if self._track(name) is not None
        }
        for op in self._body:
            inputs = tuple([self._read(op, name) for name in op.inputs])
            if isinstance(op, Pool) and op.kind == "global_average":
                self._copy(op.output)
                yield self._running_mean(op, inputs[0])
            else:
                yield replace(op, inputs=inputs)
            for base in [name for name, reader in last.items() if reader is op]:
                buffer = self._buffer_of[base]
                if buffer in self._kept:
                    yield Keep(
                        name=f"{base} kept", inputs=(buffer,), output=buffer,
                        dropped=self._new(base),
                    )  # fmt: skip

    def _running_mean(self, op: Pool, source: str) -> RunningMean:
        channels = self._tensors[source].shape[1]
        size = _INT32_BYTES * (channels + 1) + channels * op.kernel[1]
        memory = self._add(f"{op.output}/sums", self._tensors[source], (1, size, 1, 1))
        self._kept.add(memory)
        return RunningMean(name=op.name, inputs=(source, memory), output=op.output, mean=op)


def _is_mean(op: QuantOp) -> bool:
    """Tell whether an operator takes the mean of all columns."""
    return isinstance(op, Pool) and op.kind == "global_average"
