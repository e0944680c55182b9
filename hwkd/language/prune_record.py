"""What came of pruning a decoder, as `pruned.json` holds it and `--json` prints it."""

from __future__ import annotations

from typing import Literal

from hwkd.core.strict_model import StoredInt, StrictModel
from hwkd.core.verdict_record import DISTILLED, LABELS_ALONE


class DecoderSizes(StrictModel):
    """Sizes of a decoder; see `hwkd.language.kept_parts.Sizes`."""

    depth: StoredInt
    heads: StoredInt
    groups: StoredInt
    head_width: StoredInt
    grown: StoredInt
    hidden: StoredInt
    parameters: StoredInt


class DecoderArm(StrictModel):
    """One decoder and what it was given to learn.

    Attributes:
        name: "whole", "pruned", "distilled", "next tokens alone" (where states are compared, too),
            "labels alone" (pruned weights) or "from scratch".
        steps: of training; 0 of what was not trained here.
        seconds: of training, the teacher's answers among them.
        validation_perplexity: of a token; what ships is chosen by it.
        test_perplexity: likewise, of text that nothing was chosen by.
        test_bits_per_character: compares decoders whose tokens differ.
    """

    name: str
    steps: StoredInt
    seconds: float
    validation_perplexity: float
    test_perplexity: float
    test_bits_per_character: float


class PruneRecord(StrictModel):
    """A decoder that became smaller.

    Attributes:
        model_sha256: of what was pruned.
        part: that was cut.
        keep: as given.
        layers: that were kept, from 0.
        states: that were compared beside next tokens.
        divergence: from the teacher, with its options.
        label_weight: of the text beside the teacher.
        top: logits of the teacher that were kept of each token; None is all.
        length: tokens of a window.
        train_tokens: that could be learned from.
        test_tokens: that perplexities are means of; of a long text some windows.
        arms: the whole decoder first.
        ships: name of the arm in the folder.
    """

    schema_version: Literal[1] = 1
    model: str
    model_sha256: str
    data: str
    part: Literal["decoder", "encoder"] = "decoder"
    keep: str
    whole: DecoderSizes
    small: DecoderSizes
    layers: tuple[StoredInt, ...]
    states: tuple[str, ...] = ()
    divergence: str
    label_weight: float
    top: StoredInt | None
    length: StoredInt
    train_tokens: StoredInt
    test_tokens: StoredInt
    seed: StoredInt
    arms: tuple[DecoderArm, ...]
    ships: str

    def arm(self, name: str) -> DecoderArm:
        """Return an arm by its name."""
        return next(arm for arm in self.arms if arm.name == name)

    def teacher_gain(self) -> float | None:
        """Return by which share the teacher lowers the test perplexity; None without its control.

        The control trained the same pruned weights on the text alone, for as long.
        """
        held = {arm.name: arm.test_perplexity for arm in self.arms}
        if LABELS_ALONE not in held:
            return None
        return 1.0 - held[DISTILLED] / held[LABELS_ALONE]
