"""Spaces whose students give what a task asks for; others are refused before any training."""

from __future__ import annotations

from dataclasses import replace

from hwkd.core.chooser import RandomChooser
from hwkd.core.errors import ConfigError
from hwkd.core.head import Head
from hwkd.engine.setup.screening import Screen, load_spaces, sample_candidate
from hwkd.io.discovery import registered_spaces
from hwkd.tasks.base import Task, TaskData


def refuse_unanswering(screen: Screen, task: Task, data: TaskData) -> None:
    """Refuse a search space whose students answer with another shape than the task's targets.

    Raises:
        ConfigError: names the space, both shapes, and spaces that can answer.
    """
    wanted = answer_shape(data.head, data.input_shape)
    for name in screen.spaces:
        given = _answer_of(screen, name, data)
        if given != wanted:
            usual = task.spaces or registered_spaces()
            raise ConfigError(
                f"--space {name}: its students answer with {_in_words(given)}, and --task "
                f"{task.name} needs {_in_words(wanted)}; {_advice(screen, data, usual)}"
            )


def answer_shape(head: Head, input_shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of the outputs that a head reads, without batch."""
    if not head.kind.of_maps:
        return (head.size,)
    return (head.size, *(size // head.kind.cell_pixels for size in input_shape[1:]))


def _answer_of(screen: Screen, name: str, data: TaskData) -> tuple[int, ...]:
    student = sample_candidate(
        screen, name, RandomChooser(0), input_shape=data.input_shape, num_outputs=data.num_outputs
    )
    return student.layers.layers[-1].shape


def _advice(screen: Screen, data: TaskData, usual: tuple[str, ...]) -> str:
    wanted = answer_shape(data.head, data.input_shape)
    others = replace(screen, spaces=load_spaces(usual), settings={})
    able = [name for name in others.spaces if _answer_of(others, name, data) == wanted]
    return f"use --space {' or '.join(able)}" if able else "no space that comes with hwkd does"


def _in_words(shape: tuple[int, ...]) -> str:
    count, *sides = shape
    if not sides:
        return f"{count} number{'' if count == 1 else 's'}"
    return f"{count} map{'' if count == 1 else 's'} of {'x'.join(map(str, sides))}"
