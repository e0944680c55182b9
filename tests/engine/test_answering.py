"""Search spaces that cannot answer a task are refused before anything is trained."""

from __future__ import annotations

import pytest

from hwkd.core.catalog import TASKS
from hwkd.core.errors import ConfigError
from hwkd.engine.setup.answering import refuse_unanswering
from hwkd.engine.setup.config import SearchConfig
from hwkd.engine.setup.resolve import screen_of
from hwkd.io.discovery import discover, registered_spaces
from hwkd.tasks.boxes_head import boxes_head
from hwkd.tasks.classes_head import ClassesHead
from hwkd.tasks.maps_head import MapsHead

discover("hwkd.tasks")
discover("hwkd.search_spaces")
SHAPE = (1, 32, 32)


class _Data:
    """The part of a data set that a space is checked against."""

    def __init__(self, head):
        self.head, self.input_shape, self.num_outputs = head, SHAPE, head.size


HEADS = {
    "classify": ClassesHead.numbered(3),
    "detect": boxes_head(("cat", "dog")),
    "segment": MapsHead(names=("ground", "cat", "dog")),
}


def _refuse(task, *spaces):
    screen = screen_of(SearchConfig(device="cortex-m7", spaces=spaces))
    refuse_unanswering(screen, TASKS.get(task), _Data(HEADS[task]))


@pytest.mark.parametrize("task", sorted(HEADS))
def test_every_usual_space_of_a_task_answers_it(task):
    _refuse(task, *(TASKS.get(task).spaces or registered_spaces()))


@pytest.mark.parametrize(
    ("task", "space", "said"),
    [
        ("detect", "plain", "answer with 6 numbers, and --task detect needs 6 maps of 4x4; use "
         "--space detector"),
        ("detect", "segmenter", "answer with 6 maps of 32x32, and --task detect needs 6 maps of "
         "4x4; use --space detector"),
        ("segment", "detector", "answer with 3 maps of 4x4, and --task segment needs 3 maps of "
         "32x32; use --space segmenter"),
        ("classify", "detector", "answer with 3 maps of 4x4, and --task classify needs 3 numbers; "
         "use --space depthwise or"),
    ],
)  # fmt: skip
def test_a_space_that_answers_otherwise_is_refused_with_those_that_can(task, space, said):
    with pytest.raises(ConfigError) as caught:
        _refuse(task, space)
    assert str(caught.value).startswith(f"--space {space}: its students {said}")


def test_one_wrong_space_among_others_is_named():
    with pytest.raises(ConfigError, match="--space plain: its students"):
        _refuse("detect", "detector", "plain")
