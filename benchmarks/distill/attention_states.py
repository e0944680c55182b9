"""A transformer teaches one of two layers: what its attention adds to its logits.

    python -m benchmarks.distill.attention_states [--data FOLDER] [--seeds 3] [--epochs 8]
        [--strength 1] [--quick]

Both read the first words of news (Reuters R8, `python -m tools.make_task_data text`; FOLDER is what
that writes) and have softmax attention. Students of the same size begin alike and learn for as many
passes: from labels, from the teacher's logits (`kd`), and from these with attention maps, with
relations of values, and with both, times --strength; layers 1 and 2 from 2 and 4 of the teacher. A
fifth of the train split is held back for validation. In float; the table has the processor time of
each, and how far its maps are from the teacher's on validation, nats of a word.
"""

from __future__ import annotations

import argparse
import csv
import re
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.lib.verdict import Target, report
from hwkd.core.signals import Signal
from hwkd.core.teaching import TrainingSet
from hwkd.distill.criterion import DistillCriterion, needed_signals
from hwkd.distill.losses.transformer import attention_divergence_loss
from hwkd.distill.sources import LiveSource
from hwkd.distill.spec import parse_methods
from hwkd.distill.taps import Places, Taps
from hwkd.tasks.classes_head import ClassesHead
from hwkd.train.batches import TensorBatches
from hwkd.train.config import TrainConfig
from hwkd.train.loop import predict_logits, train_module
from tools.make_task_data import make_task_data

WORDS, LENGTH, HEADS, BATCH = 2000, 40, 4, 32
TEACHER, STUDENT = (4, 64), (2, 32)  # layers and channels
ARMS = {
    "labels alone": (),
    "logits": ("kd",),
    "logits and attention maps": ("kd", "attention_maps"),
    "logits and relations of values": ("kd", "value_relations"),
    "logits, maps and values": ("kd", "attention_maps", "value_relations"),
}
LOGITS, ALL = list(ARMS)[1], list(ARMS)[-1]
_WORD = re.compile(r"[^\W\d_]+")


def _split(states: Tensor) -> Tensor:
    return states.view(*states.shape[:-1], HEADS, -1).transpose(1, 2)


class _Values(nn.Module):
    """[texts, tokens, channels] -> [texts, heads, tokens, channels of one]; 0 where no word is."""

    def forward(self, states: Tensor, is_word: Tensor) -> Tensor:
        return _split(states * is_word[..., None])


class _Weights(nn.Module):
    """Scores -> how each word heeds the others; 0 of and for what is no word.

    What padding heeds is arbitrary, so two networks are not compared there.
    """

    def forward(self, scores: Tensor, is_word: Tensor) -> Tensor:
        heeded = torch.softmax(scores.masked_fill(~is_word[:, None, None], -1e4), -1)
        return heeded * is_word[:, None, :, None]


class _Block(nn.Module):
    """Softmax attention and a feed-forward part, normalised before (arXiv:2002.04745)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for _ in range(2))
        self.parts = nn.ModuleList(nn.Linear(channels, channels) for _ in range(4))
        self.values, self.weights = _Values(), _Weights()
        self.wide, self.narrow = (
            nn.Linear(channels, 4 * channels),
            nn.Linear(4 * channels, channels),
        )

    def forward(self, states: Tensor, is_word: Tensor) -> Tensor:
        given = self.norms[0](states)
        queries, keys = (_split(part(given)) for part in (self.parts[0], self.parts[1]))
        values = self.values(self.parts[2](given), is_word)
        scores = queries @ keys.transpose(-1, -2) / queries.shape[-1] ** 0.5
        heeded = self.weights(scores, is_word)
        mixed = (heeded @ values).transpose(1, 2).flatten(2)
        states = states + self.parts[3](mixed)
        grown = nn.functional.gelu(self.wide(self.norms[1](states)))
        out: Tensor = states + self.narrow(grown)
        return out


class Transformer(nn.Module):
    """Names the class of a text, given as numbers of its words; 0 is none."""

    def __init__(self, layers: int, channels: int, classes: int) -> None:
        super().__init__()
        self.words = nn.Embedding(WORDS, channels, padding_idx=0)
        self.positions = nn.Parameter(0.02 * torch.randn(LENGTH, channels))
        self.blocks = nn.ModuleList(_Block(channels) for _ in range(layers))
        self.last, self.named = nn.LayerNorm(channels), nn.Linear(channels, classes)

    def forward(self, numbers: Tensor) -> Tensor:
        """Return logits, shape [texts, classes]."""
        is_word = numbers > 0
        states = self.words(numbers.long()) + self.positions
        for block in self.blocks:
            states = block(states, is_word)
        states = self.last(states) * is_word[..., None]
        logits: Tensor = self.named(states.sum(1) / is_word.sum(1, keepdim=True).clamp(min=1))
        return logits


def places(layers: int) -> Places:
    """Return where the attention of every layer is."""
    return Places(
        attention=tuple(f"blocks.{number}.weights" for number in range(layers)),
        values=tuple(f"blocks.{number}.values" for number in range(layers)),
    )


@dataclass(frozen=True, kw_only=True)
class News:
    """Numbers of the words of texts, shape [texts, LENGTH], and classes of them."""

    inputs: dict[str, Tensor]
    labels: dict[str, Tensor]
    classes: int


def read_news(folder: Path) -> News:
    """Read train.csv and test.csv; of five texts of train one is for validation."""
    rows: dict[str, list[tuple[str, str]]] = {}
    for split in ("train", "test"):
        with (folder / f"{split}.csv").open(encoding="utf-8", newline="") as stream:
            rows[split] = [(row["text"], row["label"]) for row in csv.DictReader(stream)]
    rows["validation"] = rows["train"][::5]
    rows["train"] = [row for number, row in enumerate(rows["train"]) if number % 5]
    names = sorted({label for _, label in rows["train"]})
    counts = Counter(word for text, _ in rows["train"] for word in _WORD.findall(text.lower()))
    known = {word: number for number, (word, _) in enumerate(counts.most_common(WORDS - 2), 2)}
    inputs, labels = {}, {}
    for split, texts in rows.items():
        numbers = torch.zeros(len(texts), LENGTH)
        for row, (text, _) in enumerate(texts):
            found = [known.get(word, 1) for word in _WORD.findall(text.lower())[:LENGTH]]
            numbers[row, : len(found)] = torch.tensor(found, dtype=torch.float32)
        inputs[split] = numbers
        labels[split] = torch.tensor([names.index(label) for _, label in texts])
    return News(inputs=inputs, labels=labels, classes=len(names))


def train(
    sizes: tuple[int, int], methods: Sequence[str], teacher: Transformer | None, news: News,
    *, epochs: int, seed: int,
) -> tuple[Transformer, float]:  # fmt: skip
    """Return a transformer that was trained, and the processor time, seconds."""
    torch.manual_seed(seed)
    network = Transformer(*sizes, news.classes)
    head = ClassesHead.numbered(news.classes)
    data = TrainingSet(
        copies=[news.inputs["train"]], labels=news.labels["train"], head=head, batch_size=BATCH,
        seed=seed,
    )  # fmt: skip
    parsed = parse_methods(methods)
    source = None
    if teacher is not None and methods:
        source = LiveSource(teacher, places(TEACHER[0]), needed_signals(parsed))
    criterion = DistillCriterion(
        parsed, student=network, student_places=places(sizes[0]), source=source, data=data,
        steps_between_norms=100_000,
    )  # fmt: skip
    config = TrainConfig(
        epochs=epochs, batch_size=BATCH, learning_rate=0.002, schedule="one-cycle",
        weight_decay=0.05, seed=seed,
    )  # fmt: skip
    begun = time.process_time()
    train_module(network, TensorBatches(data.copies, data.labels), criterion, config)
    return network, time.process_time() - begun


def accuracy(network: nn.Module, news: News, split: str) -> float:
    """Return the share of a split that is named rightly."""
    named = predict_logits(network, news.inputs[split]).argmax(1)
    return float((named == news.labels[split]).float().mean())


@torch.no_grad()
def apart(network: Transformer, teacher: Transformer, news: News) -> float:
    """Return KL(teacher || student) of the maps of a word, mean of heads and layers, nats."""
    texts = news.inputs["validation"]
    needs = frozenset({Signal.ATTENTION})
    ours, theirs = (
        Taps(one.eval(), places(len(one.blocks)), needs).read(texts).attention
        for one in (network, teacher)
    )
    step = len(theirs) // len(ours)
    losses = [
        attention_divergence_loss(*pair)
        for pair in zip(ours, theirs[step - 1 :: step], strict=True)
    ]
    return float(torch.stack(losses).mean()) / float((texts > 0).float().mean())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder with train.csv and test.csv")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=8, help="of students; the teacher has twice")
    parser.add_argument("--strength", type=float, default=1.0, help="of the maps and relations")
    parser.add_argument("--quick", action="store_true", help="one seed and pass")
    given = parser.parse_args()
    if given.quick:
        given.seeds, given.epochs = 1, 1
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        news = read_news(given.data or make_task_data("text", Path(folder) / "data"))
    teacher, _ = train(TEACHER, (), None, news, epochs=2 * given.epochs, seed=100)
    whole = accuracy(teacher, news, "test")
    print(f"teacher: {whole:.4f} on test", flush=True)
    rows: list[dict[str, Any]] = []
    for seed in range(given.seeds):
        for name, methods in ARMS.items():
            weighed = [one if one == "kd" else f"{one}:weight={given.strength}" for one in methods]
            network, seconds = train(
                STUDENT, weighed, teacher, news, epochs=given.epochs, seed=seed
            )
            rows.append({
                "seed": seed, "learns from": name,
                "validation": accuracy(network, news, "validation"),
                "test": accuracy(network, news, "test"), "processor [s]": round(seconds, 1),
                "maps apart [nats]": round(apart(network, teacher, news), 4),
            })  # fmt: skip
            print(rows[-1], flush=True)
    mean = {
        name: statistics.mean(row["test"] for row in rows if row["learns from"] == name)
        for name in ARMS
    }
    print(*(f"{name}: {value:.4f}" for name, value in mean.items()), sep=", ")
    gain = mean[ALL] - mean[LOGITS]
    targets = [
        Target("gain by maps and values over logits alone, mean", gain, 0.0, at_least=True,
               unit=" points"),
    ]  # fmt: skip
    return report(targets, {"teacher, test": whole, "students": rows, "mean on test": mean})


if __name__ == "__main__":
    sys.exit(main())
