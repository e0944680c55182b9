"""What a teacher is worth when labels are few: 1%, 10% and all of them, the rest without labels.

python -m benchmarks.distil_few_labels --data FASHION_MNIST [--epochs 15] [--seeds 3]

The distilled student sees every training image and the labels of a part; the controls see that
part, for as many steps. The teacher has seen all labels: it stands for one that was trained
elsewhere. Fails if the gain over the best control is under +3 points at 1% or +1 at 10%.
"""

from __future__ import annotations

import json
import sys

import numpy as np
from numpy.typing import NDArray

from benchmarks.distil_setup import load, parameters, parser, student
from hwkd.distill.spec import parse_methods
from hwkd.engine.distil_data import UNLABELLED, transfer_set
from hwkd.engine.distil_student import DistilSettings, distil_student

LEAST_GAIN = {0.01: 0.03, 0.10: 0.01}


def main(arguments: list[str]) -> int:
    options = parser(__doc__ or "")
    options.add_argument("--fractions", nargs="+", type=float, default=(0.01, 0.10, 1.0))
    options.add_argument("--method", default="kd:temperature=2")
    chosen = options.parse_args(arguments)
    setup = load(chosen)
    settings = DistilSettings(
        epochs=chosen.epochs,
        seeds=tuple(range(chosen.seeds)),
        with_controls=True,
        device=setup.device,
    )
    found, is_good = {}, True
    for size in chosen.students or ("8k", "20k"):
        layers = student(size, setup.data)
        print(f"\n{size}: {parameters(layers):,} parameters, {chosen.epochs} epochs", flush=True)
        for fraction in chosen.fractions:
            labels = _hidden(setup.data.train.labels, fraction)
            outcome = distil_student(
                layers,
                transfer_set(setup.data, labels=labels),
                setup.teacher,
                parse_methods((chosen.method,)),
                settings,
            )
            gain = outcome.test_gain
            assert gain is not None
            scores = {arm.arm.name: arm.test for arm in outcome.arms}
            found[f"{size} {fraction:g}"] = scores
            means = ", ".join(f"{n} {np.mean(values):.4f}" for n, values in scores.items())
            print(
                f"{fraction:5.0%} of labels: {100 * gain.mean:+.2f} points ({100 * gain.low:+.2f} "
                f"to "
                f"{100 * gain.high:+.2f}); {means}",
                flush=True,
            )
            is_good = is_good and gain.mean >= LEAST_GAIN.get(fraction, -1.0)
    if chosen.json is not None:
        chosen.json.write_text(json.dumps(found, indent=1))
    return 0 if is_good else 1


def _hidden(labels: NDArray[np.int64], fraction: float) -> NDArray[np.int64]:
    """Keep the labels of a random part, the same for every student."""
    hidden = np.full_like(labels, UNLABELLED)
    kept = np.random.default_rng(0).permutation(len(labels))[: round(fraction * len(labels))]
    hidden[kept] = labels[kept]
    return hidden


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
