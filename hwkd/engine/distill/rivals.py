"""Transfer learning beside distillation: other ways to get what a trained network knows.

A student that was trained before is fine-tuned; the teacher is pruned, or split into products of a
lower rank, until it costs no more on the device than the student, and fine-tuned. All learn from
labels alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from hwkd.core.errors import ConfigError, HwkdError
from hwkd.core.student import StudentSpec
from hwkd.engine.arms.evaluation import save_student
from hwkd.engine.arms.orders import ArmOrder, finished_orders, student_files
from hwkd.engine.arms.orders import order_folder as folder_of
from hwkd.engine.arms.recipes import FINE_TUNING, LOW_RANK, PRUNED
from hwkd.engine.distill.cheaper_teacher import low_rank, pruned
from hwkd.engine.distill.finetune import Start, run_of_student, start_of
from hwkd.engine.distill.request import FINE_TUNE
from hwkd.engine.distill.resolve import ResolvedStudent
from hwkd.engine.distill.rival import Rival
from hwkd.engine.setup.context import SearchContext
from hwkd.io.student_folder import (
    DESCRIPTION_FILE,
    WEIGHTS_FILE,
    StudentFiles,
    StudentFolder,
    digests,
    read_student,
)
from hwkd.train.seeding import derive_seed

# What `--arms` takes -> how the training is called.
RIVALS: Mapping[str, str] = {FINE_TUNE: FINE_TUNING, "prune": PRUNED, "low-rank": LOW_RANK}

# Teachers whose layers can be read, by the ends of their names.
_WITH_LAYERS = (".onnx", DESCRIPTION_FILE)


def parse_arms(texts: Sequence[str]) -> tuple[str, ...]:
    """Return the rivals that `--arms` names.

    Raises:
        ConfigError: if one is none, or is named twice.
    """
    names = tuple(name.strip() for text in texts for name in text.split(","))
    for name in names:
        if name not in RIVALS or names.count(name) > 1:
            why = "is named twice" if name in RIVALS else "is none"
            raise ConfigError(f"--arms {','.join(names)}: {name!r} {why}; give {', '.join(RIVALS)}")
    return names


def rivals_of(
    asked: Sequence[str],
    resolved: ResolvedStudent,
    context: SearchContext,
    *,
    given: str,
    always: bool,
    say: Callable[[str], None],
) -> list[Rival]:
    """Return the rivals that were asked for, and all others that are possible.

    Args:
        given: the student as the user names it.
        always: they stand beside other comparisons, too: fine-tuning where the student has
            weights, the teacher made cheaper where its layers can be read. Why not is said.

    Raises:
        ConfigError: if one that was asked for cannot be; says why.
    """
    found: list[Rival] = []
    for name in asked:
        try:
            found.append(_rival(name, resolved, context, given))
        except HwkdError as error:
            raise ConfigError(f"--arms {name}: {error}") from None
    for name in _possible(resolved, given) if always else ():
        if name in asked:
            continue
        try:
            found.append(_rival(name, resolved, context, given))
        except HwkdError as error:
            say(f"No {RIVALS[name]} beside the others: {error}.")
    for rival in found:
        say(rival.says)
    return found


def _rival(name: str, resolved: ResolvedStudent, context: SearchContext, given: str) -> Rival:
    make = {FINE_TUNE: _fine_tuned, "prune": pruned, "low-rank": low_rank}[name]
    return make(resolved, context, given)


def _possible(resolved: ResolvedStudent, given: str) -> list[str]:
    """Return the rivals that something is there for: weights, or one teacher with its layers."""
    sources = resolved.config.teacher.sources
    is_read = len(sources) == 1 and sources[0].lower().endswith(_WITH_LAYERS)
    return [name for name in RIVALS if (_is_trained(given) if name == FINE_TUNE else is_read)]


def orders_of_rivals(
    rivals: Sequence[Rival], orders: Sequence[ArmOrder], folder: Path
) -> list[ArmOrder]:
    """Return a training of each rival for each seed of other trainings; writes their beginnings.

    Args:
        orders: of the arm that was asked for.
        folder: of the run, where it is worked on.
    """
    found = []
    for rival in rivals:
        place = folder / "begun" / rival.name.replace(" ", "-")
        place.mkdir(parents=True, exist_ok=True)
        for order in orders:
            path = place / f"{order.repetition}.safetensors"
            if not path.is_file():
                rival.begin(order.repetition, path)
            found.append(
                order.model_copy(
                    update={
                        "name": ArmOrder.name_of(rival.name, order.repetition, -1),
                        "arm": rival.name,
                        "spec": _spec(order.spec, rival),
                        "network": rival.layers,
                        "start_from": str(path),
                    }
                )
            )
    return found


def _spec(spec: StudentSpec, rival: Rival) -> StudentSpec:
    """Return the name of the rival's network; that of the student where it is the student's."""
    if rival.name == FINE_TUNING:
        return spec
    space = rival.name.replace(" ", "_")
    return replace(spec, space=space, params={"network": rival.layers.key})


def _is_trained(given: str) -> bool:
    """Tell whether a student is a run's or a folder's, with weights."""
    path = Path(given.partition(":")[0])
    return path.is_dir() and ":" not in given


def _fine_tuned(resolved: ResolvedStudent, context: SearchContext, given: str) -> Rival:
    if not _is_trained(given):
        raise ConfigError(f"{given} has no weights; give a run or the folder of a student")
    student = read_student(Path(given))
    if student.layers.key != resolved.layers.key:
        raise ConfigError("the student was made narrower and has no weights of its own")
    files = _unseen(student, Path(given), context, given)
    start = replace(start_of(student, context.data, given=given), weights=files.weights_path)

    def begin(repetition: int, path: Path) -> None:
        seed = derive_seed(context.config.seed, "new outputs", repetition)
        save_student(start.module(seed), path)

    return Rival(
        name=FINE_TUNING,
        layers=resolved.layers,
        begin=begin,
        says=f"{FINE_TUNING.capitalize()} begins with the weights of {given}"
        + _kept(start)
        + ", at a tenth of the rate.",
    )


def _kept(start: Start) -> str:
    new = sum(row < 0 for row in start.rows)
    return f" and {new} new classes" if new else ""


def _unseen(
    student: StudentFolder, given: Path, context: SearchContext, shown: str
) -> StudentFiles:
    """Return weights that have not learned from what others are judged by.

    Raises:
        ConfigError: if there are none: their scores would be better than they are.
    """
    run, data = run_of_student(student), context.data
    if run.data.content_fingerprint != data.content_fingerprint:
        return StudentFiles(student.folder)
    if run.data.fingerprint != data.fingerprint:
        raise ConfigError(
            f"{shown} learned from these examples in other splits, so that it knows some of those "
            "that others are judged by"
        )
    if run.final is None or run.final.all_examples is None:
        return StudentFiles(student.folder)
    ships = digests(student.folder, [WEIGHTS_FILE])[WEIGHTS_FILE]
    for order, result in finished_orders(given) if given != student.folder else ():
        folder = folder_of(given, order)
        after = student_files(folder, result)
        if (after.folder / WEIGHTS_FILE).is_file() and (
            digests(after.folder, [WEIGHTS_FILE])[WEIGHTS_FILE] == ships
        ):
            return StudentFiles(folder)
    raise ConfigError(
        f"{shown} learned from validation, too, after it was chosen, and its weights of before are "
        "not there; give the run that it is of"
    )
