"""Methods as users write them: `kd:temperature=4,weight=0.9` or a `[[distill]]` table."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hwkd.core.catalog import METHODS
from hwkd.core.errors import ConfigError
from hwkd.distill.method import LossMethod, Method
from hwkd.distill.schedules import Schedule, at_temperature, has_temperature
from hwkd.distill.written_options import configured_options, number, split_options, written
from hwkd.io.discovery import discover

Pairs = tuple[tuple[int, int], ...]
ALWAYS = Schedule()
NO_METHOD = "none"
_SCHEDULE_OPTIONS = ("start", "stop", "warmup", "decay", "temperature_end")
_RUN_OPTIONS = ("weight", "pairs", *_SCHEDULE_OPTIONS)


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightedMethod:
    """A configured method with its place in a run.

    Attributes:
        weight: of its terms; cross-entropy has its own.
        pairs: (student stage, teacher stage), counted from 1 at the input; empty proposes them.
    """

    method: Method
    weight: float
    schedule: Schedule = ALWAYS
    pairs: Pairs = ()

    def __post_init__(self) -> None:
        """Refuse weights and schedules that cannot work.

        Raises:
            ConfigError: names the method and the value.
        """
        name = self.method.name
        if not 0.0 < self.weight < float("inf"):
            raise ConfigError(f"method {name}: weight={self.weight} must be more than 0")
        if self.schedule.temperature_end is not None and not has_temperature(self.method):
            raise ConfigError(f"method {name}: temperature_end needs a method with a temperature")
        if self.pairs and not self.method.paired_signals:
            raise ConfigError(
                f"method {name}: pairs are given and it compares no layers one by one"
            )

    def at_the_end(self) -> WeightedMethod | None:
        """Return it with the weight and temperature of the last step, or None if it is over."""
        factor = self.schedule.factor(1.0)
        if factor == 0.0:
            return None
        method = self.method
        if isinstance(method, LossMethod):
            method = at_temperature(method, self.schedule, 1.0)
        return replace(self, method=method, weight=factor * self.weight, schedule=ALWAYS)

    def table(self) -> dict[str, Any]:
        """Return it as a `[[distill]]` table; `method_from_table` reads it."""
        options = {f.name: getattr(self.method, f.name) for f in _fields(type(self.method))}
        shown = {**options, "weight": self.weight}
        for name in _SCHEDULE_OPTIONS:
            value = getattr(self.schedule, name)
            if value != getattr(ALWAYS, name):
                shown[name] = value
        if self.pairs:
            shown["pairs"] = "+".join(f"{s}:{t}" for s, t in self.pairs)
        # A control's own field `method` is the method that it takes the teacher from.
        given = {n: v for n, v in shown.items() if v is not None and n != "method"}
        return {"method": self.method.name, **given}

    def describe(self) -> str:
        """Return it as a user would write it."""
        options = self.table()
        name = options.pop("method")
        return f"{name}:" + ",".join(f"{n}={written(v)}" for n, v in options.items())


def parse_methods(given: Sequence[str | Mapping[str, Any]]) -> tuple[WeightedMethod, ...]:
    """Parse every `--method` text or `[[distill]]` table.

    `none` alone is no method, and training on the labels alone.

    Raises:
        ConfigError: for methods that cannot be combined; see also `parse_method` and
            `method_from_table`.
    """
    if is_none(given):
        return ()
    if any(is_none([entry]) for entry in given):
        raise ConfigError("--method none: trains on the labels alone; give nothing beside it")
    methods = tuple(
        parse_method(entry) if isinstance(entry, str) else method_from_table(entry)
        for entry in given
    )
    require_combinable(methods)
    return methods


def is_taught(methods: Iterable[WeightedMethod]) -> bool:
    """Whether a teacher takes part in any of the methods."""
    return any(entry.method.asks_teacher for entry in methods)


def is_none(given: Sequence[str | Mapping[str, Any]]) -> bool:
    """Whether the labels alone were asked for."""
    return len(given) == 1 and given[0] in (NO_METHOD, {"method": NO_METHOD})


def require_combinable(methods: Sequence[WeightedMethod]) -> None:
    """Refuse a method that is given twice, and two that bring their own cross-entropy.

    Raises:
        ConfigError: names them.
    """
    names = [entry.method.name for entry in methods]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"--method {name} is given {names.count(name)} times; give it once")
    whole = [entry.method.name for entry in methods if entry.method.includes_task_loss]
    if len(whole) > 1:
        raise ConfigError(
            f"--method {whole[0]} and --method {whole[1]}: each brings its own cross-entropy; "
            "give one of them"
        )


def parse_method(text: str) -> WeightedMethod:
    """Parse `name` or `name:option=value,...`.

    Options of the run are weight, start, stop, warmup, decay, temperature_end and pairs
    (`1:2+2:3`).

    Raises:
        UnknownNameError: if there is no such method; offers the nearest names.
        ConfigError: for an unknown option or a value it cannot have.
    """
    name, given = split_options(text, option="--method", example="kd:temperature=4,weight=0.9")
    return _configure(name, given)


def method_from_table(table: Mapping[str, Any]) -> WeightedMethod:
    """Read one `[[distill]]` table: `method = "kd"` and options, as numbers or strings.

    Raises:
        UnknownNameError: if there is no such method.
        ConfigError: if `method` is missing or an option is unknown or has a wrong value.
    """
    if not isinstance(table, Mapping):
        raise ConfigError(f'[[distill]]: {table!r} is no table; write method = "kd" in one')
    options = dict(table)
    name = options.pop("method", None)
    if not isinstance(name, str):
        raise ConfigError('[[distill]]: has no method; write method = "kd" first')
    return _configure(name, options)


def _configure(name: str, given: Mapping[str, Any]) -> WeightedMethod:
    discover("hwkd.distill.losses")
    method_class: type[Method] = METHODS.get(name)
    of = f"method {name}"
    own = configured_options(of, method_class, given, further=_RUN_OPTIONS)
    schedule = {n: number(of, n, given[n]) for n in _SCHEDULE_OPTIONS if n in given}
    try:
        planned = Schedule(**schedule)
    except ConfigError as error:
        raise ConfigError(f"{of}: {error}") from None
    weight = number(of, "weight", given.get("weight", method_class.usual_weight))
    return WeightedMethod(
        method=method_class(**own),
        weight=weight,
        schedule=planned,
        pairs=_pairs(name, given["pairs"]) if "pairs" in given else (),
    )


def _fields(method_class: type[Method]) -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(method_class)


def _pairs(name: str, text: Any) -> Pairs:
    pairs = []
    for part in str(text).split("+"):
        student, _, teacher = part.partition(":")
        if not (student.isdigit() and teacher.isdigit() and int(student) and int(teacher)):
            raise ConfigError(
                f"method {name}: pairs={text} must be student:teacher stages from 1, as 1:2+2:3"
            )
        pairs.append((int(student), int(teacher)))
    return tuple(pairs)
