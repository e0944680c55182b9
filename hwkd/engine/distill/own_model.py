"""A student that is drawn from the layers of a model that the user has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from hwkd.core.errors import ConfigError
from hwkd.core.student import Layers, StudentSpec
from hwkd.core.widened import outputs_of
from hwkd.engine.arms.evaluation import save_student
from hwkd.engine.arms.orders import ArmOrder
from hwkd.engine.setup.stored_student import checked_layers
from hwkd.nn.build import StudentModule, build_module
from hwkd.trace.onnx_student import read_onnx_student
from hwkd.train.seeding import derive_seed

SUFFIX = ".onnx"


@dataclass(frozen=True, kw_only=True)
class OwnModel:
    """A user's model as a student.

    Attributes:
        layers: its own.
        weights: layer -> torch's name of a parameter -> value.
    """

    spec: StudentSpec
    layers: Layers
    weights: Mapping[str, Mapping[str, NDArray[np.float32]]]

    @classmethod
    def read(cls, path: Path) -> OwnModel:
        """Read an ONNX file.

        Raises:
            ModelFileError: if it cannot be read, or names the node that no layer stands for.
            ConfigError: if it has several outputs, or one that is no vector.
        """
        found = read_onnx_student(path)
        layers = checked_layers(found.layers, where=f"--student {path}")
        shapes = {layer.name: layer.shape for layer in layers.layers}
        outputs = [shapes[name] for name in layers.heads]
        if len(outputs) != 1 or len(outputs[0]) != 1:
            raise ConfigError(
                f"--student {path}: has outputs of shape {', '.join(map(str, outputs))}; expected "
                "one vector: export it with the answer of the classifier alone"
            )
        spec = StudentSpec(
            space=path.stem,
            params={"network": layers.key},
            input_shape=layers.input_shape,
            num_outputs=outputs[0][0],
        )
        return cls(spec=spec, layers=layers, weights=found.weights)

    def fill(self, module: StudentModule) -> int:
        """Copy the weights of the layers that have the same shapes; returns how many have."""
        filled = 0
        for name, values in self.weights.items():
            state = {
                key: tensor
                for key, tensor in module.steps[name].state_dict().items()
                if not key.endswith("num_batches_tracked")
            }
            shapes = {key: tuple(tensor.shape) for key, tensor in state.items()}
            if shapes == {key: value.shape for key, value in values.items()}:
                for key, value in values.items():
                    state[key].copy_(torch.from_numpy(value))
                filled += 1
        return filled

    def begun(
        self, orders: Sequence[ArmOrder], layers: Layers, folder: Path, *, seed: int
    ) -> tuple[list[ArmOrder], int]:
        """Return orders that begin with the model's weights, and how many layers have them.

        Args:
            layers: of the student, which may be narrower.
            folder: where the weights of each repetition are written.
        """
        count, found = 0, []
        for order in orders:
            module = build_module(layers, seed=derive_seed(seed, "student", order.repetition))
            count = self.fill(module)
            if not count:
                return list(orders), 0
            path = folder / f"start-{order.repetition}.safetensors"
            save_student(module, path)
            found.append(order.model_copy(update={"start_from": str(path)}))
        return found, count


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
