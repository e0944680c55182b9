"""The project's own golden cases of schemes: NumPy formulas, gradients by complex steps.

Formulas take the inputs that learn and, apart, those that targets are made of, so that what is
detached is a constant here. `python -m support.scheme_vectors` (in `tests`) writes the files.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import minimize

FOLDER = Path(__file__).resolve().parents[1] / "golden" / "schemes"
_STEP = 1e-30


def log_softmax(z: Any, t: float = 1.0) -> Any:
    z = z / t
    z = z - z.real.max(-1, keepdims=True)
    return z - np.log(np.exp(z).sum(-1, keepdims=True))


def ce(z: Any, y: Any) -> Any:
    return -log_softmax(z)[np.arange(len(y)), y].mean()


def kl(target: Any, z: Any, t: float) -> Any:
    theirs = log_softmax(target, t)
    return t * t * (np.exp(theirs) * (theirs - log_softmax(z, t))).sum(-1).mean()


def kl_to(probabilities: Any, z: Any) -> Any:
    return (probabilities * (np.log(probabilities) - log_softmax(z))).sum(-1).mean()


def peers(x: Any) -> list[Any]:
    return [x[name] for name in sorted(x) if name[0] == "z" and name[1:].isdigit()]


def dml(x: Any, fixed: Any) -> Any:
    z, other = peers(x), peers(fixed)
    total = 0.0
    for k, own in enumerate(z):
        rest = [kl(o, own, 2.0) for j, o in enumerate(other) if j != k]
        total = total + ce(own, x["y"]) + sum(rest) / len(rest)
    return total


def cl_ilr(x: Any, fixed: Any) -> Any:
    z, other = peers(x), peers(fixed)
    total = 0.0
    for k, own in enumerate(z):
        rest = np.mean([o for j, o in enumerate(other) if j != k], 0)
        total = total + ce(own, x["y"]) + kl(rest, own, 3.0)
    return total


def kdcl_linear(x: Any, fixed: Any) -> Any:
    stacked = np.stack(peers(fixed), 1)
    targets = []
    for rows, label in zip(stacked, x["y"], strict=True):

        def loss(a: Any, rows: Any = rows, label: int = label) -> float:
            return float(-log_softmax(a @ rows)[label])

        count = len(rows)
        found = minimize(
            loss, np.full(count, 1 / count), bounds=[(0, 1)] * count, method="SLSQP",
            constraints={"type": "eq", "fun": lambda a: a.sum() - 1},
            options={"ftol": 1e-15, "maxiter": 500},
        )  # fmt: skip
        targets.append(found.x @ rows)
    target = np.array(targets)
    return sum(ce(own, x["y"]) + 0.7 * kl(target, own, 2.0) for own in peers(x))


def one(x: Any, fixed: Any) -> Any:
    def ensemble(of: Any) -> Any:
        gate = np.where(of["g"].real > 0, of["g"], 0.0)
        return np.einsum("bk,kbc->bc", np.exp(log_softmax(gate)), np.stack(peers(of)))

    branches = sum(ce(own, x["y"]) + 0.5 * kl(ensemble(fixed), own, 3.0) for own in peers(x))
    return branches + ce(ensemble(x), x["y"])


def camkd(x: Any, fixed: Any) -> Any:
    teachers = [fixed[f"zt{n}"] for n in range(3)]
    rows = np.arange(len(x["y"]))
    errors = np.stack([-log_softmax(t)[rows, x["y"]] for t in teachers])
    share = np.exp(errors) / np.exp(errors).sum(0)
    total = 0.0
    for teacher, weight in zip(teachers, (1 - share) / 2, strict=True):
        theirs = log_softmax(teacher, 4.0)
        each = 16.0 * (np.exp(theirs) * (theirs - log_softmax(x["zs"], 4.0))).sum(-1)
        total = total + (weight * each).mean()
    return total


def pskd(x: Any, fixed: Any) -> Any:
    target = 0.75 * np.eye(x["zs"].shape[1])[x["y"]] + 0.25 * fixed["p_prev"]
    return -(target * log_softmax(x["zs"])).sum(-1).mean()


def dfad(x: Any, fixed: Any) -> Any:
    gap = x["zs"] - fixed["zt"]
    return (gap * np.sign(gap.real)).mean()


def compete(x: Any, fixed: Any) -> Any:
    ours, theirs = np.exp(log_softmax(x["zs"], 3.0)), np.exp(log_softmax(fixed["zt"], 3.0))
    middle = (ours + theirs) / 2

    def inside(p: Any) -> Any:
        return np.where(p.real < 0.01, 0.01, np.where(p.real > 0.99, 0.99, p))

    middle, ours, theirs = inside(middle), inside(ours), inside(theirs)
    both = [(middle * (np.log(middle) - np.log(p))).sum() for p in (ours, theirs)]
    return 0.5 * (1 - 0.5 * sum(both) / len(x["zs"]))


def lwf(x: Any, fixed: Any) -> Any:
    soft = -(np.exp(log_softmax(fixed["z_prev"], 2.0)) * log_softmax(x["z_old_heads"], 2.0))
    return ce(x["z_new_head"], x["y"] - 5) + 0.8 * soft.sum(-1).mean()


def takd(x: Any, fixed: Any) -> Any:
    return 0.6 * ce(x["zs"], x["y"]) + 0.4 * kl(fixed["zt"], x["zs"], 5.0)


def _logits(rng: Any, *names: str, rows: int = 6, classes: int = 5) -> dict[str, Any]:
    return {name: rng.normal(0, 2, (rows, classes)) for name in names}


def cases() -> list[dict[str, Any]]:
    """Return every case: formula, inputs and what learns."""
    rng = np.random.default_rng(11)
    y = rng.integers(0, 5, 6)
    three = ("z0", "z1", "z2")
    p_prev = rng.dirichlet(np.ones(5), 6)
    heads = _logits(rng, "z_old_heads", "z_prev") | _logits(rng, "z_new_head", classes=3)
    gates = {"g": rng.normal(0, 1, (6, 3))}
    teachers = _logits(rng, "zs", "zt0", "zt1", "zt2")
    return [
        _case("dml", "online", dml, {"temperature": 2.0}, _logits(rng, *three) | {"y": y}, three),
        _case(
            "cl_ilr", "online", cl_ilr, {"temperature": 3.0}, _logits(rng, *three) | {"y": y}, three
        ),
        _case(
            "kdcl", "online", kdcl_linear, {"variant": "linear", "temperature": 2.0, "lam": 0.7},
            _logits(rng, *three) | {"y": y}, three, rtol=2e-5,
        ),
        _case(
            "one", "online", one, {"temperature": 3.0, "weight": 0.5},
            _logits(rng, *three) | gates | {"y": y}, (*three, "g"),
        ),
        _case(
            "camkd", "multi-teacher", camkd, {"temperature": 4.0, "divide_by_teachers": False},
            teachers | {"y": y}, ("zs",),
        ),
        _case(
            "pskd", "self", pskd, {"alpha": 0.25},
            _logits(rng, "zs") | {"p_prev": p_prev, "y": y}, ("zs",),
        ),
        _case("dfad", "data-free", dfad, {}, _logits(rng, "zs", "zt"), ("zs",)),
        _case(
            "deepinversion_compete", "data-free", compete, {"temperature": 3.0, "weight": 0.5},
            _logits(rng, "zs", "zt"), ("zs",),
        ),
        _case(
            "lwf", "lifelong", lwf, {"temperature": 2.0, "lam": 0.8},
            heads | {"y": rng.integers(5, 8, 6)}, ("z_old_heads", "z_new_head"),
        ),
        _case(
            "takd", "staged", takd, {"temperature": 5.0, "lam": 0.4},
            _logits(rng, "zs", "zt") | {"y": y}, ("zs",),
        ),
    ]  # fmt: skip


def _case(
    method: str,
    family: str,
    formula: Callable[[Any, Any], Any],
    hyperparameters: dict[str, Any],
    inputs: dict[str, Any],
    learns: tuple[str, ...],
    **further: Any,
) -> dict[str, Any]:
    return {
        "method": method, "family": family, "formula": formula, "inputs": inputs,
        "hyperparameters": hyperparameters, "learns": learns, **further,
    }  # fmt: skip


def gradient(case: dict[str, Any], name: str) -> Any:
    """Return d loss / d input by complex steps, exact to rounding."""
    fixed, found = case["inputs"], np.zeros_like(case["inputs"][name])
    for index in np.ndindex(found.shape):
        moved = fixed[name].astype(complex)
        moved[index] += 1j * _STEP
        found[index] = np.imag(case["formula"](fixed | {name: moved}, fixed)) / _STEP
    return found


def write(folder: Path = FOLDER) -> None:
    """Write every case and the index."""
    folder.mkdir(parents=True, exist_ok=True)
    index = []
    for case in cases():
        file = f"{case['method']}__own.npz"
        loss = float(np.real(case["formula"](case["inputs"], case["inputs"])))
        arrays = {f"in_{name}": value for name, value in case["inputs"].items()}
        arrays |= {f"grad_{name}": gradient(case, name) for name in case["learns"]}
        np.savez(folder / file, loss=loss, **arrays)
        index.append(
            {
                "id": f"{case['method']}/own", "method": case["method"], "family": case["family"],
                "kind": "loss", "canonical": True, "hyperparameters": case["hyperparameters"],
                "grad_wrt": list(case["learns"]), "zero_grad": [], "loss": loss, "loss_f32": None,
                "file": file, "notes": "",
            } | ({"rtol": case["rtol"]} if "rtol" in case else {})
        )  # fmt: skip
    (folder / "golden.json").write_text(json.dumps({"cases": index}, indent=1) + "\n")


if __name__ == "__main__":
    write()
