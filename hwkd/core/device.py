"""What a chip is: one board, its memories, and the runtimes whose cost on it is known.

A `Device` is read from one TOML file. Every number in it has a source. Cycles belong to the pair of
core and runtime, not to the chip alone (stacks differ by up to 6.8 times on one board), so latency
coefficients live in `Runtime`. `hwkd.io.device_catalog` reads the files.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, ConfigDict, Field, field_validator, model_validator

from hwkd.core.choices import Dtype
from hwkd.core.errors import ConfigError, UnknownNameError
from hwkd.core.memory_model import FusionRules, MemoryModel, StorageModel
from hwkd.core.strict_model import StoredInt, StrictModel
from hwkd.core.units import FASTEST_CLOCK_HZ, SLOWEST_CLOCK_HZ

# Operator class -> amounts of work that cost cycles; `hwkd.cost.latency_terms` counts them, those
# of finer classes `hwkd.cost.finer_terms`. A latency is the sum over operators and amounts of
# amount times cycles, so the order is a contract.
WORK: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "pointwise": (
            "mac", "block_of_16", "block_of_4", "remainder", "output", "weight", "streamed_mac",
            "call",
        ),
        "conv": (
            "mac", "block_of_4", "remainder", "output", "pixel", "tap", "padded_tap", "column",
            "column_remainder", "padded_column", "weight", "streamed_mac", "call",
        ),
        "depthwise": ("mac", "output", "call"),
        "dense": ("mac", "output", "call"),
        "matmul": ("mac", "output", "call"),
        "elementwise": ("output", "call"),
        "activation": ("output", "call"),
        "pool": ("tap", "output", "call"),
        "mean": ("tap", "output", "call"),
        "softmax": ("output", "call"),
        "copy": ("output", "call"),
        # Finer classes, which only a runtime whose kernels were counted has.
        "lined": (
            "tap", "tap_of_nine", "pixel", "loaded", "moved", "row", "weight", "block", "call",
        ),
        "grouped": ("mac", "tap", "output", "call"),
        "gathered": (
            "mac", "mac_of_three", "block_of_16", "block_of_4", "pair", "single_mac",
            "single_rest", "single_block", "single_pair", "output", "pixel", "last_mac", "row",
            "tap", "byte", "filled", "narrow_row", "narrow_tap", "narrow_byte", "call",
        ),
        "listed": (
            "mac", "mac_of_three", "block_of_16", "block_of_4", "pair", "single_mac",
            "single_rest", "single_block", "single_pair", "output", "pixel", "last_mac", "byte",
            "call",
        ),
        "transposed": ("mac", "tap", "output", "call"),
        "move": ("output", "looked_up", "filled", "run", "call"),
        "resize": ("output", "pixel", "call"),
        "max_pool": ("tap", "place", "output", "call"),
        "product": ("output", "run", "call"),
        "softmax_rows": ("output", "row", "call"),
        "layer_norm": ("output", "row", "call"),
        "lookup": ("output", "digit", "row", "call"),
    }
)  # fmt: skip


class _Finite(StrictModel):
    model_config = ConfigDict(allow_inf_nan=False)


class Interval(_Finite):
    """Where 90% of measurements fell, relative to held-out predictions.

    Attributes:
        low_ratio: 5% of the measurements are below `low_ratio` times the prediction.
        high_ratio: 5% are above `high_ratio` times the prediction.
        calibrated_on: the held-out predictions that these come from.
    """

    low_ratio: float = Field(gt=0, le=1)
    high_ratio: float = Field(ge=1)
    calibrated_on: str


class FittedRange(_Finite):
    """The smallest and largest operator of one class that the coefficients were fitted on.

    Attributes:
        macs: multiply-accumulates (elements where a class has none).
        depth: contraction length of one output element.
    """

    macs: tuple[float, float]
    depth: tuple[float, float] = (0, 1e12)

    @field_validator("macs", "depth")
    @classmethod
    def _smallest_first(cls, ends: tuple[float, float]) -> tuple[float, float]:
        if not 0 <= ends[0] <= ends[1]:
            raise ValueError(
                f"{ends[0]:g} to {ends[1]:g}: give the smallest that was timed, then the largest"
            )
        return ends


class FormEvidence(_Finite):
    """What a fit knows of one form of operator, for example "depthwise 5x5" or "Mul broadcast".

    Attributes:
        op_class: key of `WORK` that it is priced by.
        rows: measurements that hold it; 0 where it was never timed on this runtime and core.
        spread: standard deviation of the natural logarithm of its cycles that is its own.
        shared: further standard deviations, one for each direction in which all forms of this fit
            may be wrong together; signs matter.
    """

    op_class: str
    rows: StoredInt = Field(ge=0)
    factor: float = Field(default=1.0, gt=0)
    spread: float = Field(ge=0)
    shared: tuple[float, ...] = ()


def _known_amounts(table: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    for name, amounts in table.items():
        if name not in WORK:
            raise ValueError(str(UnknownNameError("operator class", name, WORK)))
        for amount, value in amounts.items():
            if amount not in WORK[name]:
                raise ValueError(str(UnknownNameError(f"amount of {name}", amount, WORK[name])))
            if value < 0:
                raise ValueError(f"{name}.{amount} = {value}: what work takes is never negative")
    return table


# Operator class -> amount -> what one unit of it takes.
WorkTable: TypeAlias = Annotated[dict[str, dict[str, float]], AfterValidator(_known_amounts)]


class LatencyModel(_Finite):
    """Cycles of one inference as a sum of non-negative physical terms.

    Attributes:
        cycles: operator class -> amount -> cycles per unit; both are named in `WORK`. An operator
            of a class that is missing has no cost and makes the estimate a lower bound.
        borrowed: classes whose cycles come from another stack, scaled, for want of data.
        fitted_on: data that the coefficients come from, with boards and software versions.
        error_ratio: cross-validated mean absolute error of rows never seen; None if not tested.
        validation: how `error_ratio` was obtained.
        interval: for the latency of a whole network of forms that were timed.
        fitted_range: operator class -> range.
        evidence: form of operator (`hwkd.cost.latency_terms`) -> what is known; "other CLASS"
            stands for the forms of a class that are not listed.
        source: where the measurements were published.
    """

    cycles: WorkTable
    borrowed: tuple[str, ...] = ()
    fitted_on: str
    measurements: StoredInt = Field(ge=0)
    error_ratio: float | None = Field(default=None, ge=0)
    validation: str = ""
    interval: Interval
    fitted_range: dict[str, FittedRange] = Field(default_factory=dict)
    evidence: dict[str, FormEvidence] = Field(default_factory=dict)
    source: str = Field(min_length=1)


class Runtime(_Finite):
    """One inference stack on one core.

    Attributes:
        name: as `--runtime` takes it, for example "esp-nn".
        version: software version that the numbers belong to.
        latency: dtype -> model; a dtype that is missing was never measured.
        instructions: operator class -> amount -> instructions of int8 kernels on this core, both
            named in `WORK`; empty where nobody counted them.
        fusion: which operators it never executes on their own.
        storage: what it puts in flash besides the weights.
        active_power_w: power drawn during an inference; None when nobody published it.
        active_power_range_w: lowest and highest power of the rows that `active_power_w` is the mean
            of.
        cycles_scale: cycles on this board over cycles of the core that was fitted.
        sources: field -> citation, for the numbers above.
    """

    name: str
    version: str
    latency: dict[Dtype, LatencyModel] = Field(default_factory=dict)
    instructions: WorkTable = Field(default_factory=dict)
    fusion: FusionRules = FusionRules()
    memory: MemoryModel = MemoryModel()
    storage: StorageModel = StorageModel()
    active_power_w: float | None = Field(default=None, gt=0)
    active_power_range_w: tuple[float, float] | None = None
    cycles_scale: float = Field(default=1.0, gt=0)
    sources: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _numbers_have_sources(self) -> Runtime:
        _require_sources(self, ("active_power_w", "cycles_scale"), self.sources)
        return self


class Device(_Finite):
    """One board.

    Attributes:
        description: one line for `hwkd devices list`.
        core: processor core, for example "Cortex-M4".
        board: board or chip that the numbers belong to.
        clock_hz: default clock, 1 MHz to 10 GHz; None where its backend needs none.
        sram_bytes: RAM a network can use at most; None where memory is not the limit.
        flash_bytes: flash for code and weights; None where storage is not the limit.
        reserved_ram_bytes: kept for the application.
        reserved_flash_bytes: kept for the application.
        target_latency_s: default target of the search's objective.
        costed_by: the cost backend, of `hwkd/backends/` or a plugin, that its numbers come from.
        default_runtime: used unless `--runtime` says otherwise.
        runtimes: name -> runtime with data for this core.
        sources: field -> citation; every number above needs one.
    """

    schema_version: Literal[1]
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    description: str
    core: str
    board: str
    clock_hz: float | None = Field(default=None, ge=SLOWEST_CLOCK_HZ, le=FASTEST_CLOCK_HZ)
    sram_bytes: StoredInt | None = Field(default=None, gt=0)
    flash_bytes: StoredInt | None = Field(default=None, gt=0)
    reserved_ram_bytes: StoredInt = Field(default=0, ge=0)
    reserved_flash_bytes: StoredInt = Field(default=0, ge=0)
    target_latency_s: float = Field(gt=0)
    costed_by: str = "estimated"
    default_runtime: str
    runtimes: dict[str, Runtime]
    sources: dict[str, str]

    @model_validator(mode="before")
    @classmethod
    def _reads_older_files(cls, raw: Any) -> Any:
        """Older files say `is_measured = true` or `is_compiled = true`."""
        if not isinstance(raw, dict) or "costed_by" in raw:
            return raw
        named = {f"is_{name}": name for name in ("measured", "compiled")}
        said = [name for key, name in named.items() if raw.get(key) is True]
        kept = {key: v for key, v in raw.items() if key not in named or not isinstance(v, bool)}
        return {**kept, "costed_by": said[0]} if said else kept

    @model_validator(mode="after")
    def _is_complete(self) -> Device:
        numbers = (
            "clock_hz", "sram_bytes", "flash_bytes", "reserved_ram_bytes", "reserved_flash_bytes",
            "target_latency_s",
        )  # fmt: skip
        for total, reserved in (
            ("sram_bytes", "reserved_ram_bytes"), ("flash_bytes", "reserved_flash_bytes")
        ):  # fmt: skip
            there, kept = getattr(self, total), getattr(self, reserved)
            if there is not None and kept > there:
                raise ValueError(
                    f"{reserved} = {kept} is more than {total} = {there}; give what the "
                    "application keeps of it"
                )
        _require_sources(self, numbers, self.sources)
        if self.default_runtime not in self.runtimes:
            known = ", ".join(sorted(self.runtimes)) or "none"
            raise ValueError(
                f"default_runtime {self.default_runtime!r} is not in runtimes: {known}"
            )
        return self

    @property
    def core_key(self) -> str:
        """The core as files spell it, for example "cortex-m0plus"."""
        return core_key(self.core)

    @property
    def open_sources(self) -> tuple[str, ...]:
        """Numbers whose source still says FILL IN, as a new device file has it."""
        return tuple(name for name, text in self.sources.items() if text.startswith("FILL IN"))

    @property
    def available_ram_bytes(self) -> int | None:
        """RAM that a network may use, the application's left out; None without a limit."""
        return None if self.sram_bytes is None else self.sram_bytes - self.reserved_ram_bytes

    @property
    def available_flash_bytes(self) -> int | None:
        """Flash that a network may use, the application's left out; None without a limit."""
        return None if self.flash_bytes is None else self.flash_bytes - self.reserved_flash_bytes

    def runtime(self, name: str | None = None) -> Runtime:
        """Return a runtime by name, or the default one.

        Raises:
            ConfigError: if there is no data for that runtime on this core.
        """
        wanted = self.default_runtime if name is None else name
        found = self.runtimes.get(wanted)
        if found is None:
            raise ConfigError(
                f"runtime {wanted!r} has no data for {self.name} ({self.core}); "
                f"those that have: {', '.join(sorted(self.runtimes))}"
            )
        return found


def core_key(core: str) -> str:
    """Return a core's name as files spell it: "Cortex-M0+" is "cortex-m0plus"."""
    return re.sub(r"[^a-z0-9]+", "-", core.lower().replace("+", "plus")).strip("-")


def _require_sources(model: Any, fields: tuple[str, ...], sources: dict[str, str]) -> None:
    """Raise ValueError when a number that the file sets has no citation."""
    for name in fields:
        if name in model.model_fields_set and getattr(model, name) and not sources.get(name):
            raise ValueError(
                f'{name} has no source; add `{name} = "where it is published"` to [sources]'
            )
