"""Every golden case of a directory: canonical ones equal ours, the others are told apart.

A variant of public code differs visibly, unless it is the published formula for these
hyperparameters (a missing T^2 at T = 1): then value and gradient are equal.

The directory is HWKD_GOLDEN_DIR; without it the project's own set in `tests/golden/losses` and, in
a checkout that has them beside it, the vectors of `../shared/kd/golden`.
"""

from __future__ import annotations

import itertools
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.golden_losses import Options, runner_of

from hwkd.distill.losses import svd

_ROOT = Path(__file__).resolve().parents[2]
_LOSS_RTOL = 1e-9
_GRADIENT_RTOL = 1e-7
_FLOAT32_RTOL = 2e-5
# Gradients that are 0 up to rounding (a bias before batch normalisation) are compared on the scale
# of the case's others.
_ROUNDING = 1e-13


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


@dataclass(frozen=True)
class _Found:
    """What ours gives for a case, beside what is stored."""

    loss: torch.Tensor
    gradients: dict[str, torch.Tensor]
    further: dict[str, torch.Tensor]
    stored: dict[str, Any]
    hint: str

    def is_stored_loss(self) -> bool:
        wanted = float(self.stored["loss"])
        return abs(self.loss.item() - wanted) <= 1e-6 * abs(wanted)

    def assert_equal(self) -> None:
        np.testing.assert_allclose(
            self.loss.item(), float(self.stored["loss"]), rtol=_LOSS_RTOL, err_msg=self.hint
        )
        wanted = {name: np.asarray(self.stored[f"grad_{name}"]) for name in self.gradients}
        floor = _ROUNDING * max((np.abs(g).max() for g in wanted.values()), default=0.0)
        for name, gradient in self.gradients.items():
            what = f"gradient by {name}; {self.hint}"
            _assert_close(gradient.numpy(), wanted[name], _GRADIENT_RTOL, what, floor)
        for name, value in self.further.items():
            if f"out_{name}" in self.stored:
                stored = np.asarray(self.stored[f"out_{name}"])
                found = value.detach().numpy().reshape(stored.shape)
                _assert_close(found, stored, _LOSS_RTOL, f"{name}; {self.hint}")


def _run(folder: Path, case: dict[str, Any]) -> _Found:
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
    options = Options(case["hyperparameters"])
    loss, further = runner_of(case["method"])(inputs, options, outputs)
    wanted = [inputs[name] for name in case["grad_wrt"]]
    gradients = dict(zip(case["grad_wrt"], torch.autograd.grad(loss, wanted), strict=True))
    hint = f"hyperparameters that were not read: {options.unread() or 'none'}"
    return _Found(loss, gradients, further, arrays, hint)


@pytest.mark.parametrize(("folder", "case"), _cases())
def test_golden_case(folder: Path, case: dict[str, Any]) -> None:
    if case["method"] == "svd" and not case["canonical"]:
        _assert_svd_reached_by_signs(folder, case)
        return
    found = _run(folder, case)
    assert found.loss.dtype == torch.float64
    if case["canonical"] or _is_named_variant(case) or found.is_stored_loss():
        found.assert_equal()


@pytest.mark.parametrize(("folder", "case"), _cases(only_float32=True))
def test_golden_case_in_float32(folder: Path, case: dict[str, Any]) -> None:
    with np.load(folder / case["file"], allow_pickle=False) as stored:
        inputs = {
            name.removeprefix("in_"): torch.from_numpy(stored[name])
            for name in stored.files
            if name.startswith("in_")
        }
    single = {n: t.float() if t.is_floating_point() else t for n, t in inputs.items()}
    options = Options(case["hyperparameters"])
    loss, _ = runner_of(case["method"])(single, options, {})
    assert loss.dtype == torch.float32
    # Where terms cancel, float32 holds fewer digits of the result: as many as in the reference.
    lost = abs(case.get("loss_f32", case["loss"]) - case["loss"]) / abs(case["loss"])
    np.testing.assert_allclose(loss.item(), case["loss"], rtol=max(_FLOAT32_RTOL, 4 * lost))


def test_a_case_without_a_function_or_with_another_hyperparameter_fails(tmp_path: Path) -> None:
    logits = np.linspace(-1, 1, 12).reshape(2, 6)
    case = {
        "method": "kd", "hyperparameters": {"T": 2.0, "smoothness": 3}, "file": "case.npz",
        "grad_wrt": ["zs"], "canonical": True,
    }  # fmt: skip
    np.savez(tmp_path / "case.npz", in_zs=logits, in_zt=logits[::-1], loss=1.0, grad_zs=logits)
    with pytest.raises(AssertionError, match=r"not read: \{'smoothness': 3\}"):
        test_golden_case(tmp_path, case)
    with pytest.raises(AssertionError, match="no function of ours is mapped to method 'kdd'"):
        test_golden_case(tmp_path, {**case, "method": "kdd"})


def _is_named_variant(case: dict[str, Any]) -> bool:
    return case["method"] == "at" and case["hyperparameters"].get("mode") == "paper"


def _assert_close(ours: Any, stored: Any, rtol: float, what: str, floor: float = 0.0) -> None:
    # Entries that are 0 up to rounding are compared on the scale of the tensor.
    atol = max(rtol * np.abs(stored).max(), floor)
    np.testing.assert_allclose(ours, stored, rtol=rtol, atol=atol, err_msg=what)


def _assert_svd_reached_by_signs(folder: Path, case: dict[str, Any]) -> None:
    """The reference keeps LAPACK's arbitrary signs: its value is ours for some flip of them."""
    with np.load(folder / case["file"], allow_pickle=False) as stored:
        arrays = {name: torch.from_numpy(np.asarray(stored[name])) for name in stored.files}
    maps = [a for name, a in arrays.items() if name[:3] in ("in_s", "in_t")]
    if any(a.shape[2] != a.shape[3] for a in maps):
        pytest.skip("the reference cuts such maps at other places, into other samples")
    vectors = case["hyperparameters"].get("k", 1)
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
