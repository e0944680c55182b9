"""The folder of a pruned decoder: what transformers reads, the record, and a card for people."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hwkd.core.markdown import inline, row
from hwkd.core.verdict_record import DISTILLED, LABELS_ALONE
from hwkd.deploy.output_folder import write_folder
from hwkd.io.student_folder import CARD_FILE
from hwkd.language.captions import PREPROCESSOR_FILE
from hwkd.language.decoder_folder import auto_class
from hwkd.language.model_folder import CONFIG_FILE, TOKENIZER_FILE, WEIGHTS_FILE
from hwkd.language.prune import (
    PRUNED,
    SCRATCH,
    TOKENS,
    WHOLE,
    Pruned,
)
from hwkd.language.prune_record import PruneRecord

RECORD_FILE = "pruned.json"
_WHAT = {
    WHOLE: "the decoder that was given",
    PRUNED: "cut, not trained",
    DISTILLED: "cut, then taught by the whole one",
    TOKENS: "control: cut, then taught by its next tokens alone",
    LABELS_ALONE: "control: cut, then trained on the text without the teacher",
    SCRATCH: "control: the same sizes, new weights, the text alone",
}


def write_pruned(pruned: Pruned, out: Path) -> None:
    """Write the folder, whole or not at all.

    Args:
        out: a new or an empty folder.

    Raises:
        ExportError: if it cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix="hwkd-prune-") as temporary:
        place = Path(temporary)
        pruned.model.save_pretrained(place)
        files: dict[str, str | bytes] = {
            name: (place / name).read_bytes() for name in (CONFIG_FILE, WEIGHTS_FILE)
        }
    for name in (TOKENIZER_FILE, PREPROCESSOR_FILE):
        if (given := pruned.decoder.folder / name).is_file():
            files[name] = given.read_bytes()
    files[RECORD_FILE] = pruned.record.model_dump_json(indent=1) + "\n"
    files[CARD_FILE] = card_of(pruned.record, auto_class(pruned.decoder.config.model_type))
    write_folder(files, out)


def _worth(record: PruneRecord) -> str:
    gain = record.teacher_gain()
    if gain is None:
        return " What the teacher is worth is not known: no control was trained."
    side = "lower" if gain > 0 else "higher"
    return (
        f" With the teacher the perplexity is {abs(gain):.1%} {side} than after training on the "
        "text alone for as long (one seed)."
    )


def card_of(record: PruneRecord, auto: str) -> str:
    """Return the model card in Markdown.

    Args:
        auto: class of transformers that reads the folder.
    """
    small, whole = record.small, record.whole
    ships = record.arm(record.ships)
    lines = [
        f"# A pruned {record.part}",
        "",
        f"Made from {inline(record.model)} (SHA-256 {record.model_sha256[:16]}...) by "
        f"`hwkd prune --keep {record.keep}`: {small.parameters:,} of {whole.parameters:,} weights, "
        f"{small.depth} of {whole.depth} layers, {small.heads} of {whole.heads} heads, "
        f"{small.hidden} of {whole.hidden} channels.",
        "",
        f"In the folder is **{record.ships}**, the best on validation: a perplexity of "
        f"{ships.test_perplexity:.2f} on the test text.{_worth(record)}",
        "",
        row(("", "steps", "seconds", "validation", "test", "bits per character")),
        "|---|---|---|---|---|---|",
    ]
    lines += [
        row((
            f"{arm.name}: {_WHAT[arm.name]}", f"{arm.steps:,}", f"{arm.seconds:g}",
            f"{arm.validation_perplexity:.2f}", f"{arm.test_perplexity:.2f}",
            f"{arm.test_bits_per_character:.3f}",
        ))
        for arm in record.arms
    ]  # fmt: skip
    states = f", and in {', '.join(record.states)} of its layers" if record.states else ""
    kept = "all logits" if record.top is None else f"the {record.top} largest logits of each token"
    lines += [
        "",
        f"Perplexities are of a token, over {record.test_tokens:,} of the test text, measured on "
        "this computer in 32-bit floating point. The teacher is the whole decoder: divergence "
        f"{record.divergence}, {kept}{states}, text weighted {record.label_weight:g}. Each "
        "training had the same time or steps. Read it with "
        f"`transformers.{auto}.from_pretrained(FOLDER)`.",
        "",
    ]
    return "\n".join(lines)
