"""A student that is drawn from the layers of a model that the user has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from hwkd.core.errors import ConfigError
from hwkd.core.head import Head, OutputKind
from hwkd.core.pipeline_record import PipelineRecord, StepRecord
from hwkd.core.student import Layers, StudentSpec
from hwkd.core.teacher_input import TeacherInput
from hwkd.core.widened import outputs_of
from hwkd.deploy.student_facts import METADATA_KEY, read_facts
from hwkd.engine.arms.evaluation import save_student
from hwkd.engine.arms.orders import ArmOrder
from hwkd.engine.setup.config import SearchConfig
from hwkd.engine.setup.stored_student import checked_layers
from hwkd.nn.build import StudentModule, build_module
from hwkd.nn.kept_channels import Weights, kept_channels, kept_weights
from hwkd.nn.moments import match_moments
from hwkd.trace.onnx_model import open_model
from hwkd.trace.onnx_student import read_onnx_student
from hwkd.train.seeding import derive_seed
from hwkd.train.teacher_input import seen_input

SUFFIX = ".onnx"
_KERNEL, _BIAS = "core.weight", "core.bias"


@dataclass(frozen=True, kw_only=True)
class OwnModel:
    """A user's model as a student.

    Attributes:
        layers: its own.
        weights: of its layers.
        said: what its file says of itself, if hwkd wrote it; "{}" of any other.
    """

    spec: StudentSpec
    layers: Layers
    weights: Weights
    said: str = "{}"

    @classmethod
    def read(cls, path: Path) -> OwnModel:
        """Read an ONNX file.

        Raises:
            ModelFileError: if it cannot be read, or names the node that no layer stands for.
            ConfigError: if it has several outputs, or one that is neither a vector nor a map.
        """
        found = read_onnx_student(path)
        layers = checked_layers(found.layers, where=f"--student {path}")
        shapes = {layer.name: layer.shape for layer in layers.layers}
        outputs = [shapes[name] for name in layers.heads]
        if len(outputs) != 1 or len(outputs[0]) not in (1, 3):
            raise ConfigError(
                f"--student {path}: has outputs of shape {', '.join(map(str, outputs))}; expected "
                "one vector or map: export it with that answer alone"
            )
        spec = StudentSpec(
            space=path.stem,
            params={"network": layers.key},
            input_shape=layers.input_shape,
            num_outputs=outputs[0][0],
        )
        texts = {each.key: each.value for each in open_model(path).metadata_props}
        said = texts.get(METADATA_KEY, "{}")
        return cls(spec=spec, layers=layers, weights=found.weights, said=said)

    def answering_as(self, head: Head) -> OwnModel:
        """Return the model with a last layer that answers as a student of the data does.

        Students of values and of pictures answer in deviations from the mean of their data. So does
        a file of hwkd's, from that of its own data; any other answers in units of the target.

        Raises:
            ModelFileError: if what the file says of itself is damaged.
        """
        if not head.answer_std:
            return self
        facts = read_facts(self.said, where=self.spec.space)
        own = facts.answer if facts is not None and facts.answer.kind == head.kind.name else None
        mean, std = np.array(head.answer_mean), np.array(head.answer_std)
        scale, shift = 1.0 / std, -mean / std
        if own is not None and own.std:
            scale, shift = np.array(own.std) / std, (np.array(own.mean) - mean) / std
        changed = dict(self.weights)
        for layer in self.layers.layers:
            if layer.name in self.layers.heads and layer.activation == "none":
                values = dict(self.weights.get(layer.name, {}))
                weight, bias = (
                    ("norm.weight", "norm.bias") if "norm.weight" in values else (_KERNEL, _BIAS)
                )
                if weight in values and bias in values:
                    values[weight] = _along(values[weight], scale)
                    values[bias] = (values[bias] * scale + shift).astype(np.float32)
                    changed[layer.name] = values
        return replace(self, weights=changed)

    def fill(self, module: StudentModule, examples: NDArray[np.float32]) -> int:
        """Copy the weights of the layers, or of a narrower module those of its channels.

        Args:
            module: of the model's layers, with fewer channels perhaps, and normalised perhaps.
            examples: inputs, shape [n, *input_shape], on which channels that read fewer ones
                answer with the mean and the deviation that they had.

        Returns:
            How many layers begin with them.
        """
        kept = kept_weights(self.layers, module.layers, self.weights)
        module.begin_with(kept)
        if self.layers.layers != module.layers.layers:
            whole = build_module(self.layers, seed=0)
            self.fill(whole, examples)
            channels = kept_channels(self.layers, module.layers, self.weights)
            rows = {name: torch.from_numpy(channels[name]) for name in kept}
            match_moments(module, whole, rows, torch.from_numpy(examples))
        return len(kept)

    def require_answers(self, kind: OutputKind, *, where: str) -> None:
        """Refuse a map where the data has one answer for each input, and the other way about.

        Raises:
            ConfigError: with the shape of its output.
        """
        shape = next(e.shape for e in self.layers.layers if e.name in self.layers.heads)
        if (len(shape) == 3) != kind.of_maps:
            wanted = "a map" if kind.of_maps else "one vector"
            raise ConfigError(
                f"{where}: has an output of shape {shape}; the data has {kind.name}, so expected "
                f"{wanted}"
            )

    def is_kept(self, layers: Layers) -> bool:
        """Tell whether every layer of a narrower form begins with weights of the model."""
        return len(kept_weights(self.layers, layers, self.weights)) == len(self.weights)

    def begun(
        self,
        orders: Sequence[ArmOrder],
        layers: Layers,
        folder: Path,
        *,
        seed: int,
        examples: NDArray[np.float32],
    ) -> tuple[list[ArmOrder], int]:
        """Return orders that begin with the model's weights, and how many layers have them.

        Args:
            layers: of the student, which may be narrower.
            folder: where the weights of each repetition are written.
            examples: see `fill`.
        """
        count, found = 0, []
        for order in orders:
            module = build_module(layers, seed=derive_seed(seed, "student", order.repetition))
            count = self.fill(module, examples)
            if not count:
                return list(orders), 0
            path = folder / f"start-{order.repetition}.safetensors"
            save_student(module, path)
            found.append(order.model_copy(update={"start_from": str(path)}))
        return found, count


def _along(values: NDArray[np.float32], scale: NDArray[np.float64]) -> NDArray[np.float32]:
    """Multiply along the first axis."""
    return (values * scale.reshape(-1, *[1] * (values.ndim - 1))).astype(np.float32)


def prepared_alike(config: SearchConfig, pipeline: PipelineRecord) -> SearchConfig:
    """Return a configuration that prepares data as the model expects it, for the student, too.

    Its weights, with which the student begins, are for such inputs.

    Args:
        config: whose teacher is the model; says what it expects, perhaps.
        pipeline: of the data as it is prepared without that.

    Raises:
        TeacherError: if raw values cannot be had back.
    """
    wanted = TeacherInput.parse(config.teacher.inputs[0] if config.teacher.inputs else "normalised")
    seen, last = seen_input(wanted, pipeline), pipeline.steps[-1]
    if not seen.is_scaled or last.kind != "normalise":
        return config
    mean, std = (np.array(cast(Any, last.values[name]), np.float64) for name in ("mean", "std"))
    scale, offset = np.array(seen.scale), np.array(seen.offset)
    values = {"mean": mean - std * offset / scale, "std": std / scale}
    scaling = StepRecord(
        kind=last.kind,
        formula=last.formula,
        values={name: tuple(value.tolist()) for name, value in values.items()},
    )
    left = TeacherInput(channels_last=wanted.channels_last).text
    return config.model_copy(
        update={
            "reading": config.reading.model_copy(update={"scaling": scaling}),
            "teacher": config.teacher.model_copy(update={"inputs": (left,)}),
        }
    )


def normalised(layers: Layers) -> Layers:
    """Return a network whose convolutions are normalised while they are trained.

    Exporters fold normalisations into weights; weights that begin anew need them, and at export
    they cost nothing. Outputs and single positions have none.
    """
    kept = outputs_of(layers)
    return replace(
        layers,
        layers=tuple(
            replace(layer, norm=True)
            if layer.kind == "conv" and layer.name not in kept and prod(layer.shape[1:]) > 1
            else layer
            for layer in layers.layers
        ),
    )
