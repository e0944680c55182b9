"""What lies in RAM while one operator runs."""

from __future__ import annotations

from dataclasses import dataclass

# Names that a reader takes in.
MOST_HELD = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryStage:
    """RAM while one operator runs.

    Attributes:
        used_bytes: tensors that it reads and writes, less what they share.
        held_bytes: tensors that wait for a later operator.
        overhead_bytes: what the runtime keeps beside the arena.
        held: names of the waiting tensors, largest first; of more than `MOST_HELD` one more.
    """

    op: str
    kind: str
    used_bytes: int
    held_bytes: int
    scratch_bytes: int
    overhead_bytes: int
    held: tuple[str, ...] = ()

    @property
    def total_bytes(self) -> int:
        """Everything in RAM while the operator runs."""
        return self.used_bytes + self.held_bytes + self.scratch_bytes + self.overhead_bytes

    @property
    def held_text(self) -> str:
        """The waiting tensors for a reader, "..." for those that are too many."""
        more = ["..."] * (len(self.held) > MOST_HELD)
        return ", ".join([*self.held[:MOST_HELD], *more])
