"""What learning from the validation examples in the end is worth, after equal passes.

usage: python -m benchmarks.accuracy.all_examples [--epochs 160] [--seeds 3] [--source FOLDER]

The plain network by hand on 500 examples per class of Fashion-MNIST, a fifth of them validation,
judged on the official test set in float32: trained on the train split; going on from there as a
search does, with all examples; and going on as long with the train split alone. Passes and not
seconds are compared, so that a busy machine gives the same numbers.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.lib.verdict import Target, report
from benchmarks.search.search_limits import plain_network, write_pictures
from hwkd.engine.arms.all_examples import learn_all
from hwkd.engine.arms.evaluation import train_student
from hwkd.engine.arms.recipes import arms_of
from hwkd.engine.setup.config import SearchConfig
from hwkd.engine.setup.context import SearchContext, make_context
from hwkd.engine.setup.resolve import load_data, resolve_config
from hwkd.engine.setup.trainings import full_training
from hwkd.engine.setup.transfer import transfer_set
from hwkd.io.device_catalog import load_device
from hwkd.nn.build import StudentModule
from hwkd.tasks.base import Split
from hwkd.train.loop import predict_logits

METHODS = {"distill": [{"method": "none"}]}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", type=Path, default=Path("/usr/share/datasets/fashion-mnist"))
    parser.add_argument("--epochs", type=int, default=160)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="one seed, two passes")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.seeds, arguments.epochs = 1, 2
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="hwkd-all-") as folder:
        context = context_of(write_pictures(arguments.source, Path(folder) / "pictures"))
    rows = [reached(context, epochs=arguments.epochs, seed=s) for s in range(arguments.seeds)]
    before, with_all, with_train = (statistics.fmean(column) for column in zip(*rows, strict=True))
    code = report(
        [
            Target("gain by all examples", with_all - before, 0.0, at_least=True),
            Target("and over as much of train", with_all - with_train, 0.0, at_least=True),
        ]
    )
    return 0 if arguments.quick else code


def context_of(folder: Path) -> SearchContext:
    config = SearchConfig.checked({"device": "cortex-m4", "data": str(folder), **METHODS}, where="")
    task, data = load_data(config)
    resolved = resolve_config(config, load_device(config.device), data)
    return make_context(resolved, task, transfer_set(data), None)


def reached(context: SearchContext, *, epochs: int, seed: int) -> tuple[float, float, float]:
    """Return test accuracies of one seed: before, with all examples, with the train split again."""
    data = context.data
    layers = plain_network(data.input_shape, data.num_outputs)
    training = full_training(context, layers, repetition=seed, epochs=epochs)
    arm = arms_of((), data.head.kind)[0]
    trained = train_student(layers, context, training, arm=arm)
    none = Split(inputs=data.validation.inputs[:0], labels=data.validation.labels[:0])
    found = [accuracy(trained.module, context)]
    for of in (context, replace(context, data=replace(data, validation=none))):
        module, _, _ = learn_all(
            trained.module,
            of,
            training.config,
            samples_seen=float(epochs * len(data.train)),
            label_smoothing=training.recipe.label_smoothing,
            budget_s=None,
            check=lambda: None,
        )
        found.append(accuracy(module, context))
    before, with_all, with_train = found
    print(
        f"  seed {seed}: test {before:.4f}, with all examples {with_all:.4f}, "
        f"with train again {with_train:.4f}",
        flush=True,
    )
    return before, with_all, with_train


def accuracy(module: StudentModule, context: SearchContext) -> float:
    """Return the share of the test split that is right."""
    test = context.data.test
    answers = predict_logits(module, torch.from_numpy(test.inputs)).argmax(1).numpy()
    return float((answers == test.labels).mean())


if __name__ == "__main__":
    sys.exit(main())
