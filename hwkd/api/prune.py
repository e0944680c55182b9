"""`hwkd.prune`: a language model with fewer layers, heads and channels, taught by the whole one."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from hwkd.api.common import OutOption, SeedOption, TimeoutOption
from hwkd.api.option import Here, Option, declares_options

if TYPE_CHECKING:
    from hwkd.core.progress import Progress
    from hwkd.language.prune_record import PruneRecord

_TRAINING, _TEACHING = "Training", "Teaching"


@declares_options
def prune(
    model: Annotated[
        str | Path,
        Option(
            "Folder of a causal language model as transformers writes it: config.json, "
            "model.safetensors, tokenizer.json (llama, mistral, qwen2, gpt2), or of a llava, which "
            "reads pictures, with preprocessor_config.json.",
            metavar="MODEL",
            opens="a folder with config.json, model.safetensors and tokenizer.json",
        ),
    ],
    *,
    part: Annotated[
        Literal["decoder", "encoder"],
        Option("Part that is cut, of a llava: what reads and writes text, or what sees pictures."),
    ] = "decoder",
    keep: Annotated[
        str,
        Option(
            "What to keep, as depth:12,width:0.5: layers (depth), and heads, the feed-forward part "
            "(grown) and hidden channels by name or all by width; counts, or shares below 1."
        ),
    ],
    data: Annotated[
        str | Path,
        Option(
            "UTF-8 text, or a folder with train.txt, validation.txt and test.txt. Of one file the "
            "last tenth is held back. For a llava: a folder with train, validation and test, each "
            "with pictures and metadata.csv (columns file_name and text).",
            opens="a text file, a folder of texts, or a folder of pictures with their texts",
        ),
    ],
    out: OutOption,
    divergence: Annotated[
        str,
        Option(
            "How student and teacher are compared: forward, reverse, skewed-forward:share=0.1, "
            "skewed-reverse, "
            "generalised:share=0.5, symmetric or total-variation.",
            panel=_TEACHING,
        ),
    ] = "forward",
    states: Annotated[
        str | None,
        Option(
            "States of layers that are compared, too, as attention,values: hidden, attention, "
            "values. The teacher then runs in every step. Default: next tokens alone.",
            panel=_TEACHING,
        ),
    ] = None,
    label_weight: Annotated[
        float,
        Option(
            "Weight of the text itself beside the teacher.", minimum=0, maximum=1, panel=_TEACHING
        ),
    ] = 0.3,
    top: Annotated[
        int,
        Option(
            "Logits of the teacher that are kept of each token, the largest; of other words one "
            "mean. As many as the model has words, or more, keep all.",
            minimum=1,
            panel=_TEACHING,
        ),
    ] = 64,
    length: Annotated[
        int | None,
        Option(
            "Tokens of a window. Default: 128, or as many as the model has positions.",
            minimum=8,
            panel=_TRAINING,
        ),
    ] = None,
    batch: Annotated[
        int, Option("Windows in one step of training.", minimum=1, panel=_TRAINING)
    ] = 16,
    learning_rate: Annotated[
        float,
        Option(
            "Highest learning rate; new weights learn at three times that rate.",
            minimum=0,
            panel=_TRAINING,
        ),
    ] = 1e-3,
    windows: Annotated[
        int, Option("Windows of text that decide what is cut.", minimum=1, panel=_TRAINING)
    ] = 64,
    steps: Annotated[
        int | None,
        Option("Steps of each training. Default: 1000, or what --timeout allows.", minimum=1),
    ] = None,
    timeout: Annotated[TimeoutOption, Here("Trainings share it evenly.")] = None,
    controls: Annotated[
        bool,
        Option(
            "Also train the pruned weights without the teacher, and new weights, for as long: what "
            "the teacher and what the old weights are worth."
        ),
    ] = True,
    seed: SeedOption = 0,
    progress: "Progress | None" = None,
) -> "PruneRecord":
    """Cut a language model and teach what is left by the whole one.

    Layers, heads and channels that do least on your text go; the rest keeps its weights and learns
    what the whole model says of each next token. The folder has the best decoder on validation,
    and perplexities before, after pruning, after teaching and of the controls. No code and no
    pickle of the model is read. Needs `pip install 'hwkd[text]'`.

    Args:
        progress: is told about every stage; None is silence.

    Raises:
        HwkdError: in one line, if model, text or options cannot be used, or the time is too short.
    """
    begun = time.monotonic()
    from hwkd.core.errors import ConfigError
    from hwkd.core.progress import silent
    from hwkd.core.units import parse_duration_s
    from hwkd.deploy.output_folder import require_free_out
    from hwkd.distill.token_divergences import TokenDivergence
    from hwkd.language.model_folder import require_transformers

    require_free_out(Path(out))
    chosen = TokenDivergence.parse(divergence)
    if learning_rate <= 0.0:
        raise ConfigError("--learning-rate 0: nothing would be learned; give a number above 0")
    seconds = None if timeout is None else parse_duration_s(timeout, option="--timeout")
    require_transformers("hwkd prune")
    from hwkd.language.inner_states import read_states
    from hwkd.language.prune import prune_decoder
    from hwkd.language.prune_order import PruneOrder
    from hwkd.language.pruned_folder import write_pruned

    pruned = prune_decoder(
        PruneOrder(
            model=Path(model),
            data=Path(data),
            part=part,
            keep=keep,
            states=read_states(states),
            divergence=chosen,
            label_weight=label_weight,
            top=top,
            length=length,
            batch=batch,
            rate=learning_rate,
            steps=1000 if steps is None and seconds is None else steps,
            seconds=seconds,
            begun=begun,
            controls=controls,
            calibration=windows,
            seed=seed,
        ),
        progress=progress or silent,
    )
    write_pruned(pruned, Path(out))
    return pruned.record
