"""Where a training is, in files: one that was killed goes on from there with the same result.

A file is safetensors, with what is no tensor as JSON in its header, and appears in one rename. It
is written between epochs and so rarely that it takes about a hundredth of the time. A training with
a time budget does not go on: how far it comes depends on the clock, so it has no result to repeat.
Another one may begin with its weights.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeAlias, runtime_checkable

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from hwkd import __version__
from hwkd.core.errors import first_line
from hwkd.core.strict_model import StoredInt, StrictModel
from hwkd.core.trial import EpochRecord
from hwkd.io.paths import written_atomically
from hwkd.train.averaging import WeightAverage
from hwkd.train.batches import BatchStream
from hwkd.train.config import TrainConfig
from hwkd.train.criteria import Criterion
from hwkd.train.weights_file import tensors_digest

TrainingEnd: TypeAlias = Literal["epochs", "time"]
_PERIOD_S = 30.0
# Of the time, what writing takes at most.
_SHARE = 0.01


@runtime_checkable
class Remembers(Protocol):
    """A criterion that a training changes: adapters, memories, teachers with a life."""

    def state_dict(self) -> Mapping[str, Tensor]:
        """Return the tensors that a checkpoint must hold."""
        ...

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore them."""
        ...


class Facts(StrictModel):
    """What a checkpoint says beside its tensors.

    Attributes:
        ended_by: how the training ended; None if it goes on.
    """

    epochs: tuple[EpochRecord, ...]
    steps: StoredInt
    elapsed_s: float
    ended_by: TrainingEnd | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trainee:
    """Everything that a training changes, between two epochs.

    Attributes:
        average: of the module's weights; None without one.
    """

    module: nn.Module
    criterion: Criterion
    optimizers: tuple[torch.optim.Optimizer, ...]
    average: WeightAverage | None
    stream: BatchStream

    def result(self) -> dict[str, Tensor]:
        """Return what later stages read of a training that is over."""
        state = _named("module", self.module.state_dict())
        if isinstance(self.criterion, Remembers):
            state |= _named("criterion", self.criterion.state_dict())
        return state

    def state(self) -> dict[str, Tensor]:
        """Return all that the next epoch depends on."""
        state = self.result() | _named("stream", self.stream.state())
        state["random"] = torch.random.get_rng_state()
        for index, (optimizer, parameter) in enumerate(self._parameters()):
            known = optimizer.state[parameter].items()
            found = {name: value for name, value in known if isinstance(value, Tensor)}
            state |= _named(f"optimizer.{index}", found)
        return state | ({} if self.average is None else _named("average", self.average.state()))

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Restore `state`, or the `result` of a training that is over."""
        self.module.load_state_dict(_part(state, "module"))
        if isinstance(self.criterion, Remembers):
            self.criterion.load_state_dict(_part(state, "criterion"))
        if "random" not in state:
            return
        self.stream.load_state(_part(state, "stream"))
        torch.random.set_rng_state(state["random"])
        for index, (optimizer, parameter) in enumerate(self._parameters()):
            for name, value in _part(state, f"optimizer.{index}").items():
                # In the layout of the parameter, as the optimizer itself would have made it.
                is_like = value.shape == parameter.shape
                like = torch.empty_like(parameter if is_like else value, device=parameter.device)
                optimizer.state[parameter][name] = like.detach().copy_(value)
        if self.average is not None:
            self.average.load_state(_part(state, "average"))

    def _parameters(self) -> list[tuple[torch.optim.Optimizer, nn.Parameter]]:
        return [
            (optimizer, parameter)
            for optimizer in self.optimizers
            for group in optimizer.param_groups
            for parameter in group["params"]
        ]


class Checkpoints:
    """The checkpoints of one course, a file for each stage."""

    def __init__(
        self,
        folder: Path,
        *,
        identity: str,
        say: Callable[[str], None],
        period_s: float = _PERIOD_S,
        share: float = _SHARE,
    ) -> None:
        """Name the folder; it is made when something is written.

        Args:
            identity: everything that the results depend on, beside the configuration of a stage.
            say: told in one line when a file is left out or cannot be written.
            period_s: between two of them, at least.
            share: of the time that writing takes at most, above 0.
        """
        self._folder = folder
        self._identity = identity
        self._say = say
        self.period_s = period_s
        self.share = share
        self._has_failed = False

    def stage(
        self, name: str, config: TrainConfig, *, leaves_weights: bool = False
    ) -> StageCheckpoint | None:
        """Return the checkpoint of a stage; None for one whose result depends on the clock.

        Args:
            leaves_weights: such a one writes how far it came, for another training to begin with.
        """
        is_timed = config.time_budget_s is not None
        if is_timed and not leaves_weights:
            return None
        parts = (__version__, torch.__version__, self._identity, name, repr(config))
        digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()
        path = stage_file(self._folder, name)
        return StageCheckpoint(self, path, digest, is_read=not is_timed)

    def remove(self) -> None:
        """Delete them all: the course is over and its results are elsewhere."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def read(self, path: Path, identity: str) -> tuple[Facts, dict[str, Tensor]] | None:
        """Return a file; None if it is not there, or is left out, which is said."""
        if not path.is_file():
            return None
        try:
            header, found = _whole(path)
            if header.get("identity") != identity:
                reason = "is of another training or another version"
            elif found is None:
                reason = "holds other values than were written"
            else:
                return found
        except (SafetensorError, OSError, ValidationError) as error:
            reason = f"cannot be read ({first_line(error)})"
        self._say(f"{path}: this checkpoint {reason}; the training begins again")
        return None

    def write(self, path: Path, header: dict[str, str], state: Mapping[str, Tensor]) -> None:
        """Write a file; one that cannot be written is said once, and the training goes on."""
        kept = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
        try:
            with written_atomically(path) as temporary:
                known = {"sha256": _digest(header["facts"], kept)}
                temporary.write_bytes(save(kept, metadata=header | known))
        except OSError as error:
            if not self._has_failed:
                self._has_failed = True
                self._say(
                    f"{path}: this checkpoint cannot be written ({error.strerror or error}); the "
                    "training goes on, and one that is killed begins again"
                )


class StageCheckpoint:
    """The checkpoint of one training."""

    def __init__(
        self, all_of_it: Checkpoints, path: Path, identity: str, *, is_read: bool = True
    ) -> None:
        """Begin to count the time until the first one."""
        self._all = all_of_it
        self._is_read = is_read
        self._path = path
        self._identity = identity
        self._next_s = time.monotonic() + all_of_it.period_s

    def read(self) -> tuple[Facts, dict[str, Tensor]] | None:
        """Return where the training was; None if it begins."""
        return self._all.read(self._path, self._identity) if self._is_read else None

    def offer(self, facts: Facts, state: Callable[[], Mapping[str, Tensor]]) -> None:
        """Write where the training is, if it is time to."""
        begun = time.monotonic()
        # A training that was shorter than the time between two files is repeated as fast.
        is_long = facts.elapsed_s >= self._all.period_s
        if not (begun >= self._next_s or (facts.ended_by is not None and is_long)):
            return
        header = {"identity": self._identity, "facts": facts.model_dump_json()}
        self._all.write(self._path, header, state())
        ended = time.monotonic()
        self._next_s = ended + max(self._all.period_s, (ended - begun) / self._all.share)


@dataclass(frozen=True, slots=True, kw_only=True)
class CutOff:
    """How far a training came that was cut off.

    Attributes:
        weights: of its module, by name.
    """

    facts: Facts
    weights: Mapping[str, Tensor]


def cut_off(path: Path) -> CutOff | None:
    """Return how far the training of a checkpoint came; None without a whole one."""
    try:
        _, found = _whole(path)
    except (SafetensorError, OSError, ValidationError):
        return None
    return None if found is None else CutOff(facts=found[0], weights=_part(found[1], "module"))


def stage_file(folder: Path, name: str) -> Path:
    """Return where the checkpoint of a stage lies."""
    return folder / f"{name.replace(' ', '-')}.safetensors"


def _whole(path: Path) -> tuple[dict[str, str], tuple[Facts, dict[str, Tensor]] | None]:
    """Return the header of a file, and what it holds; None of it where a value was altered."""
    with safe_open(path, "pt") as file:
        header = file.metadata() or {}
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    facts = header.get("facts", "")
    if _digest(facts, state) != header.get("sha256"):
        return header, None
    return header, (Facts.model_validate_json(facts), state)


def _digest(facts: str, state: Mapping[str, Tensor]) -> str:
    return hashlib.sha256(f"{tensors_digest(state)} {facts}".encode()).hexdigest()


def _named(beginning: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{beginning}.{name}": tensor for name, tensor in state.items()}


def _part(state: Mapping[str, Tensor], beginning: str) -> dict[str, Tensor]:
    size = len(beginning) + 1
    return {name[size:]: t for name, t in state.items() if name.startswith(f"{beginning}.")}
