"""`hwkd.verify`: compiles a network's C for a device, runs it emulated and compares."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from hwkd.api.common import (
    DeviceOption,
    KernelsOption,
    PatchOption,
    RoundingOption,
    StreamingOption,
)
from hwkd.api.option import Here, Option, declares_options

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hwkd.core.metric import Scores
    from hwkd.core.progress import Progress
    from hwkd.core.run_record import RunRecord
    from hwkd.core.verification import Verification
    from hwkd.deploy.to_c.exported import Exported
    from hwkd.deploy.to_c.raw_input import RawInput


# By how much the flash of a report may be off; that of networks nobody built is an estimate.
_FLASH_MARGIN = 0.03


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyOutcome:
    """A check of a network's C.

    Attributes:
        verification: what was compared, counted and measured.
        notes: what a user must know of the file.
    """

    verification: "Verification"
    inputs_from: str
    notes: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether the check passed."""
        return self.verification.passed

    def as_dict(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {
            **self.verification.as_dict(),
            "inputs_from": self.inputs_from,
            "notes": list(self.notes),
        }


@declares_options
def verify(
    model: Annotated[
        str | Path,
        Option(
            "Folder of `hwkd search`, of a finished student or of exported C, or an int8 ONNX "
            "file.",
            metavar="RUN|STUDENT|C|MODEL",
        ),
    ],
    *,
    device: Annotated[DeviceOption, Here("The name of a Cortex-M core will do, too.")],
    inputs: Annotated[int, Option("Inputs to compare.", minimum=1)] = 512,
    rounding: RoundingOption = "auto",
    kernels: KernelsOption = "hwkd",
    patch: PatchOption = None,
    streaming: Annotated[
        StreamingOption, Here("Every answer is compared with that of its window.")
    ] = False,
    progress: "Progress | None" = None,
) -> VerifyOutcome:
    """Compile the network's C for a device, run it on an emulated core and compare every value.

    The linker script has the device's own flash and RAM. The C runs on this computer and in QEMU;
    both are compared with ONNX Runtime. The check passes when the emulated core equals this
    computer exactly, every layer equals ONNX Runtime's from the same integers (float rounding; q31
    and tflite may differ by one step in 2% and 25% of a layer) and outputs are within one step.
    Averages at a tie, which the order of a float sum decides, are counted apart. Instruction counts
    repeat exactly; they are not times: QEMU has no caches, wait states or dual issue. The exit code
    is 1 when the check fails. Of an exported folder every file is made again and compared, in its
    own rounding, kernels and patches, and a further file is refused; nothing that lies in it is
    compiled.

    Args:
        progress: is told about every stage; None is silence.

    Raises:
        HwkdError: in one line, if a tool is missing or the network cannot be compiled.
    """
    from hwkd.core.patches import Patches
    from hwkd.core.progress import silent
    from hwkd.deploy.verify import verify_model
    from hwkd.deploy.verify_target import target_named
    from hwkd.io.discovery import output_kind
    from hwkd.io.student_folder import given_place
    from hwkd.qgraph.float_tail import without_float_tail

    source, target = given_place(model), target_named(device)
    said = (rounding, kernels, patch, streaming) != ("auto", "hwkd", None, False)
    exported = _exported(source, is_said=said)
    with without_float_tail(_int8_file(source, exported)) as (whole, left_out):
        run = None if exported is not None else _run_of(source)
        raw = _raw_input(run, exported)
        given = _samples(source, whole, raw, inputs, progress or silent)
        found = verify_model(
            whole, target, given.samples,
            raw=raw, raw_values=given.raw_values, score=given.score, exported=exported,
            names=() if run is None else output_kind(run.data.kind).told(run.data.class_names),
            streaming=streaming, kernels=kernels,
            rounding=None if rounding == "auto" else rounding,
            patches=None if patch is None else Patches.parse(patch), progress=progress or silent,
        )  # fmt: skip
    is_as_searched = run is not None and (kernels, patch, streaming) == ("hwkd", None, False)
    apart = flash_apart(run, found) if run is not None and is_as_searched else ()
    return VerifyOutcome(verification=found, inputs_from=given.origin, notes=(*left_out, *apart))


def flash_apart(run: "RunRecord", found: "Verification") -> tuple[str, ...]:
    """Return what to say where the report's flash is further from the program's than estimates are.

    Only of the C and the device that the report's number is for.
    """
    from hwkd.deploy.to_c.costs import RUNTIME

    final = run.final
    cost = None if final is None else final.own_c or final.cost
    if cost is None or (cost.runtime, cost.device) != (RUNTIME, found.device):
        return ()
    ratio = cost.flash_bytes / found.flash_bytes
    if abs(ratio - 1.0) <= _FLASH_MARGIN:
        return ()
    return (
        f"the report says {cost.flash_bytes:,} bytes of flash, the program has "
        f"{found.flash_bytes:,}, {abs(1.0 / ratio - 1.0):.0%} {'less' if ratio > 1 else 'more'}: "
        "count with this number",
    )


def _int8_file(source: Path, exported: "Exported | None") -> Path:
    """Return the network of exported C, of a finished student or of a run, or the file itself."""
    from hwkd.deploy.exported_student import require_exported_student
    from hwkd.io.student_folder import INT8_FILE, holds_student, model_of, read_student

    if exported is not None:
        return exported.model_path
    path = model_of(source, INT8_FILE)
    if holds_student(source):
        require_exported_student(read_student(source))
    return path


def _run_of(source: Path) -> "RunRecord | None":
    """Return the run that a student comes from; None where it is not known."""
    from hwkd.io.run_files import RUN_FILE
    from hwkd.io.student_folder import holds_student, read_student

    if not holds_student(source) and not (source / RUN_FILE).is_file():
        return None
    return read_student(source).record.run


def _raw_input(run: "RunRecord | None", exported: "Exported | None") -> "RawInput | None":
    """Return what makes inputs of raw samples; None where it is not known."""
    from hwkd.engine.arms.export import raw_input

    if exported is not None:
        return exported.raw
    return None if run is None else raw_input(run.data.pipeline)


def _exported(source: Path, *, is_said: bool) -> "Exported | None":
    """Return the exported C of a folder, which says itself how it was made."""
    from hwkd.core.errors import ConfigError
    from hwkd.deploy.to_c.exported import read_exported
    from hwkd.engine.arms.export import raw_input

    exported = read_exported(source, raw_input)
    if exported is not None and is_said:
        raise ConfigError(
            f"{source} is exported C with --rounding {exported.rounding} --kernels "
            f"{exported.kernels}; leave out --rounding, --kernels, --patch and --streaming, or "
            "give the ONNX file"
        )
    return exported


class _Given(NamedTuple):
    """Inputs to compare.

    Attributes:
        score: of answers, if labels are known.
        origin: where the samples come from.
        raw_values: what they are before they are brought to scale in floats; None if not known.
    """

    samples: "NDArray[Any]"
    score: "Callable[[NDArray[np.float32]], Scores] | None"
    origin: str
    raw_values: "NDArray[Any] | None" = None


def _samples(
    model: Path, path: Path, raw: "RawInput | None", count: int, progress: "Progress"
) -> _Given:
    """Return what is compared.

    Args:
        raw: takes raw samples, which are the inputs where it does so in whole numbers.
    """
    import numpy as np

    from hwkd.deploy.verify import seeded_samples
    from hwkd.io.run_files import RUN_FILE
    from hwkd.signals.tried import tried_signals, tried_texts

    if not (model / RUN_FILE).is_file():
        if raw is not None and raw.is_whole:
            channels, time = raw.shape
            if raw.is_text:
                words = tried_texts(count, time)
                return _Given(words, None, "seeded words of many scripts and bytes")
            made = tried_signals(count, channels, time)
            return _Given(made, None, "seeded noise, tones and steps as raw samples")
        return _Given(seeded_samples(path, count), None, "seeded noise over the input's range")
    from hwkd.engine.run.run_folder import RunFolder
    from hwkd.engine.setup.config import SearchConfig
    from hwkd.engine.setup.resolve import load_data
    from hwkd.io.student_folder import read_student

    config = SearchConfig.from_toml(RunFolder(model).config_path)
    config = config.in_setting(read_student(model).record.spec.features)
    _, data = load_data(config, progress=progress)
    test = data.test
    # Files list their classes one after another: the first of them are no sample of the split.
    chosen = np.random.default_rng(0).permutation(len(test))[:count]
    score = partial(data.head.scores, targets=test.labels[chosen])
    raws = None if raw is None or data.raw_test is None else data.raw_test[chosen]
    inputs = raws if raws is not None and raw is not None and raw.is_whole else test.inputs[chosen]
    shown = "" if len(chosen) == len(test) else f"{len(chosen):,} at random of the "
    return _Given(inputs, score, f"{shown}test split of {data.source}", raws)
