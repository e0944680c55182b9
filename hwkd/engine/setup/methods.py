"""What students of a search learn from: those asked for, or the default."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from hwkd.core.catalog import SCHEMES
from hwkd.core.errors import ConfigError
from hwkd.core.head import OutputKind
from hwkd.core.signals import Signal
from hwkd.distill.checks import logit_methods, refuse_impossible, refuse_of_classes
from hwkd.distill.criterion import needed_signals
from hwkd.distill.defaults import default_method
from hwkd.distill.method import RunShapes, ViewShapes
from hwkd.distill.scheme import Scheme, TaughtScheme
from hwkd.distill.scheme_spec import parse_scheme, require_sound
from hwkd.distill.spec import (
    NO_METHOD,
    WeightedMethod,
    is_none,
    is_taught,
    method_from_table,
    parse_methods,
    require_combinable,
)
from hwkd.distill.stage_weights import teaches_stages
from hwkd.engine.setup.config import SearchConfig
from hwkd.engine.setup.pairs import paired_with, parse_pairs
from hwkd.tasks.base import TaskData

__all__ = [
    "NO_METHOD",
    "configured_methods",
    "configured_scheme",
    "default_methods",
    "method_tables",
    "require_meaningful",
    "require_possible",
    "require_scheme_possible",
    "scheme_of_search",
    "scheme_wants_teacher",
    "wants_teacher",
    "without_teacher",
]

# Trainings of the student alone that one by a scheme may cost at the end of a search.
MOST_COST_FACTOR = 8.0
_LEAVE_OUT = "leave given out, which counts what --teacher names; there is"
# A search keeps the teacher's logits and runs it on no batch.
_KEPT = frozenset({Signal.LOGITS})


def configured_methods(config: SearchConfig) -> tuple[WeightedMethod, ...] | None:
    """Return the methods that a configuration names; None leaves them to the data.

    Raises:
        UnknownNameError: if there is no such method.
        ConfigError: if an option is wrong, a method is named twice or `none` is not alone.
    """
    tables = [entry.model_dump() for entry in config.distill]
    names = [table["method"] for table in tables]
    if NO_METHOD in names:
        if len(tables) > 1 or len(tables[0]) > 1:
            raise ConfigError("--method none: trains on the labels alone; give nothing beside it")
        return ()
    methods = tuple(method_from_table(table) for table in tables)
    require_combinable(methods)
    pairs = parse_pairs(config.transfer.pairs)
    return (paired_with(methods, pairs) if pairs and methods else methods) or None


def wants_teacher(config: SearchConfig) -> bool:
    """Tell whether there is to be a teacher: methods are compared with it even without learning."""
    return configured_methods(config) != () or scheme_wants_teacher(config)


def scheme_wants_teacher(config: SearchConfig) -> bool:
    """Tell whether the scheme has teachers of the user's."""
    scheme = config.scheme
    return scheme is not None and parse_scheme(scheme.model_dump()).user_teachers > 0


def configured_scheme(
    text: str | None, methods: Sequence[object], sources: Sequence[str], *, named: bool
) -> Scheme | None:
    """Return the scheme of `--scheme`, with the user's teachers where it has a place for them.

    Args:
        text: as it was given; None is no scheme.
        methods: of `--method`.
        sources: of teachers.
        named: they were given beside the scheme, and not by the run of its student.

    Raises:
        ConfigError: if methods are given, too, or teachers that the scheme has no place for.
    """
    if text is None:
        return None
    scheme = parse_scheme(text)
    if methods:
        raise ConfigError(
            f"--scheme {text}: says what students learn by, as --method does; give one"
        )
    if sources and (named or isinstance(scheme, TaughtScheme)):
        asked, scheme = scheme.user_teachers, scheme.taught_by(len(sources))
        if asked not in (0, scheme.user_teachers):
            raise ConfigError(f"--scheme {text}: {_LEAVE_OUT} {len(sources)} --teacher")
        require_sound(scheme)
    elif scheme.user_teachers:
        raise ConfigError(f"--scheme {text}: {_LEAVE_OUT} no --teacher")
    return scheme


def scheme_of_search(
    text: str | None, methods: Sequence[object], sources: Sequence[str]
) -> dict[str, Any] | None:
    """Return the `[scheme]` table of a search, whose last trainings are by it; None without one.

    Args:
        text: of `--scheme`.
        methods: of `--method`.
        sources: of teachers, all given by the user.

    Raises:
        ConfigError: if it costs more than a search may take, or as `configured_scheme`.
    """
    scheme = configured_scheme(text, methods, sources, named=True)
    if scheme is None:
        return None
    if scheme.cost_factor > MOST_COST_FACTOR:
        raise ConfigError(
            f"--scheme {text}: costs {scheme.cost_factor:.1f} trainings of the student, and a "
            f"search takes schemes of {MOST_COST_FACTOR:g} at most; give it smaller options or "
            "your own --teacher, or use it on the student that was found: hwkd distill RUN "
            f"--scheme {scheme.name}"
        )
    return scheme.table()


def method_tables(given: Sequence[str | Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return every `--method` text or table as a `[[distill]]` table, as a configuration holds it.

    Raises:
        UnknownNameError: if there is no such method.
        ConfigError: if an option is wrong or the methods cannot be combined.
    """
    if is_none(given):
        return [{"method": NO_METHOD}]
    return [entry.table() for entry in parse_methods(given)]


def _schemes_of_stages() -> str:
    *names, last = (name for name in SCHEMES if teaches_stages(SCHEMES.get(name)().phases()))
    return f"{', '.join(names)} or {last}"


def require_meaningful(config: SearchConfig) -> None:
    """Refuse options that would do nothing with the methods that were named.

    Raises:
        ConfigError: names the option, what it would need and what to do.
    """
    methods, transfer = configured_methods(config), config.transfer
    names = ", ".join(e.method.name for e in methods or ()) or NO_METHOD
    if transfer.unlabelled is not None and not (methods is None or is_taught(methods)):
        raise ConfigError(
            f"--unlabelled {transfer.unlabelled}: a teacher labels these inputs and --method "
            f"{names} has none; leave it out or add kd"
        )
    if transfer.importance == "hardware" and config.scheme is not None:
        scheme = parse_scheme(config.scheme.model_dump())
        if not teaches_stages(scheme.phases()):
            raise ConfigError(
                f"--importance hardware: weighs what stages are taught and scheme {scheme.name} "
                f"teaches none by itself; leave it out or take {_schemes_of_stages()}"
            )
        return
    has_layers = any(entry.method.paired_signals for entry in methods or ())
    if transfer.importance == "hardware" and not has_layers:
        given = "the default method" if methods is None else f"--method {names}"
        raise ConfigError(
            f"--importance hardware: weighs the stages of feature methods and {given} compares "
            "none; leave it out or add at or fitnet"
        )


def require_possible(config: SearchConfig, data: TaskData) -> None:
    """Refuse methods that no trial of the search could train with; before any training.

    Raises:
        ConfigError: names the method, what it needs and what to do.
    """
    require_scheme_possible(config, data.head.kind)
    methods = configured_methods(config) or ()
    for entry in methods:
        method = entry.method
        refuse_of_classes(method, data.head.kind)
        missing = sorted(needed_signals([entry]) - _KEPT)
        if missing or (method.asks_teacher and not method.cacheable):
            wanted = ", ".join(missing) or "a teacher that runs on every batch"
            others = logit_methods(data.head.kind)
            raise ConfigError(
                f"--method {method.name}: needs {wanted}, and a search keeps only the teacher's "
                f"logits; search with {others}, then train the student that was "
                f"found with `hwkd distill --student RUN --method {method.name}`"
            )
        logits = ViewShapes(logits=(data.num_outputs,))
        shapes = RunShapes(
            student=logits,
            teacher=logits,
            samples=len(data.train),
            classes=data.num_outputs,
            of_classes=data.head.kind.of_classes,
            head=data.head,
            has_unlabelled=config.transfer.unlabelled is not None,
            batch=min(config.training.batch_size or len(data.train), len(data.train)),
        )
        refuse_impossible(method, shapes, cached=_KEPT)


def require_scheme_possible(config: SearchConfig, kind: OutputKind) -> None:
    """Refuse a scheme for data that no scheme learns from.

    Raises:
        ConfigError: says what to do.
    """
    if config.scheme is None:
        return
    if not kind.of_classes:
        raise ConfigError(
            f"--scheme: softens and compares classes; this task has {kind.name}; leave it out"
        )
    if config.transfer.unlabelled is not None:
        raise ConfigError("--scheme: every role learns from labels; leave --unlabelled out")


def default_methods(teacher_logits: Tensor, kind: OutputKind) -> tuple[WeightedMethod, ...]:
    """Return what a search distills with when no method was named.

    Args:
        teacher_logits: shape [samples, outputs].
    """
    method = default_method(teacher_logits, kind)
    return (WeightedMethod(method=method, weight=method.usual_weight),)


def without_teacher(methods: Sequence[WeightedMethod]) -> tuple[WeightedMethod, ...]:
    """Return those methods that need no teacher: what is left once it is left out."""
    return tuple(entry for entry in methods if not entry.method.asks_teacher)
