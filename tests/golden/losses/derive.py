"""Derives the project's own golden losses in NumPy, without a line of hwkd or torch.

Run it as `python tests/golden/losses/derive.py`. Each loss is written from its paper's equation in
loops and matrices; gradients are complex-step derivatives, f'(x) = Im f(x + ih) / h with h = 1e-30,
which are exact to rounding for the analytic functions used here.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
_STEP = 1e-30
_HERE = Path(__file__).parent


def softmax(z: Array, temperature: float = 1.0) -> Array:
    scaled = z / temperature
    exp = np.exp(scaled - scaled.real.max(-1, keepdims=True))
    return exp / exp.sum(-1, keepdims=True)


def norm(x: Array, axis: int) -> Array:
    # Not np.linalg.norm: the complex modulus is not analytic.
    return np.sqrt((x * x).sum(axis, keepdims=True))


def magnitude(x: Array) -> Array:
    return np.where(x.real < 0, -x, x)


def smooth_l1(difference: Array) -> Array:
    size = magnitude(difference)
    return np.where(size.real < 1, 0.5 * difference**2, size - 0.5).mean()


def kd(i: dict[str, Array], h: dict[str, Any]) -> Any:
    ps, pt = softmax(i["zs"], h["T"]), softmax(i["zt"], h["T"])
    return h["T"] ** 2 * (pt * (np.log(pt) - np.log(ps))).sum(1).mean()


def lskd(i: dict[str, Array], h: dict[str, Any]) -> Any:
    def standardise(z: Array) -> Array:
        centred = z - z.mean(1, keepdims=True)
        deviation = np.sqrt((centred**2).sum(1, keepdims=True) / (z.shape[1] - 1))
        return centred / (deviation + 1e-7)

    return kd({"zs": standardise(i["zs"]), "zt": standardise(i["zt"])}, h)


def dkd(i: dict[str, Array], h: dict[str, Any]) -> Any:
    target, others = [], []
    for zs, zt, y in zip(i["zs"], i["zt"], i["y"], strict=True):
        ps, pt = softmax(zs, h["T"]), softmax(zt, h["T"])
        binary = [(pt[y], ps[y]), (1 - pt[y], 1 - ps[y])]
        target.append(sum(t * (np.log(t) - np.log(s)) for t, s in binary))
        rest = [c for c in range(len(zs)) if c != y]
        qs, qt = ps[rest] / ps[rest].sum(), pt[rest] / pt[rest].sum()
        others.append((qt * (np.log(qt) - np.log(qs))).sum())
    return h["T"] ** 2 * (h["alpha"] * np.mean(target) + h["beta"] * np.mean(others))


def dist(i: dict[str, Array], h: dict[str, Any]) -> Any:
    def correlation(a: Array, b: Array) -> Any:
        a, b = a - a.mean(), b - b.mean()
        return (a * b).sum() / (norm(a, 0)[0] * norm(b, 0)[0] + 1e-8)

    ps, pt = softmax(i["zs"], h["tau"]), softmax(i["zt"], h["tau"])
    rows = np.mean([correlation(s, t) for s, t in zip(ps, pt, strict=True)])
    columns = np.mean([correlation(s, t) for s, t in zip(ps.T, pt.T, strict=True)])
    return h["tau"] ** 2 * (h["beta"] * (1 - rows) + h["gamma"] * (1 - columns))


def gkd(i: dict[str, Array], h: dict[str, Any]) -> Any:
    ps, pt = softmax(i["s"], h["temperature"]), softmax(i["t"], h["temperature"])
    beta = h["beta"]
    mixture = beta * pt + (1 - beta) * ps
    values = beta * (pt * np.log(pt / mixture)) + (1 - beta) * (ps * np.log(ps / mixture))
    return values.sum(-1)[i["labels"] != -100].mean()


def at(i: dict[str, Array], h: dict[str, Any]) -> Any:
    maps = []
    for features in (i["fs"], i["ft"]):
        attention = (features ** h["p"]).mean(1).reshape(len(features), -1)
        maps.append(attention / norm(attention, 1))
    return ((maps[0] - maps[1]) ** 2).mean()


def sp(i: dict[str, Array], _: dict[str, Any]) -> Any:
    grams = []
    for features in (i["fs"], i["ft"]):
        rows = features.reshape(len(features), -1)
        gram = rows @ rows.T
        grams.append(gram / norm(gram, 1))
    return ((grams[0] - grams[1]) ** 2).sum() / len(i["fs"]) ** 2


def pkt(i: dict[str, Array], h: dict[str, Any]) -> Any:
    probabilities = []
    for rows in (i["fs"], i["ft"]):
        unit = rows / (norm(rows, 1) + h["eps"])
        similarity = (unit @ unit.T + 1) / 2
        probabilities.append(similarity / similarity.sum(1, keepdims=True))
    ps, pt = probabilities
    return (pt * np.log((pt + h["eps"]) / (ps + h["eps"]))).mean()


def nst(i: dict[str, Array], _: dict[str, Any]) -> Any:
    def kernel(a: Array, b: Array) -> Any:
        total: Any = 0
        for x in a:
            for y in b:
                total = total + (x * y).sum() ** 2
        return total / (len(a) * len(b))

    values = []
    for fs, ft in zip(i["fs"], i["ft"], strict=True):
        s = fs.reshape(len(fs), -1) / norm(fs.reshape(len(fs), -1), 1)
        t = ft.reshape(len(ft), -1) / norm(ft.reshape(len(ft), -1), 1)
        values.append(kernel(s, s) + kernel(t, t) - 2 * kernel(s, t))
    return np.mean(values)


def rkd(i: dict[str, Array], h: dict[str, Any]) -> Any:
    distances, angles = [], []
    for rows in (i["fs"], i["ft"]):
        count = len(rows)
        away = rows[None] - rows[:, None]
        squares = (away**2).sum(2)
        distance = np.sqrt(squares + np.eye(count)) - np.eye(count)
        distances.append(distance / (distance.sum() / (count * (count - 1))))
        units = away / np.sqrt(squares + np.eye(count))[:, :, None]
        angles.append(np.einsum("ijd,ikd->ijk", units, units))
    return h["w_d"] * smooth_l1(distances[0] - distances[1]) + h["w_a"] * smooth_l1(
        angles[0] - angles[1]
    )


def fsp(i: dict[str, Array], _: dict[str, Any]) -> Any:
    def flow(first: Array, second: Array) -> Array:
        # The first map is twice as high and three times as wide as the second.
        b, c, height, width = first.shape
        pooled = first.reshape(b, c, height // 2, 2, width // 3, 3).mean((3, 5))
        positions = pooled.shape[2] * pooled.shape[3]
        return np.einsum("bihw,bjhw->bij", pooled, second) / positions

    return ((flow(i["s0"], i["s1"]) - flow(i["t0"], i["t1"])) ** 2).mean()


def vid(i: dict[str, Array], h: dict[str, Any]) -> Any:
    mean = i["fs"]
    for index in range(3):
        mean = np.einsum("oc,bchw->bohw", i[f"w{index}"][:, :, 0, 0], mean)
        if index < 2:
            mean = np.where(mean.real > 0, mean, 0)
    variance = (np.log(1 + np.exp(i["log_scale"])) + h["eps"])[None, :, None, None]
    return 0.5 * ((mean - i["ft"]) ** 2 / variance + np.log(variance)).mean()


def cwd(i: dict[str, Array], h: dict[str, Any]) -> Any:
    flat = {n: f.reshape(f.shape[0] * f.shape[1], -1) for n, f in i.items()}
    return kd({"zs": flat["fs"], "zt": flat["ft"]}, {"T": h["tau"]})


def tfkd(i: dict[str, Array], h: dict[str, Any]) -> Any:
    batch, classes = i["zs"].shape
    virtual = np.full((batch, classes), (1 - h["correct_prob"]) / (classes - 1))
    virtual[np.arange(batch), i["y"]] = h["correct_prob"]
    target, log_student = softmax(virtual, h["T"]), np.log(softmax(i["zs"]))
    soft = (target * (np.log(target) - log_student)).mean()
    hard = -log_student[np.arange(batch), i["y"]].mean()
    return (1 - h["alpha"]) * hard + h["alpha"] * h["multiplier"] * soft


Loss = Callable[[dict[str, Array], dict[str, Any]], Any]
Case = tuple[str, Loss, dict[str, Any], dict[str, tuple[int, ...]], tuple[str, ...]]
_LOGITS = {"zs": (5, 7), "zt": (5, 7)}
_ROWS = {"fs": (5, 6), "ft": (5, 9)}
_MAPS = {"fs": (3, 4, 5, 3), "ft": (3, 6, 5, 3)}
CASES: tuple[Case, ...] = (
    ("kd", kd, {"T": 3.0}, _LOGITS, ("zs",)),
    ("dkd", dkd, {"alpha": 0.7, "beta": 2.5, "T": 2.0}, {**_LOGITS, "y": (5,)}, ("zs",)),
    ("dist", dist, {"beta": 2.0, "gamma": 0.5, "tau": 1.5}, _LOGITS, ("zs",)),
    ("lskd", lskd, {"T": 3.0}, _LOGITS, ("zs",)),
    (
        "gkd",
        gkd,
        {"beta": 0.3, "temperature": 1.3, "reduction": "batchmean"},
        {"s": (2, 4, 6), "t": (2, 4, 6), "labels": (2, 4)},
        ("s",),
    ),
    ("at", at, {"p": 2}, _MAPS, ("fs",)),
    ("nst", nst, {"kernel": "poly d=2 c=0"}, _MAPS, ("fs",)),
    ("sp", sp, {}, _MAPS, ("fs",)),
    ("pkt", pkt, {"eps": 1e-7}, _ROWS, ("fs",)),
    ("rkd", rkd, {"w_d": 1.0, "w_a": 2.0}, _ROWS, ("fs",)),
    (
        "fsp",
        fsp,
        {},
        {"s0": (2, 3, 4, 6), "s1": (2, 5, 2, 2), "t0": (2, 3, 4, 6), "t1": (2, 5, 2, 2)},
        ("s0", "s1"),
    ),
    (
        "vid",
        vid,
        {"eps": 1e-5, "init_pred_var": 5.0},
        {
            "fs": (2, 3, 4, 2),
            "ft": (2, 4, 4, 2),
            "w0": (4, 3, 1, 1),
            "w1": (4, 4, 1, 1),
            "w2": (4, 4, 1, 1),
            "log_scale": (4,),
        },
        ("fs", "log_scale"),
    ),
    ("cwd", cwd, {"tau": 2.0}, {"fs": (2, 3, 4, 5), "ft": (2, 3, 4, 5)}, ("fs",)),
    (
        "tfkd",
        tfkd,
        {"alpha": 0.3, "T": 5.0, "multiplier": 2.0, "correct_prob": 0.9},
        {"zs": (5, 7), "y": (5,)},
        ("zs",),
    ),
)


def draw(shapes: dict[str, tuple[int, ...]], seed: int) -> dict[str, Array]:
    generator = np.random.default_rng(seed)
    inputs: dict[str, Array] = {}
    for name, shape in shapes.items():
        if name == "y":
            inputs[name] = generator.integers(0, shapes["zs"][1], shape)
        elif name == "labels":
            inputs[name] = np.where(generator.random(shape) < 0.3, -100, 1)
        else:
            inputs[name] = generator.normal(0.0, 1.5, shape)
    return inputs


def complex_step(loss: Loss, inputs: dict[str, Array], options: dict[str, Any], name: str) -> Array:
    gradient = np.zeros_like(inputs[name])
    for place in np.ndindex(*gradient.shape):
        moved = {n: a.astype(complex) if n == name else a for n, a in inputs.items()}
        moved[name][place] += 1j * _STEP
        gradient[place] = loss(moved, options).imag / _STEP
    return gradient


def main() -> None:
    index = []
    for number, (method, loss, options, shapes, wanted) in enumerate(CASES):
        inputs = draw(shapes, seed=number)
        value = float(np.real(loss(inputs, options)))
        arrays: dict[str, Any] = {f"in_{n}": a for n, a in inputs.items()}
        arrays["loss"] = np.float64(value)
        for name in wanted:
            arrays[f"grad_{name}"] = complex_step(loss, inputs, options, name)
        file = f"{method}.npz"
        np.savez(_HERE / file, **arrays)
        index.append(
            {
                "id": f"{method}/numpy",
                "method": method,
                "canonical": True,
                "hyperparameters": options,
                "grad_wrt": list(wanted),
                "loss": value,
                "file": file,
            }
        )
    text = json.dumps({"source": "derive.py", "cases": index}, indent=1)
    (_HERE / "golden.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
