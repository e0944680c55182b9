"""Things in pictures: decoding, scores, moves and C, each beside another way to get there."""

import base64
import io
import shutil

import numpy as np
import pytest
import torch
from PIL import Image, ImageColor
from support.boxed import write_coco

from hwkd.core.box_targets import wanted_outputs
from hwkd.core.boxes import CELL_PIXELS, moved_boxes
from hwkd.core.errors import ConfigError, DataError
from hwkd.core.head import OutputForm
from hwkd.core.reading import Reading
from hwkd.core.signals import moved
from hwkd.deploy.to_c.answer import answer_files
from hwkd.deploy.toolchain import find_host_compiler, find_tools, run_tool
from hwkd.deploy.verify_run import harness_text, write_link_script
from hwkd.engine.arms.example_pictures import worst_pictures
from hwkd.io.core_files import load_core
from hwkd.tasks.boxes_head import boxes_head
from hwkd.tasks.detect import _DETECT
from hwkd.tasks.points_head import points_head
from hwkd.tasks.thing_loss import thing_loss
from hwkd.tasks.thing_scores import OVERLAPS
from hwkd.tasks.things import CELL_UNITS, decoded, named
from hwkd.train.augment import Augmentation
from hwkd.train.batches import BatchMaker

CLASSES = ("a", "b", "c")
HEADS = (boxes_head(CLASSES), points_head(CLASSES))


def some_boxes(random, pictures, *, side=96, most=5):
    """Boxes of up to `most` things in each picture, as targets have them."""
    boxes = np.zeros((pictures, most, 5), np.float32)
    corners = random.uniform(0, side - 10, (pictures, most, 2))
    boxes[..., 1:3] = corners
    boxes[..., 3:] = np.minimum(corners + random.uniform(8, 50, (pictures, most, 2)), side)
    boxes[..., 0] = random.integers(-1, len(CLASSES), (pictures, most))
    return boxes


def rough_outputs(random, boxes, *, has_edges, grid=12):
    """Outputs that are about right, with many false ones among them."""
    wanted = wanted_outputs(torch.from_numpy(boxes), classes=len(CLASSES), grid=(grid, grid))
    heat = 6 * wanted.heat.numpy() - 3 + random.normal(0, 1.2, wanted.heat.shape)
    edges = wanted.edges.numpy() + random.normal(0, 0.5, wanted.edges.shape)
    maps = [heat, edges] if has_edges else [heat]
    return np.concatenate(maps, axis=1).astype(np.float32)


def coco_scores(head, outputs, boxes):
    """Mean average precisions by the evaluation code of COCO."""
    coco = pytest.importorskip("pycocotools.coco")
    evaluation = pytest.importorskip("pycocotools.cocoeval")
    truth = coco.COCO()
    annotations = [
        {"id": 1 + len(boxes[0]) * picture + row, "image_id": picture, "category_id": int(box[0]),
         "bbox": [*box[1:3].tolist(), *(box[3:] - box[1:3]).tolist()],
         "area": float((box[3:] - box[1:3]).prod()), "iscrowd": 0}
        for picture, own in enumerate(boxes) for row, box in enumerate(own) if box[0] >= 0
    ]  # fmt: skip
    truth.dataset = {
        "images": [{"id": picture} for picture in range(len(boxes))],
        "annotations": annotations,
        "categories": [{"id": label} for label in range(len(CLASSES))],
    }
    truth.createIndex()
    things = decoded(outputs, classes=len(head.classes))
    pictures, places = np.nonzero(things.labels >= 0)
    edges = things.edges[pictures, places] / 16
    found = np.column_stack([
        pictures, edges[:, :2], edges[:, 2:] - edges[:, :2],
        things.scores[pictures, places], things.labels[pictures, places],
    ])  # fmt: skip
    judge = evaluation.COCOeval(truth, truth.loadRes(found.astype(np.float64)), "bbox")
    judge.evaluate()
    judge.accumulate()
    judge.summarize()
    # [overlaps, recalls, classes, sizes, numbers of boxes]: of all sizes, with most boxes.
    precision = judge.eval["precision"][:, :, :, 0, -1]
    return judge.stats[1], judge.stats[0], precision.mean(axis=1)


def test_average_precision_is_that_of_coco(capsys):
    random = np.random.default_rng(0)
    boxes = some_boxes(random, 40)
    outputs = rough_outputs(random, boxes, has_edges=True)
    at_half, mean, of_classes = coco_scores(HEADS[0], outputs, boxes)
    scores = HEADS[0].scores(outputs, boxes)
    assert 0.1 < at_half < 0.9
    assert scores["mAP@50"] == pytest.approx(at_half, abs=1e-9)
    assert scores["mAP@50:95"] == pytest.approx(mean, abs=1e-9)
    by_class = HEADS[0].by_class(outputs, boxes)
    assert [one.name for one in by_class] == list(CLASSES)
    assert [one.scores["AP@50"] for one in by_class] == pytest.approx(of_classes[0], abs=1e-9)
    assert [one.scores["AP@50:95"] for one in by_class] == pytest.approx(
        of_classes.mean(axis=0), abs=1e-9
    )
    capsys.readouterr()


@pytest.mark.slow
@pytest.mark.parametrize("head", HEADS, ids=("boxes", "points"))
def test_the_mean_of_errors_is_what_the_first_metric_lacks(head):
    random = np.random.default_rng(1)
    boxes = some_boxes(random, 30)
    outputs = rough_outputs(random, boxes, has_edges=not head.as_points)
    errors, scores = head.errors(outputs, boxes), head.scores(outputs, boxes)
    assert errors.mean() == pytest.approx(1 - scores[head.metrics[0].name], abs=1e-9)
    assert (errors >= 0).all()
    decision = head.decide(outputs, boxes)
    others = [
        head.at(decision.model_copy(update={"threshold": at})).scores(outputs, boxes)["F1"]
        for at in np.linspace(-3.5, 4, 40)
    ]
    assert head.at(decision).scores(outputs, boxes)["F1"] == scores["F1"] >= max(others)


def test_each_class_of_points_is_counted_by_itself_and_unknown_is_not_zero():
    boxes = np.zeros((1, 4, 5), np.float32)
    boxes[0] = [[0, 0, 0, 8, 8], [0, 16, 16, 24, 24], [1, 40, 40, 48, 48], [-1, 0, 0, 0, 0]]
    outputs = np.full((1, len(CLASSES), 12, 12), -9.0, np.float32)
    for label, row, column in ((0, 0, 0), (0, 9, 9), (1, 5, 5)):
        outputs[0, label, row, column] = 3.0
    head = HEADS[1].at(HEADS[1].decide(outputs, boxes))
    of_a, of_b, of_c = head.by_class(outputs, boxes)
    assert (of_a.given, of_b.given, of_c.given) == (2, 1, 0)
    assert of_a.scores == {"precision": 0.5, "recall": 0.5, "F1": 0.5}
    assert of_b.scores == {"precision": 1.0, "recall": 1.0, "F1": 1.0}
    assert of_c.scores == {"precision": None, "recall": None, "F1": None}


def greedy(outputs, classes):
    """Boxes by the textbook: one picture after another, one box after another."""
    height, width = outputs.shape[1:]
    cells = []
    for row in range(height):
        for column in range(width):
            values = outputs[:, row, column]
            left, top, right, bottom = (
                int(np.floor(max(float(v), 0.0) * CELL_UNITS + 0.5)) for v in values[classes:]
            )
            x, y = (int((place + 0.5) * CELL_UNITS) for place in (column, row))
            edges = (
                max(0, x - left), max(0, y - top),
                min(width * CELL_UNITS, x + right), min(height * CELL_UNITS, y + bottom),
            )  # fmt: skip
            at = row * width + column
            cells += [(-values[label], at, label, edges) for label in range(classes)]
    kept: list[tuple[float, int, tuple[int, ...]]] = []
    for score, _, label, edges in sorted(cells):
        if score > 4.0 or len(kept) == 32:
            break
        x0, y0, x1, y1 = edges
        if x1 <= x0 or y1 <= y0:
            continue
        for _, other, (u0, v0, u1, v1) in kept:
            shared = max(0, min(x1, u1) - max(x0, u0)) * max(0, min(y1, v1) - max(y0, v0))
            whole = (x1 - x0) * (y1 - y0) + (u1 - u0) * (v1 - v0) - shared
            if other == label and shared / whole > 0.5:
                break
        else:
            kept.append((-score, label, edges))
    return kept


def int8_outputs(random, head, pictures):
    """Outputs as an int8 network gives them: many are equal."""
    boxes = some_boxes(random, pictures)
    scale, zero = np.float32(0.0713), 12
    steps = np.rint(rough_outputs(random, boxes, has_edges=not head.as_points) / scale) + zero
    values = steps.clip(-128, 127).astype(np.int8)
    return values, (values.astype(np.float32) - zero) * scale, (scale, zero), boxes


def test_boxes_are_those_of_greedy_suppression():
    _, outputs, _, _ = int8_outputs(np.random.default_rng(2), HEADS[0], 12)
    things = decoded(outputs, classes=len(CLASSES))
    for picture, values in enumerate(outputs):
        kept = greedy(values, len(CLASSES))
        assert things.labels[picture, : len(kept)].tolist() == [label for _, label, _ in kept]
        assert things.edges[picture, : len(kept)].tolist() == [list(edges) for *_, edges in kept]
        assert (things.labels[picture, len(kept) :] == -1).all()


TURNED = {"mirror": True, "flip": True, "transposed": True}


@pytest.mark.parametrize(
    ("turned", "width"),
    [({"mirror": True}, 48), ({"mirror": True, "flip": True}, 48), (TURNED, 40)],
)
def test_boxes_move_with_their_pictures(turned, width):
    random = np.random.default_rng(3)
    boxes = np.zeros((40, 1, 5), np.float32)
    corners = random.integers(12, 20, (40, 2))
    boxes[:, 0, 1:3], boxes[:, 0, 3:] = corners, corners + random.integers(2, 12, (40, 2))
    pictures = torch.zeros(40, 1, 40, width)
    for picture, (_, x0, y0, x1, y1) in zip(pictures, boxes[:, 0].astype(int), strict=True):
        picture[:, y0:y1, x0:x1] = 1.0
    maker = BatchMaker(Augmentation(shift=(8, 8), cells=8, **turned), seed=0)
    shown, positions = maker.draw(pictures, torch.arange(40))
    found = moved_boxes(torch.from_numpy(boxes), positions)[:, 0].numpy()
    for picture, (_, x0, y0, x1, y1) in zip(shown, found, strict=True):
        rows, columns = np.nonzero(picture[0].numpy())
        assert [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1] == [x0, y0, x1, y1]


@pytest.mark.parametrize("turned", [{"mirror": True}, TURNED])
def test_what_a_teacher_says_moves_as_boxes_do(turned):
    head, random = HEADS[0], np.random.default_rng(4)
    boxes = torch.from_numpy(some_boxes(random, 60, most=1))
    boxes[:, 0, 0] = 1.0
    # In the middle, away from where cells are repeated or lost.
    boxes[:, 0, 1:3] = 24 + torch.rand(60, 2) * 10
    boxes[:, 0, 3:] = 50 + torch.rand(60, 2) * 20
    maker = BatchMaker(Augmentation(shift=(8, 8), cells=8, **turned), seed=1)
    _, positions = maker.draw(torch.zeros(60, 1, 96, 96), torch.arange(60))

    def wanted(given):
        found = wanted_outputs(given, classes=len(CLASSES), grid=(12, 12))
        owned = found.owned[:, None]
        return torch.cat([found.heat > 0.5, found.edges.where(owned, torch.zeros(()))], 1)

    of_teacher = moved(wanted(boxes), positions, edges=head.kind.edges)
    expected = wanted(moved_boxes(boxes, positions))
    same = (of_teacher - expected).abs().amax(dim=(1, 2, 3)) < 1e-4
    # A middle on the line between two cells falls to the other one in a mirror image.
    assert same.float().mean() > 0.8


HARNESS = """
#include "harness.h"
#include "model.h"
#include "model_answer.h"

static int8_t maps[MODEL_OUTPUT_BYTES];

const int8_t *model_output(void) { return maps; }
void model_run(void) {}

int harness_main(void)
{
    static model_thing things[MODEL_MOST_THINGS];
    while (platform_read(maps, sizeof maps)) {
        for (int32_t i = 0; i < MODEL_MOST_THINGS; i++)
            things[i].label = -1;
        const int32_t count = model_answer(things);
        for (int32_t i = 0; i < MODEL_MOST_THINGS; i++) {
            const int32_t row[5] = {i < count ? things[i].label : -1, things[i].left, things[i].top,
                                    things[i].right, things[i].bottom};
            platform_write(HARNESS_OUTPUTS, row, sizeof row);
        }
    }
    return 0;
}
"""


def run_answer(folder, head, values, scale, zero, threshold, platform, defines=()):
    """Run the exported C over int8 maps [n, outputs, height, width]; returns [n, 32, 5]."""
    answer = head.kind.answer(OutputForm(names=head.names, decision=threshold))
    texts = answer_files(answer, values.shape[1:])
    texts |= {
        "model.h": "#include <stdint.h>\nconst int8_t *model_output(void);\nvoid model_run(void);\n"
        f"#define MODEL_OUTPUT_SCALE {scale!r}f\n#define MODEL_OUTPUT_ZERO_POINT ({zero})\n"
        f"#define MODEL_OUTPUT_BYTES {values[0].size}\n",
        "main_harness.c": HARNESS,
        "harness.h": harness_text("harness.h"),
        platform: harness_text(platform),
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    np.ascontiguousarray(values.transpose(0, 2, 3, 1)).tofile(folder / "inputs.bin")
    sources = ["model_answer.c", "main_harness.c", platform]
    if platform == "platform_host.c":
        flags = ["-std=gnu99", "-O2", "-Wall", "-Wextra", "-Werror", "-I.", *defines]
        run_tool([*find_host_compiler(), *flags, *sources, "-o", "run"], folder=folder)
        run_tool([folder / "run"], folder=folder)
    else:
        core, tools = load_core("cortex-m7"), find_tools()
        write_link_script(folder / "run.ld", core, (2**18, 2**17, 2048))
        counter = [f"-D{name}={value}" for name, value in core.counter.items()]
        flags = [*core.flags, "-std=gnu99", "-O2", "-I.", *counter, "-nostartfiles", "-Trun.ld"]
        run_tool([tools.compiler, *flags, *sources, "-lm", "-o", "run.elf"], folder=folder)
        run_tool(
            [tools.emulator, "-M", core.machine, "-nographic", "-monitor", "none", "-serial",
             "none", "-semihosting-config", "enable=on,target=native", "-kernel", "run.elf"],
            folder=folder,
        )  # fmt: skip
    found = np.fromfile(folder / "outputs.bin", np.int32).reshape(len(values), -1, 5)
    return np.where(found[..., :1] >= 0, found, [-1, 0, 0, 0, 0])


@pytest.mark.parametrize("head", HEADS, ids=("boxes", "points"))
@pytest.mark.parametrize("platform", ["platform_host.c", "platform_cortex_m.c"])
def test_the_c_finds_the_same_things(head, platform, tmp_path):
    needed = ("cc",) if platform == "platform_host.c" else ("arm-none-eabi-gcc", "qemu-system-arm")
    if not all(map(shutil.which, needed)):
        pytest.skip("no compiler or emulator")
    values, outputs, (scale, zero), boxes = int8_outputs(np.random.default_rng(5), head, 128)
    decision = head.decide(outputs, boxes)
    found = run_answer(tmp_path, head, values, float(scale), zero, decision, platform)
    things = named(decoded(outputs, classes=len(CLASSES)))
    is_seen = (things.scores >= np.float32(decision.threshold))[..., np.newaxis]
    expected = np.concatenate([things.labels[..., np.newaxis], things.edges], axis=2)
    np.testing.assert_array_equal(found, np.where(is_seen, expected, [-1, 0, 0, 0, 0]))
    assert is_seen.sum() > 100


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
@pytest.mark.parametrize("head", HEADS, ids=("boxes", "points"))
def test_a_build_may_set_another_threshold(head, tmp_path):
    values, outputs, (scale, zero), boxes = int8_outputs(np.random.default_rng(5), head, 16)
    decision = head.decide(outputs, boxes)
    given = (tmp_path, head, values, float(scale), zero, decision, "platform_host.c")
    found = run_answer(*given, defines=["-DMODEL_THRESHOLD=3.0f"])
    things = named(decoded(outputs, classes=len(CLASSES)))
    assert (found[..., 0] >= 0).sum() == (things.scores >= 3.0).sum() > 0


def test_pictures_that_cells_do_not_fill_are_refused(tmp_path):
    folder = write_coco(tmp_path / "boxed", examples=20)
    with pytest.raises(DataError, match=r"pictures of 30x33; .* give --input-size 32x32"):
        _DETECT.data(folder, Reading(input_size=(30, 33)))
    with pytest.raises(ConfigError, match="--task detect needs --data: "):
        _DETECT.data(None)


def test_answers_are_in_pixels():
    boxes = some_boxes(np.random.default_rng(6), 1, most=1)
    boxes[0, 0] = [2, 16, 24, 48, 64]
    wanted = wanted_outputs(torch.from_numpy(boxes), classes=len(CLASSES), grid=(12, 12))
    outputs = torch.cat([9 * (wanted.heat == 1) - 4.5, wanted.edges], dim=1).numpy()
    head = HEADS[0]
    (found,) = head.answers(outputs, np.zeros((1, 1, 96, 96), np.float32))
    assert found[0, 0] == 2
    np.testing.assert_array_equal(found[0, 2:], [16, 24, 48, 64])
    assert (found[1:, 0] == -1).all()
    assert head.answer_text(boxes[0]) == "1 x c"
    assert OVERLAPS[0] == 0.5
    assert CELL_PIXELS * 12 == 96


def test_a_thing_is_named_once_and_average_precision_takes_second_guesses():
    boxes = np.zeros((1, 2, 5), np.float32)
    boxes[0] = [[2, 16, 24, 48, 64], [0, 60, 24, 90, 64]]
    wanted = wanted_outputs(torch.from_numpy(boxes), classes=len(CLASSES), grid=(12, 12))
    heat = 4.0 * (wanted.heat == 1)
    # Of the first thing, another class is a little surer than its own.
    heat[:, 1] = 1.1 * heat[:, 2]
    outputs = torch.cat([heat - 2, wanted.edges], dim=1).numpy()
    seen = decoded(outputs, classes=len(CLASSES))
    assert sorted(seen.labels[seen.scores > 0].tolist()) == [0, 1, 2]
    head = HEADS[0].at(HEADS[0].decide(outputs, boxes))
    (found,) = head.answers(outputs, np.zeros((1, 1, 96, 96), np.float32))
    assert found[:3, 0].tolist() == [1, 0, -1]
    scores = head.scores(outputs, boxes)
    assert scores["count error"] == 0
    assert scores["F1"] == pytest.approx(0.5)
    assert scores["mAP@50"] == pytest.approx(1.0)


def test_the_worst_pictures_show_what_is_there_and_what_is_named(tmp_path):
    data = _DETECT.data(write_coco(tmp_path / "boxed", examples=40))
    labels = data.test.labels
    wanted = wanted_outputs(torch.from_numpy(labels), classes=2, grid=(4, 4))
    outputs = torch.cat([9 * (wanted.heat == 1) - 4.5, wanted.edges], dim=1).numpy()
    spoilt = int((labels[:, :, 0] >= 0).any(axis=1).argmax())
    outputs[spoilt, :2] = -9.0
    first, *_ = worst_pictures(data, data.head.at(None), outputs)
    assert first.error > 0
    assert first.given == data.head.answer_text(labels[spoilt])
    assert first.colours
    assert set(first.colours) <= set(data.head.names)
    picture = Image.open(io.BytesIO(base64.b64decode(first.png))).convert("RGB")
    assert picture.size == (2 * 192 + 4, 192)
    pixels = np.asarray(picture)
    for colour in first.colours.values():  # what is there on the left; nothing is named
        is_drawn = (pixels == ImageColor.getrgb(colour)).all(axis=2)
        assert is_drawn[:, :192].sum() > 50
        assert not is_drawn[:, 196:].any()


def test_what_points_lose_is_the_sum_over_cells_of_the_paper_and_which_class_it_is():
    random = np.random.default_rng(7)
    boxes = torch.from_numpy(some_boxes(random, 4))
    boxes[:, 0, 0] = torch.tensor([0.0, 1.0, 2.0, 1.0])  # none is empty
    logits = torch.from_numpy(random.normal(0, 1.5, (4, len(CLASSES), 12, 12)).astype(np.float32))
    heat = wanted_outputs(boxes, classes=len(CLASSES), grid=(12, 12)).heat.double().numpy()
    of_pictures: list[float] = []
    for picture, wanted in zip(logits.double().numpy(), heat, strict=True):
        focal = which = weights = 0.0
        for row in range(12):
            for column in range(12):
                values, near = picture[:, row, column], wanted[:, row, column]
                for value, want in zip(values, near, strict=True):
                    p = 1 / (1 + np.exp(-value))
                    right, wrong = (1 - p) ** 2 * np.log(p), p**2 * np.log(1 - p)
                    focal -= right if want == 1 else (1 - want) ** 4 * wrong
                if near.max() >= 0.3:
                    weights += near.max()
                    odds = np.exp(values - values[near.argmax()]).sum()
                    which += near.max() * np.log(odds)
        number = int((boxes[len(of_pictures), :, 0] >= 0).sum())
        of_pictures.append(focal / number + 0.5 * which / weights)
    found = thing_loss(logits, boxes, classes=len(CLASSES))
    assert found.item() == pytest.approx(np.mean(of_pictures), rel=1e-4)
