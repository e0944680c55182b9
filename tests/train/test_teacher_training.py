from dataclasses import replace
from typing import cast

import numpy as np
import pytest
import torch
from support.heads import accuracy
from torch import nn

from hwkd.core.errors import ConfigError, TeacherError
from hwkd.io.discovery import output_kind
from hwkd.tasks.classes_head import ClassesHead
from hwkd.tasks.prepare import prepare
from hwkd.tasks.raw import RawData, RawSplit
from hwkd.train.augment import Augmentation
from hwkd.train.teacher_maps import ClassMapNet
from hwkd.train.teacher_net import MirrorAveraged, TeacherNetConfig, build_teacher_net
from hwkd.train.teacher_trained import TeacherTraining, train_or_load_teacher

CPU = torch.device("cpu")
SMALL = TeacherTraining(net=TeacherNetConfig(width=4), epochs=3, learning_rate=1e-2)


class Ticking:
    """A clock that moves on by a second whenever it is read."""

    def __init__(self):
        self.now_s = 0.0

    def __call__(self):
        self.now_s += 1.0
        return self.now_s


def make_data(shape=(1, 8, 8), count=200, seed=0, contrast=2.0):
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    inputs = generator.normal(size=(count, *shape)).astype(np.float32)
    inputs[labels == 1, :, :4] += contrast
    train = RawSplit(inputs=inputs, labels=labels)
    raw = RawData(source="made", class_names=("a", "b"), train=train)
    return prepare(raw, ClassesHead(names=raw.class_names), task="made", split_seed=0)


@pytest.mark.parametrize("shape", [(1, 8, 8), (6, 40)])
def test_a_trained_teacher_learns_images_and_signals(tmp_path, shape):
    data = make_data(shape)
    training = replace(SMALL, epochs=8)
    teacher = train_or_load_teacher(data, training, device=CPU, cache_dir=tmp_path)
    logits = teacher.logits(data.validation.inputs)
    assert accuracy(logits, data.validation.labels) > 0.85
    assert teacher.description.startswith("residual network of ")
    assert teacher.kind == "trained here"


def test_a_second_request_reads_the_cache_and_gives_equal_logits(tmp_path):
    data = make_data()
    heard = []

    def progress(stage, done, total, note=""):
        heard.append((stage, done, total))

    options = {"device": CPU, "cache_dir": tmp_path, "progress": progress}
    first = train_or_load_teacher(data, SMALL, **options)
    assert heard[0] == ("train teacher", 0, 3)
    assert heard[-1] == ("train teacher", 3, 3)
    heard.clear()
    second = train_or_load_teacher(data, SMALL, **options)
    assert heard == []
    assert (first.is_from_cache, second.is_from_cache) == (False, True)
    assert first.identity == second.identity
    assert first.description == second.description
    inputs = data.validation.inputs
    np.testing.assert_array_equal(first.logits(inputs), second.logits(inputs))


@pytest.mark.slow
def test_the_same_seed_trains_the_same_teacher(tmp_path):
    data = make_data()
    state = torch.random.get_rng_state()
    first, again, other = (
        train_or_load_teacher(
            data, replace(SMALL, seed=seed), device=CPU, cache_dir=tmp_path / str(run)
        )
        for run, seed in enumerate((0, 0, 1))
    )
    assert first.identity == again.identity != other.identity
    assert torch.equal(state, torch.random.get_rng_state())


@pytest.mark.slow
def test_other_data_or_configuration_is_another_entry(tmp_path):
    for data, training in (
        (make_data(), SMALL),
        (make_data(seed=1), SMALL),
        (make_data(), replace(SMALL, epochs=1)),
        (make_data(), replace(SMALL, augmentation=Augmentation(shift=(1, 1)))),
    ):
        teacher = train_or_load_teacher(data, training, device=CPU, cache_dir=tmp_path)
        assert not teacher.is_from_cache
    assert len(list(tmp_path.iterdir())) == 4


def test_a_damaged_or_exchanged_cache_entry_is_never_used(tmp_path):
    data = make_data()
    for folder, training in (("a", SMALL), ("b", replace(SMALL, epochs=1))):
        train_or_load_teacher(data, training, device=CPU, cache_dir=tmp_path / folder)
    (stored,), (other,) = ((tmp_path / folder).iterdir() for folder in "ab")
    whole = stored.read_bytes()
    stored.write_bytes(other.read_bytes())
    with pytest.raises(TeacherError, match="another teacher than its name says; delete it"):
        train_or_load_teacher(data, SMALL, device=CPU, cache_dir=tmp_path / "a")
    stored.write_bytes(whole[:-100])
    with pytest.raises(TeacherError, match=r"damaged teacher in the cache .*delete it"):
        train_or_load_teacher(data, SMALL, device=CPU, cache_dir=tmp_path / "a")


@pytest.mark.parametrize("what", [b"trained here", b"", b'"key"', b'"proof"'])
def test_a_flipped_bit_in_a_cached_teacher_is_found(tmp_path, what):
    data = make_data()
    train_or_load_teacher(data, SMALL, device=CPU, cache_dir=tmp_path)
    (stored,) = tmp_path.iterdir()
    content = bytearray(stored.read_bytes())
    place = content.index(what) if what else len(content) - 7  # a mantissa among the weights
    content[place + 1] ^= 1
    stored.write_bytes(content)
    with pytest.raises(TeacherError, match=r"delete it to train again"):
        train_or_load_teacher(data, SMALL, device=CPU, cache_dir=tmp_path)


@pytest.mark.parametrize("own", [None, "run"])
def test_a_cache_that_cannot_be_written_is_refused_before_training(tmp_path, own):
    def check():
        pytest.fail("training began")

    (tmp_path / "file").write_text("in the way")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ConfigError, match=r"cannot be written .*HWKD_CACHE_DIR"):
            train_or_load_teacher(
                make_data(), SMALL, device=CPU, cache_dir=folder, check=check,
                own_dir=own and tmp_path / own,
            )  # fmt: skip


def test_an_interrupted_training_leaves_no_file(tmp_path):
    def check():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_or_load_teacher(make_data(), SMALL, device=CPU, cache_dir=tmp_path, check=check)
    assert list(tmp_path.iterdir()) == []


def test_a_time_budget_shortens_training_and_does_not_change_a_roomy_one(tmp_path):
    data = make_data()
    roomy, tight, free = (
        train_or_load_teacher(
            data,
            replace(SMALL, time_budget_s=budget),
            device=CPU,
            cache_dir=tmp_path,
            clock=Ticking(),
        )
        for budget in (1e6, 1e-9, None)
    )
    assert roomy.identity == free.identity
    assert "trained here for 0.0667 of 3 epochs" in tight.description  # one step of 15


def test_a_teacher_that_must_finish_is_not_begun_without_time_for_all_passes(tmp_path):
    def teacher(budget_s):
        wanted = replace(SMALL, time_budget_s=budget_s, must_finish=True)
        return train_or_load_teacher(
            make_data(), wanted, device=CPU, cache_dir=tmp_path, clock=Ticking()
        )

    with pytest.raises(
        TeacherError, match=r"would make 0 of 3 passes over the data .* a much longer --timeout"
    ):
        teacher(1.0)
    with pytest.raises(TeacherError, match=r"would make 1 of 3 passes .* 3 times the --timeout"):
        teacher(15.0)
    assert teacher(1e6).outcome.epochs_made == 3
    # What is in the cache was trained before.
    assert teacher(1e6).is_from_cache


def test_a_teacher_out_of_time_stays_with_its_run_and_one_that_took_its_time_serves_others(
    tmp_path,
):
    data, shared, own = make_data(), tmp_path / "shared", tmp_path / "own"

    def teacher(budget_s, folder=None):
        wanted = replace(SMALL, time_budget_s=budget_s)
        return train_or_load_teacher(
            data, wanted, device=CPU, cache_dir=shared, own_dir=folder, clock=Ticking()
        )

    short = teacher(5.0, own)
    assert short.outcome.ended_by == "time"
    assert not short.outcome.is_converged
    assert not list(shared.iterdir())
    assert not teacher(5.0).is_from_cache  # another run trains its own
    long = teacher(None)
    assert long.outcome.is_worth_keeping
    again = teacher(5.0, own)
    assert again.is_from_cache
    assert again.identity == short.identity != long.identity  # a run goes on with its own
    assert teacher(4.0).identity == long.identity


def test_a_teacher_that_knows_nothing_is_not_kept_for_others(tmp_path):
    data = make_data(contrast=0.0)
    teacher = train_or_load_teacher(data, SMALL, device=CPU, cache_dir=tmp_path)
    assert teacher.outcome.is_converged
    assert not teacher.outcome.is_worth_keeping
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "shape", [(1, 8, 8), (1, 28, 28), (3, 96, 96), (3, 33, 17), (6, 100), (1, 16000), (1, 3, 3)]
)
def test_the_network_takes_any_input_and_costs_little_more_for_a_large_one(shape):
    net = build_teacher_net(shape, 5, TeacherNetConfig(width=8)).eval()
    sizes = []
    cast(nn.Sequential, net.body)[0].register_forward_hook(
        lambda module, inputs, output: sizes.append(output.shape[2:])
    )
    with torch.inference_mode():
        assert net(torch.zeros(2, *shape)).shape == (2, 5)
    assert max(sizes[0]) <= (20 if len(shape) == 3 else 64)


@pytest.mark.parametrize(
    "shape", [(1, 8, 8), (3, 64, 64), (3, 33, 17), (1, 96, 32), (3, 3, 5), (1, 35, 40)]
)
def test_a_teacher_of_masks_names_a_class_at_each_position_of_any_picture(shape):
    kind = output_kind("class maps")
    net = build_teacher_net(shape, 5, TeacherNetConfig(width=8), kind=kind).eval()
    assert isinstance(net, ClassMapNet)
    inputs = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        outputs, before = net(inputs), net.before_repeats(inputs)
    assert outputs.shape == (2, 5, *shape[1:])
    if shape == (1, 35, 40):
        assert before is None  # 18 positions are not half of 35
        return
    down, right = (size // small for size, small in zip(shape[1:], before.shape[2:], strict=True))
    repeated = before.repeat_interleave(down, dim=2).repeat_interleave(right, dim=3)
    torch.testing.assert_close(outputs, repeated)
    assert max(before.shape[2:]) < 64


def test_a_teacher_trained_on_mirror_images_answers_alike_for_both(tmp_path):
    data = make_data()
    training = replace(SMALL, augmentation=Augmentation(mirror=True))
    for _ in range(2):  # trained, then from the cache
        teacher = train_or_load_teacher(data, training, device=CPU, cache_dir=tmp_path)
        assert isinstance(teacher.module, MirrorAveraged)
        inputs = data.validation.inputs
        np.testing.assert_allclose(
            teacher.logits(inputs), teacher.logits(inputs[..., ::-1]), atol=1e-5
        )
