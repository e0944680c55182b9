"""RAM and code of ST's runtimes on network families that no fit had seen, version by version.

Which output lies over which input is not fitted. Fitted to published rows are how much working
memory version 10 and later keep apart, and the laws of runtime RAM and code by operator, channel
and form of operator: each is fitted again without the family that it is tested on. Left out
everywhere are rows that repeat an older version's, networks without a list of layers or with other
weights than it has, and efficientnet on 7.3, whose list is that of another version; for code the
st_yolo_lc rows of 8.1, which hold more than the network. Runtime RAM below 1 KiB is compared with 1
KiB.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from benchmarks.lib.published import graph_of, is_its_network, read_csv
from benchmarks.lib.verdict import Target, report
from hwkd.core.graph import OpGraph
from hwkd.core.memory_model import MemoryModel
from hwkd.cost.fuse import fuse
from hwkd.cost.memory import plan_memory
from hwkd.cost.memory_slide import padded_copies
from hwkd.cost.storage import forms_of
from hwkd.io.runtime_files import load_runtime

RUNTIMES = {
    "X-CUBE-AI 7.3.0": "x-cube-ai-7", "X-CUBE-AI 8.1.0": "x-cube-ai-8",
    "X-CUBE-AI 9.1.0": "x-cube-ai-10", "X-CUBE-AI 10.0.0": "x-cube-ai-10",
    "ST Edge AI Core 3.0.0": "st-edge-ai-3", "ST Edge AI Core 4.0.0": "st-edge-ai-4",
}  # fmt: skip
LIMITS = {"activation RAM": 0.06, "runtime RAM": 0.15, "code": 0.15}
WORST_ACTIVATION = 0.15
_RATIOS = np.arange(0, 3.01, 0.05)
# The ssd networks give the anchors of their boxes out, four float32 each, from the start; the lists
# of layers leave this constant out.
_ANCHOR_BYTES = 16
_Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class ZooRow:
    """One published network on one version; sizes in bytes.

    Attributes:
        forms: of operator, each of which has a kernel; 0 where the version's law leaves them out.
    """

    family: str
    model: str
    graph: OpGraph
    memory: MemoryModel
    activation: float
    runtime: float
    code: float
    forms: int

    @property
    def kept(self) -> tuple[float, ...]:
        """What runtime RAM is kept for: one and the operators, or those of kinds that keep any."""
        kinds = self.memory.per_kind_overhead_bytes
        if kinds:
            return (sum(op.kind in kinds for op in self.graph.ops),)
        return 1.0, len(self.graph.ops) + padded_copies(self.graph, self.memory)

    @property
    def coded(self) -> tuple[float, ...]:
        """What takes code: one, operators, output channels of convolutions, forms of operator."""
        shapes = [self.graph.tensors[op.outputs[0]].shape for op in self.graph.ops]
        pairs = zip(self.graph.ops, shapes, strict=True)
        channels = sum(shape[1] for op, shape in pairs if op.kind == "Conv")
        return 1.0, len(self.graph.ops), channels, self.forms

    def arena(self, memory: MemoryModel) -> float:
        """Return the activation RAM by some rules."""
        boxes = self.graph.tensors[self.graph.outputs[0]].shape[1] if "ssd" in self.model else 0
        return plan_memory(self.graph, memory, 1).arena_bytes + _ANCHOR_BYTES * boxes


def rows_of(runtime: str) -> list[ZooRow]:
    """Return the published rows of a runtime that are measurements of their own."""
    found = []
    for row in read_csv("stm32_model_zoo.csv"):
        note = row.get("note", "")
        repeats = any(word in note for word in ("relabelled", "not measured again", "identical"))
        if RUNTIMES.get(row["software"]) != runtime or repeats or not row["activation_ram_kib"]:
            continue
        if runtime == "x-cube-ai-7" and "efficientnet" in row["model"]:
            continue
        # "RAM of tiny_yolo 3.0 = 10.0": printed again, not measured.
        if runtime == "st-edge-ai-3" and "tiny_yolo" in row["model"]:
            continue
        rules = load_runtime(runtime)
        try:
            graph = fuse(graph_of(row["model"]), rules.fusion).stored
        except KeyError:
            continue
        if not is_its_network(row):
            continue
        sizes = (row[f"{name}_kib"] for name in ("activation_ram", "runtime_ram", "code_flash"))
        activation, kept, code = (1024 * float(text or "nan") for text in sizes)
        found.append(
            ZooRow(
                family=row.get("family") or _family(row["model"]), model=row["model"], graph=graph,
                memory=rules.memory_of(row["core"].lower()),
                activation=activation, runtime=kept, code=code,
                forms=len(forms_of(graph)) if rules.storage.per_form_code_bytes else 0,
            )
        )  # fmt: skip
    return found


def _family(model: str) -> str:
    return model.split("__")[2].split("_")[0]


def left_out_activation(rows: Sequence[ZooRow]) -> _Values:
    """Return predicted over published, what is kept apart fitted without the row's family."""
    tried = np.array([[row.arena(_apart(row.memory, r)) for r in _RATIOS] for row in rows])
    off = tried / np.array([[row.activation] for row in rows])
    fits = [row.memory.scratch_apart_ratio > 0 for row in rows]
    found = []
    for index, row in enumerate(rows):
        if not fits[index]:
            found.append(row.arena(row.memory) / row.activation)
            continue
        others = [i for i, one in enumerate(rows) if fits[i] and one.family != row.family]
        best = int(np.argmin(np.abs(off[others] - 1).mean(axis=0)))
        found.append(off[index][best])
    return np.array(found)


def _apart(memory: MemoryModel, ratio: float) -> MemoryModel:
    if not memory.scratch_apart_ratio:
        return memory
    return memory.model_copy(update={"scratch_apart_ratio": float(ratio)})


def left_out_law(
    rows: Sequence[ZooRow], amounts_of: Callable[[ZooRow], tuple[float, ...]], wanted: _Values
) -> _Values:
    """Return predicted over published of a law in amounts, fitted without the row's family."""
    amounts = np.array([amounts_of(row) for row in rows])
    families = np.array([row.family for row in rows])
    found = np.empty(len(rows))
    for family in set(families):
        others = families != family
        found[~others] = amounts[~others] @ fit_law(amounts[others], wanted[others])
    return (found + _floor(wanted)) / (wanted + _floor(wanted))


def _floor(wanted: _Values) -> _Values:
    return np.maximum(1024 - wanted, 0)


def fit_law(amounts: _Values, wanted: _Values) -> _Values:
    """Return non-negative bytes for each amount, by relative error, far rows counting less."""
    base = np.maximum(wanted, 1024)
    weights = 1 / base
    for _ in range(20):
        law, _ = nnls(amounts * weights[:, None], wanted * weights)
        off = np.abs(amounts @ law - wanted) / base
        weights = 1 / base / np.sqrt(np.maximum(off, 0.02))
    return np.asarray(law)


def left_out_code(runtime: str) -> tuple[list[ZooRow], _Values]:
    """Return rows and predicted over published code; versions with one law are fitted together."""
    own = load_runtime(runtime).storage
    rows = [
        (name, row)
        for name in dict.fromkeys(RUNTIMES.values())
        if load_runtime(name).storage == own
        for row in rows_of(name)
        if not (name == "x-cube-ai-8" and "yolo_lc" in row.model)
    ]
    of_both = [row for _, row in rows]
    ratio = left_out_law(of_both, lambda r: r.coded, np.array([r.code for r in of_both]))
    asked = [index for index, (name, _) in enumerate(rows) if name == runtime]
    return [of_both[index] for index in asked], ratio[asked]


def left_out(runtime: str) -> dict[str, tuple[list[ZooRow], _Values]]:
    """Return what -> the rows and predicted over published, each fitted without its family.

    A runtime with rows of less than three families has none.
    """
    rows = rows_of(runtime)
    if len({row.family for row in rows}) < 3:
        return {}
    kept = left_out_law(rows, lambda r: r.kept, np.array([r.runtime for r in rows]))
    code_rows, code = left_out_code(runtime)
    return {
        "activation RAM": (rows, left_out_activation(rows)),
        "runtime RAM": (rows, kept),
        "code": (code_rows, code),
    }


def targets() -> tuple[list[Target], dict[str, Any]]:
    """Return errors over the rows left out and the ends that 90% of them lie between."""
    found, values = [], {}
    for runtime in dict.fromkeys(RUNTIMES.values()):
        for name, (rows, ratio) in left_out(runtime).items():
            error = np.abs(ratio - 1)
            what = f"{runtime}, {name}, {len(ratio)} rows of families left out"
            found.append(Target(f"{what}, mean error", error.mean(), LIMITS[name]))
            if name != "activation RAM":
                continue
            found.append(Target(f"{what}, worst", error.max(), WORST_ACTIVATION))
            for row, one in zip(rows, ratio, strict=True):
                print(f"{runtime:14} {row.model:52} {one - 1:+7.1%}")
            low, high = np.quantile(1 / ratio, (0.05, 0.95))
            values[f"{runtime}, published over predicted, 5% and 95%"] = f"{low:.3f} to {high:.3f}"
    return found, values


if __name__ == "__main__":
    found_targets, ends = targets()
    for what, text in ends.items():
        print(f"{what}: {text}")
    sys.exit(report(found_targets, ends))
