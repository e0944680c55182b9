"""Counts the instructions of operators of the exported C and of CMSIS-NN, for the fit of `hwkd-c`.

    python -m tools.c_instructions [--own] [CORE ...]   # writes benchmarks/facts/c_instructions.csv

Our kernels run on every core in networks that hold each form of operator in several sizes.
CMSIS-NN runs on the cores whose single operators were timed on silicon, in chains of those very
operators; --own leaves those as they are. The counts repeat exactly; needs QEMU, the cross
compiler and the package `bakenn`.
"""

from __future__ import annotations

import csv
import logging
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.lib.c_counted import COUNTED
from benchmarks.lib.c_layers import quantised
from benchmarks.lib.c_networks import NetworkBuilder, quantise
from benchmarks.lib.c_operators import COLUMNS, row_of
from benchmarks.lib.instruction_mix import CLASSES, mix_of_steps
from benchmarks.lib.published import FACTS, read_csv
from hwkd.cost.graph import build_graph
from hwkd.deploy.to_c.step_builder import Kernels
from hwkd.deploy.toolchain import Tools, find_tools
from hwkd.io.core_files import load_core

FILE = FACTS / "c_instructions.csv"
CORES = ("cortex-m4", "cortex-m7", "cortex-m33", "cortex-m0plus", "cortex-m55")
# Core -> board whose single operators were timed there with CMSIS-NN.
_HELIUM = "Apollo510 EVB"
TIMED = {"cortex-m4": "NUCLEO-F446RE", "cortex-m33": "NUCLEO-L552ZE-Q", "cortex-m55": _HELIUM}
_CHAINS, _LONGEST_CHAIN = 3, 14
_MACS = (4_000, 250_000)
# Operators of a graph of layers that are part of another one, or rename a tensor.
_WITHOUT_COST = ("Relu", "Reshape")
_HEADER = ("core", "kernels", *COLUMNS, *CLASSES, "instructions")


@dataclass(frozen=True, kw_only=True)
class Network:
    """A network to count, with what each of its nodes is in the words of the tables of facts.

    Attributes:
        write: writes its int8 file into a folder, and returns the path.
        rows: node -> values of `COLUMNS`.
    """

    write: Callable[[Path], Path]
    rows: dict[str, tuple[str, ...]]


def _sizes(*sizes: int) -> str:
    return "x".join(map(str, sizes))


def _nhwc(shape: tuple[int, ...]) -> str:
    return _sizes(*shape[2:], shape[1]) if len(shape) == 4 else _sizes(*shape[1:])


class _Recorder:
    """Adds operators to a network and notes what each one is."""

    def __init__(self, input_shape: tuple[int, ...]) -> None:
        self.net = NetworkBuilder(input_shape)
        self.rows: dict[str, tuple[str, ...]] = {}

    def note(self, op: str, before: str, after: str, window: tuple[int, ...] = ()) -> None:
        """Note the operator whose output is `after`."""
        kernel, stride, groups = "", "", "1"
        if window:
            kernel, stride, groups = _sizes(*window[:2]), _sizes(*window[2:4]), str(window[4])
        shapes = self.net.shapes
        self.rows[after.removesuffix("_out")] = (
            op, _nhwc(shapes[before]), _nhwc(shapes[after]), kernel, stride, groups, "", "",
        )  # fmt: skip

    def conv(
        self,
        channels: int,
        kernel: tuple[int, int] = (1, 1),
        stride: tuple[int, int] = (1, 1),
        groups: int = 1,
    ) -> None:
        """Add a convolution without activation."""
        before = self.net.last
        self.net.conv(channels, kernel, stride=stride, groups=groups, relu="")
        self.note("CONV_2D", before, self.net.last, (*kernel, *stride, groups))

    def depthwise(self, side: int, step: int = 1) -> None:
        """Add a depthwise convolution."""
        self.conv(depth := self.net.shapes[self.net.last][1], (side, side), (step, step), depth)

    def other(self, op: str, add: Callable[[], object], window: tuple[int, ...] = ()) -> None:
        """Add any other operator."""
        before = self.net.last
        add()
        self.note(op, before, self.net.last, window)

    def add(self) -> None:
        """Add the last tensor to the one before it."""
        last = self.net.last
        self.net.conv(self.net.shapes[last][1], relu="", source=last)
        left = self.net.last
        self.note("CONV_2D", last, left, (1, 1, 1, 1, 1))
        self.other("ADD", partial(self.net.add, left, last))

    def mul(self, whole: str) -> None:
        """Multiply a tensor by the last one."""
        other = self.net.last
        self.other("MUL", partial(self.net.mul, whole, other))
        name, after = self.net.last.removesuffix("_out"), self.rows
        shapes = "+".join(_nhwc(self.net.shapes[one]) for one in (whole, other))
        after[name] = (after[name][0], shapes, *after[name][2:])

    def pad(self, pads: tuple[int, ...]) -> None:
        """Surround with zeros, for an operator that does not take padding itself."""
        self.other("PAD", partial(self.net.pad, pads))

    def network(self) -> Network:
        """Return what was added."""
        return Network(write=lambda folder: quantise(self.net, folder, "network"), rows=self.rows)


def images() -> Network:
    """Return convolutions, additions and poolings over images of several sizes."""
    it = _Recorder((3, 24, 24))
    it.conv(8, (3, 3), (2, 2))
    it.depthwise(3)
    it.conv(16)
    it.conv(12, (3, 3))
    it.depthwise(5)
    it.conv(24)
    it.add()
    it.depthwise(3, 2)
    it.conv(40)
    it.depthwise(7)
    it.conv(20, (3, 3))
    it.conv(32, (5, 5))
    it.other("MAX_POOL_2D", partial(it.net.pool, "MaxPool", (2, 2)), (2, 2, 2, 2, 1))
    it.conv(64, (3, 3))
    it.conv(96, (1, 1))
    it.depthwise(3)
    it.other("AVERAGE_POOL_2D", partial(it.net.pool, "AveragePool", (3, 3)), (3, 3, 3, 3, 1))
    it.conv(128)
    return it.network()


def poolings() -> Network:
    """Return poolings and additions in further sizes, between small convolutions."""
    it = _Recorder((4, 30, 30))
    it.add()
    it.pad((0, 0, 1, 2, 0, 0, 2, 1))
    it.add()
    it.other("MAX_POOL_2D", partial(it.net.pool, "MaxPool", (3, 3)), (3, 3, 3, 3, 1))
    it.conv(16)
    it.pad((0, 0, 1, 1, 0, 0, 1, 1))
    it.other("LOGISTIC", partial(it.net.activation, "Sigmoid"))
    it.other("AVERAGE_POOL_2D", partial(it.net.pool, "AveragePool", (2, 2)), (2, 2, 2, 2, 1))
    it.conv(32)
    it.add()
    it.other("LOGISTIC", partial(it.net.activation, "Sigmoid"))
    it.conv(64)
    it.other("AVERAGE_POOL_2D", partial(it.net.pool, "AveragePool", (5, 5)), (5, 5, 5, 5, 1))
    it.net.reshape(1, 64)
    it.other("SOFTMAX", partial(it.net.node, "Softmax", [it.net.last], (1, 64), axis=-1))
    return it.network()


def large() -> Network:
    """Return few operators of the sizes that take most of a network's time."""
    it = _Recorder((16, 48, 48))
    it.depthwise(3)
    it.other("LOGISTIC", partial(it.net.activation, "Sigmoid"))
    it.other("MAX_POOL_2D", partial(it.net.pool, "MaxPool", (2, 2)), (2, 2, 2, 2, 1))
    it.conv(32, (3, 3))
    it.add()
    it.conv(64, (3, 3), (2, 2))
    it.other("AVERAGE_POOL_2D", partial(it.net.pool, "AveragePool", (2, 2)), (2, 2, 2, 2, 1))
    it.conv(64, (3, 3))
    it.conv(256)
    it.depthwise(3)
    it.conv(128)
    it.conv(256)
    it.other("MEAN", it.net.global_average)
    it.net.reshape(1, 256)
    for width in (640, 128, 8):
        it.other("FULLY_CONNECTED", partial(it.net.linear, width))
    return it.network()


def signals() -> Network:
    """Return operators of networks for signals, their head, and what attention needs."""
    it = _Recorder((1, 40, 10))
    it.conv(16, (10, 4), (2, 2))
    it.depthwise(3)
    it.conv(16)
    last = it.net.last
    it.other("LOGISTIC", partial(it.net.activation, "Sigmoid"))
    it.mul(last)
    it.conv(24, (3, 1), (2, 1))
    it.conv(48)
    last = it.net.last
    it.other("MEAN", it.net.global_average)
    it.conv(48)
    it.mul(last)
    it.depthwise(5, 2)
    it.other("MEAN", it.net.global_average)
    it.net.reshape(1, 48)
    for width in (96, 32, 12):
        it.other("FULLY_CONNECTED", partial(it.net.linear, width))
    it.other("SOFTMAX", partial(it.net.node, "Softmax", [it.net.last], (1, 12), axis=-1))
    return it.network()


def students() -> Iterator[Network]:
    """Yield networks of layers; copies of a transpose are a step of the layer that reads it."""
    for name, build in COUNTED.items():
        layers = build()
        graph = build_graph(layers)
        rows = {op.name: row_of(op, graph) for op in graph.ops if op.kind not in _WITHOUT_COST}
        before = {op.outputs[0]: op for op in graph.ops}
        for reader in graph.ops:
            view = before.get(reader.inputs[0])
            moved = before.get(view.inputs[0]) if view is not None else None
            if moved is not None and moved.kind == "Transpose":
                rows[f"{reader.name}_relayout"] = rows[moved.name]
        yield Network(write=partial(quantised, layers, name), rows=rows)


def timed_chains(board: str) -> Iterator[Network]:
    """Yield chains of convolutions that were timed one by one on a board."""
    if board == _HELIUM:
        it = _Recorder((16, 32, 32))
        it.conv(16, (3, 3))
        yield it.network()
    after: dict[str, list[dict[str, str]]] = {}
    for row in read_csv("op_cycles.csv"):
        if row["board"] == board and row["op"] == "CONV_2D":
            after.setdefault(row["in_shape_nhwc"], []).append(row)
    used: set[tuple[str, ...]] = set()
    for _ in range(_CHAINS):
        shape = max(after, key=lambda name: len(after[name]), default="")
        chain: list[dict[str, str]] = []
        while len(chain) < _LONGEST_CHAIN:
            fresh = [row for row in after.get(shape, ()) if _key(row) not in used and _suits(row)]
            if not fresh:
                break
            # Kernels that came least often so far, then outputs that lead on.
            seen = [key[3] for key in used]
            row = min(
                fresh,
                key=lambda r: (seen.count(r["kernel"]), -len(after.get(r["out_shape_nhwc"], ()))),
            )
            used.add(_key(row))
            chain.append(row)
            shape = row["out_shape_nhwc"]
        if chain:
            yield _chain(chain)


def _key(row: dict[str, str]) -> tuple[str, ...]:
    return tuple(row[name] for name in COLUMNS[:5])


def _suits(row: dict[str, str]) -> bool:
    height, width, channels = map(int, row["out_shape_nhwc"].split("x"))
    rows, columns = map(int, row["kernel"].split("x"))
    depth = int(row["in_shape_nhwc"].split("x")[2])
    return _MACS[0] <= height * width * channels * rows * columns * depth <= _MACS[1]


def _chain(rows: list[dict[str, str]]) -> Network:
    height, width, channels = map(int, rows[0]["in_shape_nhwc"].split("x"))
    it = _Recorder((channels, height, width))
    for row in rows:
        kernel, stride = (tuple(map(int, row[name].split("x"))) for name in ("kernel", "stride"))
        it.conv(
            int(row["out_shape_nhwc"].split("x")[2]),
            (kernel[0], kernel[1]),
            (stride[0], stride[1]),
        )
    return it.network()


def count(network: Network, core: str, kernels: Kernels, tools: Tools) -> Iterator[list[str]]:
    """Yield the rows of one network on one core."""
    is_ours = kernels == "hwkd"
    with TemporaryDirectory() as folder:
        steps = mix_of_steps(
            network.write(Path(folder)),
            load_core(core),
            tools,
            kernels=kernels,
            rounding=None if is_ours else "tflite",
            optimise="-O2" if is_ours else "-O3",
        )
    for step in steps:
        row = network.rows.get(step.name)
        if row is not None:
            yield [core, kernels, *row, *map(str, step.amounts), str(step.instructions)]


def main() -> None:
    """Count everything and write the table."""
    logging.disable(logging.WARNING)
    tools = find_tools()
    is_own = "--own" in sys.argv
    cores = [name for name in sys.argv[1:] if name != "--own"] or list(CORES)
    rows = [
        [row.get(name, "") for name in _HEADER]
        for row in read_csv(FILE.name)
        if row["core"] not in cores or (is_own and row["kernels"] != "hwkd")
    ]
    for core, board in TIMED.items():
        if core not in cores or is_own:
            continue
        for network in timed_chains(board):
            rows += count(network, core, "cmsis-nn", tools)
            print(core, "cmsis-nn", len(rows), flush=True)
    for core in cores:
        for network in (images(), poolings(), signals(), large(), *students()):
            rows += count(network, core, "hwkd", tools)
            print(core, "hwkd", len(rows), flush=True)
    rows.sort(key=lambda row: (CORES.index(row[0]), row[1]))
    with FILE.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(_HEADER)
        table.writerows(rows)


if __name__ == "__main__":
    main()
