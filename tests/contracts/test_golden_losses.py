"""Every golden case of a directory: canonical ones equal ours, the others provably do not.

The directory is HWKD_GOLDEN_DIR; without it the project's own set in `tests/golden/losses` and, in
a checkout that has them beside it, the vectors of `../shared/kd/golden`.
"""

from __future__ import annotations

import itertools
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from golden_losses import RUNNERS

from hwkd.distill.losses import svd

_ROOT = Path(__file__).resolve().parents[2]
_LOSS_RTOL = 1e-9
_GRADIENT_RTOL = 1e-7
_FLOAT32_RTOL = 2e-5


def _directories() -> list[Path]:
    given = os.environ.get("HWKD_GOLDEN_DIR")
    if given:
        return [Path(given)]
    beside = _ROOT.parent / "shared" / "kd" / "golden"
    own = _ROOT / "tests" / "golden" / "losses"
    return [own, beside] if beside.is_dir() else [own]


def _cases(*, only_float32: bool = False) -> list[Any]:
    return [
        pytest.param(folder, case, id=f"{folder.parent.name}:{case['id']}")
        for folder in _directories()
        for case in json.loads((folder / "golden.json").read_text())["cases"]
        # A memory bank is compared in the precision that it was stored in.
        if not only_float32 or (case["canonical"] and case["method"] != "crd")
    ]


def _run(folder: Path, case: dict[str, Any]) -> tuple[Any, dict[str, Any], dict[str, Any], Any]:
    with np.load(folder / case["file"], allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    inputs = {
        name.removeprefix("in_"): torch.from_numpy(array)
        for name, array in arrays.items()
        if name.startswith("in_")
    }
    outputs = {n.removeprefix("out_"): a for n, a in arrays.items() if n.startswith("out_")}
    for name in case["grad_wrt"]:
        inputs[name].requires_grad_()
    runner = RUNNERS[case["method"]]
    loss, further = runner(inputs, case["hyperparameters"], outputs)
    wanted = [inputs[name] for name in case["grad_wrt"]]
    gradients = dict(zip(case["grad_wrt"], torch.autograd.grad(loss, wanted), strict=True))
    return loss, gradients, further, arrays


@pytest.mark.parametrize(("folder", "case"), _cases())
def test_golden_case(folder: Path, case: dict[str, Any]) -> None:
    if case["method"] == "svd":
        _assert_svd_reached_by_signs(folder, case)
        return
    loss, gradients, further, arrays = _run(folder, case)
    assert loss.dtype == torch.float64
    if not case["canonical"] and not _is_named_variant(case):
        assert abs(loss.item() - case["loss"]) > 1e-6 * abs(case["loss"])
        return
    np.testing.assert_allclose(loss.item(), float(arrays["loss"]), rtol=_LOSS_RTOL)
    for name, gradient in gradients.items():
        _assert_close(gradient.numpy(), arrays[f"grad_{name}"], _GRADIENT_RTOL, name)
    for name, value in further.items():
        if f"out_{name}" in arrays:
            stored = np.asarray(arrays[f"out_{name}"])
            _assert_close(value.detach().numpy().reshape(stored.shape), stored, _LOSS_RTOL, name)


@pytest.mark.parametrize(("folder", "case"), _cases(only_float32=True))
def test_golden_case_in_float32(folder: Path, case: dict[str, Any]) -> None:
    with np.load(folder / case["file"], allow_pickle=False) as stored:
        inputs = {
            name.removeprefix("in_"): torch.from_numpy(stored[name])
            for name in stored.files
            if name.startswith("in_")
        }
    single = {n: t.float() if t.is_floating_point() else t for n, t in inputs.items()}
    loss, _ = RUNNERS[case["method"]](single, case["hyperparameters"], {})
    assert loss.dtype == torch.float32
    np.testing.assert_allclose(loss.item(), case["loss"], rtol=_FLOAT32_RTOL)


def _is_named_variant(case: dict[str, Any]) -> bool:
    return case["method"] == "at" and case["hyperparameters"].get("mode") == "paper"


def _assert_close(ours: Any, stored: Any, rtol: float, name: str) -> None:
    # Entries that are 0 up to rounding are compared on the scale of the tensor.
    np.testing.assert_allclose(
        ours, stored, rtol=rtol, atol=rtol * np.abs(stored).max(), err_msg=name
    )


def _assert_svd_reached_by_signs(folder: Path, case: dict[str, Any]) -> None:
    """The reference keeps LAPACK's arbitrary signs: its value is ours for some flip of them."""
    with np.load(folder / case["file"], allow_pickle=False) as stored:
        arrays = {name: torch.from_numpy(np.asarray(stored[name])) for name in stored.files}
    vectors = case["hyperparameters"]["k"]
    layers = len([name for name in arrays if name.startswith("in_s")])
    batch = len(arrays["in_s0"])
    # Only the relative sign of neighbouring layers counts, so the last one keeps its own.
    flips = list(itertools.product((1.0, -1.0), repeat=vectors * (layers - 1)))
    values = [
        [
            _flipped_loss({n: a[b : b + 1] for n, a in arrays.items() if n[:3] == "in_"}, flip)
            for flip in flips
        ]
        for b in range(batch)
    ]
    wanted = float(arrays["loss"])
    if len(flips) ** batch > 100_000:
        assert sum(map(min, values)) / batch <= wanted <= sum(map(max, values)) / batch
        return
    reachable = [sum(choice) / batch for choice in itertools.product(*values)]
    assert min(abs(value - wanted) for value in reachable) < _LOSS_RTOL * abs(wanted)


def _flipped_loss(one: dict[str, torch.Tensor], signs: tuple[float, ...]) -> float:
    layers = len([name for name in one if name.startswith("in_s")])
    vectors = len(signs) // (layers - 1)
    student, teacher = ([one[f"in_{side}{n}"] for n in range(layers)] for side in "st")
    flips = [torch.tensor(signs[n * vectors : (n + 1) * vectors]) for n in range(layers - 1)]
    original = svd.channel_vectors

    def flipped(maps: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        values, columns = original(maps, count)
        for layer, flip in zip(teacher[:-1], flips, strict=True):
            if maps is layer:
                columns = columns * flip.to(columns.dtype)
        return values, columns

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(svd, "channel_vectors", flipped)
        losses = [
            svd.singular_vector_loss(
                (student[n], student[n + 1]), (teacher[n], teacher[n + 1]), vectors=vectors
            )
            for n in range(layers - 1)
        ]
    return float(torch.stack(losses).sum())
