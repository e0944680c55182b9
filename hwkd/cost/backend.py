"""What a cost backend is: it says what a network needs on the devices that name it.

One module in `hwkd/backends/` (or a plugin) registers one; a device file names it in `costed_by`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from hwkd.core import catalog
from hwkd.core.basis import Basis
from hwkd.core.choices import Dtype
from hwkd.core.device import Device
from hwkd.core.errors import ConfigError
from hwkd.core.graph import OpGraph
from hwkd.core.measure import CostEstimate, Profile
from hwkd.core.memory_stage import MemoryStage
from hwkd.core.patches import Patches
from hwkd.core.streaming import Stream
from hwkd.cost.memory_order import OrderPlan
from hwkd.io import discovery


@dataclass(frozen=True, slots=True, kw_only=True)
class CostQuestion:
    """What a user asked of a device; None is the device's own.

    Attributes:
        patches: that the first layers run in; None runs them as a whole.
        streaming: a run takes the next frames of a signal, not a window.
        names_bytes: flash of the answers' names, where a runtime's C holds them.
        by_operator: say what each operator takes, beside the whole; a twelfth of a screening.
    """

    device: Device
    runtime: str | None = None
    clock_hz: float | None = None
    dtype: Dtype | None = None
    patches: Patches | None = None
    streaming: bool = False
    names_bytes: int = 0
    by_operator: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    """A network in a file.

    Attributes:
        dtype: how the file runs as it is: "int8", "float32" or "mixed".
        costed_in: type of everything whose type the file does not fix.
    """

    path: Path
    graph: OpGraph
    dtype: str
    costed_in: Dtype


@dataclass(frozen=True, slots=True, kw_only=True)
class FileCost:
    """What a network in a file needs.

    Attributes:
        cost: as the backend knows it; its latency is None where the file is timed.
        stages: memory while each operator runs.
        order: the order that needs the least memory; None where the backend does not choose it,
            and for networks too large to search.
        stream: what a run takes, where it takes the next frames.
        instructions: predicted; None where nobody counted the runtime's kernels.
    """

    cost: CostEstimate
    stages: tuple[MemoryStage, ...]
    order: OrderPlan | None = None
    measured: Profile | None = None
    stream: Stream | None = None
    instructions: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What the latencies of one runtime rest on, as `hwkd devices show` lists it.

    Attributes:
        error: mean error on what no fit saw, or why there is none.
        dtype: that they are for; "" for all.
        rows: how many measurements; "" where there are none.
        interval: ends of the 90% interval over the estimate; "" without one.
    """

    runtime: str
    error: str
    origin: str
    dtype: str = ""
    rows: str = ""
    interval: str = ""


class CostBackend(Protocol):
    """How the devices that name it are costed.

    Attributes:
        basis: what its numbers are; `basis.name` is the name that it is registered under.
        summary: what it goes by, in a few words.
        can_screen: `screen` costs a candidate by arithmetic, before anything is trained.
    """

    basis: Basis
    summary: str
    can_screen: bool

    def check(self, device: Device) -> None:
        """Refuse a device whose file lacks what the backend needs.

        Raises:
            ConfigError: with what is missing.
        """
        ...

    def refuse(self, question: CostQuestion) -> None:
        """Refuse what the backend cannot answer, before anything is read or trained.

        Raises:
            ConfigError: with the option and what to do.
        """
        ...

    def screen(self, graph: OpGraph, question: CostQuestion) -> CostEstimate:
        """Cost a candidate of a search, int8 and in well under a millisecond.

        Its latency is None where only the file, once made, can be timed; the search then times it.

        Raises:
            ConfigError: if the runtime has no data, or the backend cannot screen.
        """
        ...

    def cost_file(self, model: ModelFile, question: CostQuestion) -> FileCost:
        """Cost a finished network.

        Raises:
            ConfigError: if the question and the file do not go together.
            ExportError: if the network has no form that the backend reads.
            ProfilingError: if what it runs fails.
        """
        ...

    def evidence(self, device: Device) -> tuple[Evidence, ...]:
        """Return what the numbers of each runtime rest on."""
        ...


def backend_of(device: Device) -> CostBackend:
    """Return the backend that a device names.

    Raises:
        UnknownNameError: if there is none of that name.
    """
    discovery.discover("hwkd.backends")
    found: CostBackend = catalog.BACKENDS.get(device.costed_by)
    return found


def screening_backend(device: Device) -> CostBackend:
    """Return the backend of a device that candidates are to be screened for.

    Raises:
        ConfigError: if it costs finished networks only.
    """
    found = backend_of(device)
    if not found.can_screen:
        raise ConfigError(
            f"{device.name} is costed by {found.summary}, {device.default_runtime}, too slow to "
            "screen candidates with; search for another device and give the result to "
            f"`hwkd profile --device {device.name}`"
        )
    return found
