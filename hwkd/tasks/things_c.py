"""C that finds the things in the last output, step for step as `hwkd.tasks.things` does."""

from __future__ import annotations

import numpy as np

from hwkd.core.c_literal import float_literal
from hwkd.core.decision_record import DecisionRecord
from hwkd.core.head import CAnswer
from hwkd.tasks.things import CELL_UNITS, MOST_THINGS

_USAGE = """\
        model_thing things[MODEL_MOST_THINGS];
        const int32_t count = model_answer(things); /* the surest first */
        for (int32_t i = 0; i < count; i++)
            printf("%s from %d, %d to %d, %d (x, y in pixels)\\n", model_labels[things[i].label],
                   (int)things[i].left / 16, (int)things[i].top / 16, (int)things[i].right / 16,
                   (int)things[i].bottom / 16);"""
_PRINTED = """\
    static model_thing things[MODEL_MOST_THINGS];
    const int32_t count = model_answer(things);
    if (MODEL_SAMPLE_LABEL[0] != 0)
        printf("labelled %s\\n", MODEL_SAMPLE_LABEL);
    printf("the network sees %d\\n", (int)count);
    for (int32_t i = 0; i < count; i++)
        printf("%s from %d, %d to %d, %d\\n", model_labels[things[i].label],
               (int)things[i].left / 16, (int)things[i].top / 16, (int)things[i].right / 16,
               (int)things[i].bottom / 16);"""

_POINTS = """\
/* The likeliest class of a cell and its output. */
static int32_t best_of(int32_t cell, int32_t *label)
{
    const int8_t *output = model_output() + cell * MODEL_VALUES;
    *label = 0;
    for (int32_t i = 1; i < MODEL_CLASSES; i++)
        *label = output[i] > output[*label] ? i : *label;
    return output[*label];
}

#define CHOICES MODEL_CELLS

/* How sure a cell is of a thing, and of which class that is. */
static int32_t choice(int32_t number, int32_t *cell, int32_t *label)
{
    *cell = number;
    return best_of(number, label);
}

/* Whether none of the cells around is surer; of equals the first counts. */
static int is_kept(const model_thing *thing, int32_t cell, const model_thing *things, int32_t count)
{
    const int32_t row = cell / MODEL_OUTPUT_WIDTH, column = cell % MODEL_OUTPUT_WIDTH;
    int32_t label;
    const int32_t best = best_of(cell, &label);
    (void)thing, (void)things, (void)count;
    for (int32_t y = row - 1; y <= row + 1; y++)
        for (int32_t x = column - 1; x <= column + 1; x++) {
            const int32_t other = y * MODEL_OUTPUT_WIDTH + x;
            if (y < 0 || x < 0 || x >= MODEL_OUTPUT_WIDTH || other >= MODEL_CELLS || other == cell)
                continue;
            const int32_t beside = best_of(other, &label);
            if (beside > best || (beside == best && other < cell))
                return 0;
        }
    return 1;
}
"""
_BOXES = """\
#define CHOICES (MODEL_CELLS * MODEL_CLASSES)

/* How sure a cell is of a thing of a class. */
static int32_t choice(int32_t number, int32_t *cell, int32_t *label)
{
    *cell = number / MODEL_CLASSES, *label = number % MODEL_CLASSES;
    return model_output()[*cell * MODEL_VALUES + *label];
}

static int64_t length(int32_t low, int32_t high)
{
    return high > low ? high - low : 0;
}

static int32_t lower(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

static int64_t area(const model_thing *thing)
{
    return length(thing->left, thing->right) * length(thing->top, thing->bottom);
}

/* Whether two boxes have more than half in common. */
static int are_one(const model_thing *a, const model_thing *b)
{
    const int64_t shared = length(-lower(-a->left, -b->left), lower(a->right, b->right)) *
                           length(-lower(-a->top, -b->top), lower(a->bottom, b->bottom));
    return 2 * shared > area(a) + area(b) - shared;
}

/* Whether a box has a size, and is not one with a surer one of its class. */
static int is_kept(const model_thing *thing, int32_t cell, const model_thing *things, int32_t count)
{
    (void)cell;
    for (int32_t i = 0; i < count; i++)
        if (things[i].label == thing->label && are_one(thing, &things[i]))
            return 0;
    return area(thing) > 0;
}

/* Keeps each thing once, as the surest of its classes; returns how many are left. */
static int32_t named_once(model_thing *things, int32_t count)
{
    int32_t named = 0;
    for (int32_t i = 0; i < count; i++) {
        int is_new = 1;
        for (int32_t k = 0; k < named; k++)
            is_new = is_new && !are_one(&things[i], &things[k]);
        if (is_new)
            things[named++] = things[i];
    }
    return named;
}
"""
_CELL_EDGES = """\
    thing->left = column * UNITS, thing->right = thing->left + UNITS;
    thing->top = row * UNITS, thing->bottom = thing->top + UNITS;"""
_BOX_EDGES = """\
    const int8_t *edges = model_output() + cell * MODEL_VALUES + MODEL_CLASSES;
    const int32_t x = column * UNITS + UNITS / 2, y = row * UNITS + UNITS / 2;
    thing->left = within(x - units(edges[0]), MODEL_OUTPUT_WIDTH);
    thing->top = within(y - units(edges[1]), MODEL_OUTPUT_HEIGHT);
    thing->right = within(x + units(edges[2]), MODEL_OUTPUT_WIDTH);
    thing->bottom = within(y + units(edges[3]), MODEL_OUTPUT_HEIGHT);"""
_UNITS = """\
/* A distance in sixteenths of a pixel. The product is exact: sums round alike everywhere. */
static int32_t units(int8_t value)
{
    const float cells = real(value);
    return cells > 0.0f ? (int32_t)(cells * (float)UNITS + 0.5f) : 0;
}

static int32_t within(int32_t edge, int32_t cells)
{
    return edge < 0 ? 0 : edge > cells * UNITS ? cells * UNITS : edge;
}
"""


def things_answer(classes: int, decision: DecisionRecord | None, *, as_points: bool) -> CAnswer:
    """Return the C for maps of classes alone, or with the edges of boxes behind them."""
    threshold = float_literal(np.float32(0.0 if decision is None else decision.threshold))
    return CAnswer(
        usage=_USAGE,
        printed=_PRINTED,
        declared=_declared(classes, threshold, as_points=as_points),
        body=_body(as_points=as_points),
    )


def _declared(classes: int, threshold: str, *, as_points: bool) -> str:
    return f"""\
#define MODEL_CLASSES {classes}
#define MODEL_VALUES {classes + (0 if as_points else 4)} /* of each cell of the picture */
#define MODEL_MOST_THINGS {MOST_THINGS}
/* Logit from which on a thing counts; -DMODEL_THRESHOLD=... sets another. */
#ifndef MODEL_THRESHOLD
#define MODEL_THRESHOLD ({threshold})
#endif

typedef struct {{
    int32_t label; /* model_labels names it */
    float score;   /* logit; 1 / (1 + exp(-score)) is the probability */
    int32_t left, top, right, bottom; /* sixteenths of a pixel */
}} model_thing;

/* Writes the things that the last inference sees, the surest first, and returns how many. */
int32_t model_answer(model_thing things[MODEL_MOST_THINGS]);
"""


def _body(*, as_points: bool) -> str:
    return f"""\
#define MODEL_CELLS (MODEL_OUTPUT_WIDTH * MODEL_OUTPUT_HEIGHT)
#define UNITS {CELL_UNITS} /* sixteenths of a pixel in a cell */

static float real(int32_t value)
{{
    return MODEL_OUTPUT_SCALE * (float)(value - MODEL_OUTPUT_ZERO_POINT);
}}

{"" if as_points else _UNITS}
static void place(int32_t cell, model_thing *thing)
{{
    const int32_t row = cell / MODEL_OUTPUT_WIDTH, column = cell % MODEL_OUTPUT_WIDTH;
{_CELL_EDGES if as_points else _BOX_EDGES}
}}

{_POINTS if as_points else _BOXES}
int32_t model_answer(model_thing things[MODEL_MOST_THINGS])
{{
    int32_t count = 0, last = -1, last_best = 128;
    while (count < MODEL_MOST_THINGS) {{
        /* The surest of those that were not looked at; of equals the first. */
        int32_t next = -1, at = 0, best = -129;
        model_thing *thing = &things[count];
        for (int32_t i = 0; i < CHOICES; i++) {{
            int32_t cell, label;
            const int32_t value = choice(i, &cell, &label);
            const int is_past = value > last_best || (value == last_best && i <= last);
            if (!is_past && value > best)
                next = i, at = cell, best = value, thing->label = label;
        }}
        if (next < 0 || real(best) < MODEL_THRESHOLD)
            break;
        last = next, last_best = best;
        thing->score = real(best);
        place(at, thing);
        count += is_kept(thing, at, things, count);
    }}
    return {"count" if as_points else "named_once(things, count)"};
}}
"""
