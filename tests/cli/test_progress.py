"""How far work is, said in lines where there is no terminal to draw bars on."""

import io

from rich.console import Console

from hwkd.cli.progress_bars import Lines, drawn_on
from hwkd.cli.search_display import SearchDisplay


class Clock:
    def __init__(self):
        self.now_s = 0.0

    def __call__(self):
        return self.now_s


def lines_of_a_training(seconds):
    """Return what is said of a hundred steps that take so many seconds together."""
    clock = Clock()
    said: list[str] = []
    tell = Lines(said.append, clock)
    for step in range(101):
        clock.now_s = seconds * step / 100
        tell("train in full", step, 100, "loss 0.4")
    return said


def test_a_stage_is_named_when_it_begins_and_not_again_when_it_is_short():
    assert lines_of_a_training(9.0) == ["train in full"]


def test_a_long_stage_says_how_far_it_is_and_how_long_it_takes_still():
    said = lines_of_a_training(100.0)
    assert said[1] == "train in full: 10% after 10.0 s, about 1 min 30 s left, loss 0.4"
    assert said[2].startswith("train in full: 20% after 20.0 s, about 1 min 20 s left")


def test_lines_get_rarer_so_that_hours_do_not_fill_pages():
    assert 8 <= len(lines_of_a_training(100.0)) <= 11
    assert len(lines_of_a_training(11 * 60.0)) <= 25
    assert len(lines_of_a_training(10 * 3600.0)) <= 60


def test_what_was_done_before_does_not_shorten_the_estimate():
    clock = Clock()
    said: list[str] = []
    tell = Lines(said.append, clock)
    tell("train in full", 50, 100)
    clock.now_s = 20.0
    tell("train in full", 60, 100)
    assert said[-1] == "train in full: 60% after 20.0 s, about 1 min 20 s left"


def test_a_file_gets_whole_lines_and_no_control_sequences():
    text = io.StringIO()
    with drawn_on(Console(file=text)) as tell:
        tell("decode [red] images", 0, 4)
    assert text.getvalue() == "decode [red] images\n"


def test_a_time_plan_adds_up_to_what_is_left_and_a_changed_one_says_so():
    text = io.StringIO()
    display = SearchDisplay(console=Console(file=text), tell=lambda *_: None)
    display.on_plan({"search": 17.4, "final training": 75.4, "report": 2.4}, 95.2)
    display.on_plan({"final training": 88.0, "report": 2.0}, 90.0)
    first, second = (line.strip() for line in text.getvalue().splitlines())
    assert first == "time left  1 min 35 s: search 17 s, final training 1 min 16 s, report 2 s"
    assert second.startswith("time left  1 min 30 s, planned anew: final training 1 min 28 s")
