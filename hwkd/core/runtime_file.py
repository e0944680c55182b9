"""What one file of `devices/runtimes/` says: an inference stack on every core where it was timed.

`hwkd.io.runtime_files` reads the files; a device takes what its core needs from them.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from hwkd.core.choices import Dtype
from hwkd.core.device import LatencyModel, WorkTable
from hwkd.core.memory_model import FusionRules, MemoryModel, StorageModel
from hwkd.core.strict_model import StrictModel


class CoreFit(StrictModel):
    """The latency of a runtime on one core.

    Attributes:
        latency: dtype -> model.
        instructions: see `Runtime`.
    """

    version: str
    latency: dict[Dtype, LatencyModel] = Field(min_length=1)
    instructions: WorkTable = Field(default_factory=dict)


class RuntimeFile(StrictModel):
    """One inference stack; what belongs to the software and not to a board.

    Attributes:
        kind: says that this is no file of a device or core.
        name: as `--runtime` takes it; equals the file's name.
        fusion: which operators it never executes on their own.
        memory_on: key of a core -> fields of `memory` that differ there.
        storage: what it puts in flash besides the weights.
        cores: key of a core (`Device.core_key`) -> latency on it.
    """

    schema_version: Literal[1]
    kind: Literal["runtime"]
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    fusion: FusionRules = FusionRules()
    memory: MemoryModel = MemoryModel()
    memory_on: dict[str, dict[str, Any]] = Field(default_factory=dict)
    storage: StorageModel = StorageModel()
    cores: dict[str, CoreFit] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _memory_on_cores_is_known(self) -> RuntimeFile:
        for core in self.memory_on:
            self.memory_of(core)
        return self

    def memory_of(self, core: str) -> MemoryModel:
        """Return how it lays out RAM on one core, by its key."""
        known = self.memory.model_dump(exclude_unset=True)
        return MemoryModel.model_validate({**known, **self.memory_on.get(core, {})})

    @model_validator(mode="after")
    def _fits_list_evidence(self) -> RuntimeFile:
        for core, fit in self.cores.items():
            for dtype, model in fit.latency.items():
                if not model.fitted_range and not model.evidence:
                    raise ValueError(
                        f"cores.{core}.latency.{dtype} lists no evidence: neither `evidence` nor "
                        "`fitted_range` says which operators were timed; add what was"
                    )
        return self

    @field_validator("cores")
    @classmethod
    def _keys_are_core_keys(cls, cores: dict[str, CoreFit]) -> dict[str, CoreFit]:
        for key in cores:
            if not key.replace("-", "").isalnum() or key != key.lower():
                raise ValueError(
                    f"{key!r} is not the key of a core: small letters, digits and dashes, for "
                    "example cortex-m0plus"
                )
        return cores
