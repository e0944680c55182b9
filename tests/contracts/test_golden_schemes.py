"""Every golden case of a directory of schemes: canonical ones equal ours, variants are told apart.

The directory is HWKD_GOLDEN_SCHEMES_DIR; without it the project's own set in
`tests/golden/schemes`, made by `tests/support/scheme_vectors.py` from independent formulas, and, in
a checkout that has them beside it, the vectors of `../shared/kd/schemes`.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.golden_losses import Options
from support.golden_schemes import runner_of

_ROOT = Path(__file__).resolve().parents[2]
_LOSS_RTOL = 1e-9
_GRADIENT_RTOL = 1e-7
_FLOAT32_RTOL = 2e-5
# What a loss is that only sums up an aggregate.
_CHECKSUMS = ("aggregate", "schedule")


def _directories() -> list[Path]:
    given = os.environ.get("HWKD_GOLDEN_SCHEMES_DIR")
    if given:
        return [Path(given)]
    beside = _ROOT.parent / "shared" / "kd" / "schemes"
    own = _ROOT / "tests" / "golden" / "schemes"
    return [own, beside] if (beside / "golden.json").is_file() else [own]


def _cases() -> list[Any]:
    return [
        pytest.param(folder, case, id=f"{folder.parent.name}:{case['id']}")
        for folder in _directories()
        for case in json.loads((folder / "golden.json").read_text())["cases"]
    ]


@dataclass(frozen=True)
class _Found:
    """What ours gives for a case, beside what is stored."""

    loss: torch.Tensor | None
    gradients: dict[str, torch.Tensor]
    further: dict[str, Any]
    stored: dict[str, Any]

    def differences(self, case: dict[str, Any]) -> list[str]:
        rtol, gradient_rtol = case.get("rtol", _LOSS_RTOL), case.get("rtol", _GRADIENT_RTOL)
        wrong = []
        if self.loss is not None and case["kind"] not in _CHECKSUMS:
            wrong += _different("loss", self.loss, self.stored["loss"], rtol)
        for name, gradient in self.gradients.items():
            wrong += _different(name, gradient, self.stored[f"grad_{name}"], gradient_rtol)
        for name, value in self.stored.items():
            if not name.startswith("out_"):
                continue
            # "*" is an output under whatever name the set has for it.
            ours = self.further.get(name.removeprefix("out_"), self.further.get("*"))
            if ours is None:
                wrong.append(f"{name} is not given")
            else:
                wrong += _different(name, ours, value, rtol)
        return wrong


def _different(what: str, ours: Any, stored: Any, rtol: float) -> list[str]:
    found = np.asarray(ours.detach() if isinstance(ours, torch.Tensor) else ours)
    wanted = np.asarray(stored)
    if found.size != wanted.size:
        return [f"{what} has shape {found.shape}, stored {wanted.shape}"]
    # Entries that are 0 up to rounding are compared on the scale of the tensor.
    scale = max(float(np.abs(wanted).max(initial=0.0)), 1e-300)
    gap = float(np.abs(found.reshape(wanted.shape) - wanted).max(initial=0.0))
    return [f"{what} differs by {gap / scale:.2g} of its size"] if gap > rtol * scale else []


def _run(folder: Path, case: dict[str, Any], dtype: torch.dtype = torch.float64) -> _Found:
    with np.load(folder / case["file"], allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    inputs = {}
    for name, array in arrays.items():
        if name.startswith("in_"):
            tensor = torch.from_numpy(array)
            is_real = tensor.is_floating_point()
            inputs[name.removeprefix("in_")] = tensor.to(dtype) if is_real else tensor
    for name in (*case["grad_wrt"], *case["zero_grad"]):
        inputs[name].requires_grad_()
    options = Options(case["hyperparameters"])
    loss, further = runner_of(case["method"])(inputs, options)
    assert not options.unread(), f"hyperparameters that were not read: {options.unread()}"
    gradients = {}
    if case["grad_wrt"]:
        names = [*case["grad_wrt"], *case["zero_grad"]]
        found = torch.autograd.grad(loss, [inputs[name] for name in names], allow_unused=True)
        gradients = {
            name: torch.zeros_like(inputs[name]) if g is None else g
            for name, g in zip(names, found, strict=True)
        }
    for name in case["zero_grad"]:
        assert not gradients.pop(name).any(), f"{name} must get no gradient"
    return _Found(loss, gradients, further, arrays)


@pytest.mark.parametrize(("folder", "case"), _cases())
def test_golden_scheme(folder: Path, case: dict[str, Any]) -> None:
    if not case["canonical"]:
        _assert_told_apart(folder, case)
        return
    found = _run(folder, case)
    assert not found.differences(case), found.differences(case)


@pytest.mark.parametrize(("folder", "case"), _cases())
def test_golden_scheme_in_float32(folder: Path, case: dict[str, Any]) -> None:
    if not case["canonical"] or case["kind"] != "loss":
        pytest.skip("only canonical losses are compared in float32")
    found = _run(folder, case, torch.float32)
    assert found.loss is not None
    assert found.loss.dtype == torch.float32
    single = case["loss"] if case["loss_f32"] is None else case["loss_f32"]
    # What is solved by iteration has the digits of its weights.
    tolerance = max(_FLOAT32_RTOL, case.get("rtol", 0.0))
    lost = abs(single - case["loss"]) / abs(case["loss"])
    np.testing.assert_allclose(found.loss.item(), case["loss"], rtol=max(tolerance, 4 * lost))


def _assert_told_apart(folder: Path, case: dict[str, Any]) -> None:
    """A public variant is another loss or another gradient, unless an option of ours names it."""
    try:
        found = _run(folder, case)
    except AssertionError as error:
        assert "must get no gradient" in str(error)
        return
    is_named = case["method"] in ("sad", "lwf", "seg_pixel", "seg_pair")
    assert bool(found.differences(case)) != is_named, case["notes"]


def test_a_case_without_a_function_or_with_another_hyperparameter_fails(tmp_path: Path) -> None:
    logits = np.linspace(-1, 1, 12).reshape(2, 6)
    case = {
        "method": "takd", "hyperparameters": {"temperature": 2.0, "lam": 1.0, "depth": 3},
        "file": "case.npz", "grad_wrt": ["zs"], "zero_grad": [], "canonical": True,
        "family": "staged", "kind": "loss",
    }  # fmt: skip
    np.savez(
        tmp_path / "case.npz", in_zs=logits, in_zt=logits[::-1], in_y=np.zeros(2, int), loss=1.0
    )
    with pytest.raises(AssertionError, match=r"not read: \{'depth': 3\}"):
        test_golden_scheme(tmp_path, case)
    with pytest.raises(AssertionError, match="no function of ours is mapped to method 'takdd'"):
        test_golden_scheme(tmp_path, {**case, "method": "takdd"})
