"""What each method gains over the best control, for students of 2k, 8k and 30k parameters.

python -m benchmarks.distil_attribution --data FASHION_MNIST [--epochs 15] [--seeds 3]

Every row is one training recipe over the same seeds: cross-entropy, label smoothing, cross-entropy
on standardised logits (no teacher), then the methods. A gain is the paired difference in test
accuracy to the control that was best on validation, with its 95% Student-t interval. Nothing is
passed or failed here.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from benchmarks.distil_setup import Setup, load, parameters, parser, student
from hwkd.distill.attribution import attribute, paired_gain
from hwkd.distill.spec import parse_methods
from hwkd.engine.distil_data import transfer_set
from hwkd.engine.distil_student import ArmResult, DistilSettings, distil_student

CONTROLS = {
    "ce": (),
    "label_smoothing": ("label_smoothing",),
    "ce_standardised": ("ce_standardised",),
}
METHODS = (
    "kd:temperature=2", "kd:temperature=4", "dkd", "dist", "lskd", "logit_mse", "gjs", "fitnet",
    "at:weight=100", "sp", "pkt", "rkd", "vid", "nst", "crd_batch", "reviewkd", "semckd", "ofa",
)  # fmt: skip


def main(arguments: list[str]) -> int:
    options = parser(__doc__ or "")
    options.add_argument("--methods", nargs="+", default=METHODS)
    chosen = options.parse_args(arguments)
    setup = load(chosen)
    found = {}
    for size in chosen.students or ("2k", "8k", "30k"):
        layers = student(size, setup.data)
        print(f"\n{size}: {parameters(layers):,} parameters, {chosen.epochs} epochs", flush=True)
        settings = DistilSettings(
            epochs=chosen.epochs, seeds=tuple(range(chosen.seeds)), device=setup.device
        )
        found[size] = _table(setup, layers, settings, tuple(chosen.methods))
    if chosen.json is not None:
        chosen.json.write_text(json.dumps(found, indent=1))
    return 0


def _table(
    setup: Setup, layers: Any, settings: DistilSettings, methods: tuple[str, ...]
) -> dict[str, Any]:
    transfer = transfer_set(setup.data)

    def trained(texts: tuple[str, ...]) -> ArmResult:
        chosen = parse_methods(texts)
        return distil_student(layers, transfer, setup.teacher, chosen, settings).arms[0]

    controls = {name: trained(texts) for name, texts in CONTROLS.items()}
    rows = {}
    for name, result in controls.items():
        rows[name] = {"validation": result.validation, "test": result.test}
        print(f"{name:22} {_mean(result.test):.4f}", flush=True)
    for text in methods:
        result = trained((text,))
        best = attribute(
            text, result.validation, {n: c.validation for n, c in controls.items()}
        ).best_control
        gain = paired_gain(result.test, controls[best].test)
        rows[text] = {"validation": result.validation, "test": result.test, "over": best}
        print(
            f"{text:22} {_mean(result.test):.4f}  {100 * gain.mean:+.2f} "
            f"({100 * gain.low:+.2f} to {100 * gain.high:+.2f}) over {best}",
            flush=True,
        )
    return rows


def _mean(values: tuple[float, ...]) -> float:
    return sum(values) / len(values)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
