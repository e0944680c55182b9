"""Trainings as processes: when they plan to be done, and when they are stopped."""

import time

from hwkd.core.progress import silent
from hwkd.core.strict_model import read_record
from hwkd.core.student import StudentSpec
from hwkd.engine.arms.jobs import run_orders
from hwkd.engine.arms.orders import ORDER_FILE, ArmOrder, order_folder


class Endless:
    """A process that runs until it is killed."""

    pid = 0

    def __init__(self):
        self.killed_s = None

    def poll(self):
        return None if self.killed_s is None else -9

    def kill(self):
        self.killed_s = time.monotonic()

    def wait(self, timeout=None):
        return -9

    def send_signal(self, sig, /):
        raise AssertionError(f"signal {sig}")


class Nursery:
    def __init__(self):
        self.children = []

    def start(self, module, arguments, *, log, threads, descriptors):
        self.children.append(Endless())
        return self.children[-1]


def test_training_plans_to_be_done_before_it_is_stopped_and_is_stopped_at_the_end(tmp_path):
    spec = StudentSpec(space="plain", params={}, input_shape=(1, 8, 8), num_outputs=10)
    order = ArmOrder(name="a0", spec=spec, repetition=0, arm="labels", processes=1, epochs=1)
    nursery, end_s = Nursery(), time.monotonic() + 1.0
    assert run_orders(tmp_path, nursery, [order], end_s=end_s, progress=silent) == {}
    (child,) = nursery.children
    path = order_folder(tmp_path, order) / ORDER_FILE
    written = read_record(ArmOrder, path.read_bytes(), where="order", what="training order")
    assert written.end_s is not None and end_s - 0.6 < written.end_s < end_s - 0.5
    assert end_s < child.killed_s < end_s + 0.5


def test_training_without_an_end_is_not_stopped(tmp_path):
    spec = StudentSpec(space="plain", params={}, input_shape=(1, 8, 8), num_outputs=10)
    order = ArmOrder(name="a0", spec=spec, repetition=0, arm="labels", processes=1, epochs=1)
    nursery = Nursery()

    def stop(stage, done, total):
        raise KeyboardInterrupt

    try:
        run_orders(tmp_path, nursery, [order], progress=stop)
    except KeyboardInterrupt:
        written = (order_folder(tmp_path, order) / ORDER_FILE).read_bytes()
        assert read_record(ArmOrder, written, where="order", what="training order").end_s is None
