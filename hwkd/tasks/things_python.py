"""The decoding of things as a Python program that needs NumPy alone, for READMEs.

It is that of `hwkd.tasks.things`, one picture after another, with the threshold of the facts.
"""

from __future__ import annotations

from hwkd.tasks.thing_scores import UNITS_PER_PIXEL
from hwkd.tasks.things import CELL_UNITS, LEAST_SCORE, MOST_THINGS

_BEFORE = """\
names, decision = facts["answer"]["labels"], facts["answer"]["decision"]
least = np.float32(max({least}, decision["threshold"] if decision else 0.0))
"""

_SHOWN = f"""
for output in outputs:
    print([
        (names[label], 1 / (1 + np.exp(-float(score))), *(edge / {UNITS_PER_PIXEL} for edge in box))
        for label, score, box in things(output)
    ])  # name, how sure, left, top, right and bottom in pixels; the surest first
"""

_BOXES = f"""

def kept(found, is_same):  # without what shares more than half with a surer one
    left = []
    for one in found:
        if len(left) < {MOST_THINGS} and not any(
            is_same(one, other) and 2 * shared(one[2], other[2]) > both(one[2], other[2])
            for other in left
        ):
            left.append(one)
    return left


def shared(a, b):
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    return max(0, width) * max(0, height)


def both(a, b):
    return sum((c[2] - c[0]) * (c[3] - c[1]) for c in (a, b)) - shared(a, b)


def things(output):  # [classes and 4 edges, rows, columns]: label, logit, box in sixteenths
    scores, edges = output[:-4], output[-4:]
    count, rows, columns = scores.shape
    y, x = np.divmod(np.arange(rows * columns), columns)
    middle = np.stack([x, y, x, y]) * {CELL_UNITS} + {CELL_UNITS // 2}
    far = np.maximum(edges.reshape(4, -1), np.float32(0)) * np.float32({CELL_UNITS})
    far = np.floor(far + np.float32(0.5)).astype(int) * [[-1], [-1], [1], [1]]
    ends = np.array([columns, rows, columns, rows])[:, None] * {CELL_UNITS}
    boxes = np.clip(middle + far, 0, ends).T.tolist()
    logits = scores.reshape(count, -1).T.ravel()  # cell after cell, in each its classes
    order = [at for at in np.argsort(-logits, kind="stable") if logits[at] >= least]
    found = [(int(at) % count, logits[at], boxes[at // count]) for at in order]
    found = [one for one in found if one[2][0] < one[2][2] and one[2][1] < one[2][3]]
    of_classes = kept(found, lambda a, b: a[0] == b[0])
    return kept(of_classes, lambda a, b: True)

"""

_POINTS = f"""

def things(output):  # [classes, rows, columns]: label, logit, cell in sixteenths of a pixel
    best, label = output.max(axis=0), output.argmax(axis=0)
    rows, columns = best.shape
    around = np.pad(best, 1, constant_values=-np.inf)
    peak = best >= least
    for number, (down, right) in enumerate(np.ndindex(3, 3)):
        other = around[down : down + rows, right : right + columns]
        peak &= best > other if number < 4 else best >= other  # of equals the first
    cells = [at for at in np.argsort(-best, axis=None, kind="stable") if peak.flat[at]]
    corners = [(int(at) % columns, int(at) // columns) for at in cells[:{MOST_THINGS}]]
    return [
        (label[y, x], best[y, x], [{CELL_UNITS} * side for side in (x, y, x + 1, y + 1)])
        for x, y in corners
    ]

"""


def things_python(*, as_points: bool) -> str:
    """Return statements that print what outputs say, by `outputs` and `facts`."""
    before = _BEFORE.replace("{least}", repr(LEAST_SCORE))
    return before + (_POINTS if as_points else _BOXES) + _SHOWN
