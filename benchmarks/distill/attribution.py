"""What each method gains over the best control, for students of 2k, 8k and 30k parameters.

python -m benchmarks.distill.attribution --data FASHION_MNIST --cells runs/attribution.jsonl
    [--epochs 10] [--seeds 3] [--processes 2]

Every row is one training recipe over the same seeds: cross-entropy, label smoothing, cross-entropy
on standardised logits (no teacher), then the methods. A gain is the paired difference in test
accuracy to the control that was best on validation, with its 95% Student-t interval. Nothing is
passed or failed here. The default methods read the teacher's logits and embeddings, which are
computed once; `--methods fitnet at:weight=100 sp ...` adds methods that run the teacher on every
batch, which is several times slower. A killed run goes on where it was with the same command.
"""

from __future__ import annotations

import sys

from benchmarks.distill.cells import CONTROLS
from benchmarks.distill.grid import Grid, stored
from benchmarks.distill.setup import Labels, parser
from benchmarks.lib.verdict import report

METHODS = (
    "kd:temperature=2", "kd:temperature=4", "lskd", "dist", "dkd", "gjs", "logit_mse", "wsld",
    "mlkd", "ofa", "peers", "pkt", "rkd", "cc", "crd_batch",
)  # fmt: skip


def main(arguments: list[str]) -> int:
    options = parser(__doc__ or "")
    options.add_argument("--methods", nargs="+", default=METHODS)
    chosen = options.parse_args(arguments)
    grid = Grid.trained(
        chosen,
        sizes=("2k", "8k", "30k"),
        controls=CONTROLS,
        methods=chosen.methods,
        known=[Labels()],
    )
    return report([], {"rows": stored(grid.show(Labels(), "all labels"))})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
