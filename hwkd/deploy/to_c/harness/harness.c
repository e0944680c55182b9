/* Feeds every input to the network and records outputs, ticks and, with MODEL_TRACE, each step. */
#include "harness.h"

#include "model.h"

/* Library calls would put library code into the memory that the network is charged for. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("no-tree-loop-distribute-patterns")
#endif

#ifdef MODEL_TRACE

enum { CALIBRATION = -1 };

static uint32_t last_ticks;
static uint32_t overhead_ticks;

void model_after_step(int32_t step, const int8_t *output, int32_t bytes);

__attribute__((noinline)) void model_after_step(int32_t step, const int8_t *output, int32_t bytes)
{
    const uint32_t ticks = platform_ticks() - last_ticks;
    if (step == CALIBRATION) {
        overhead_ticks = ticks;
    } else {
        const uint32_t own = ticks - overhead_ticks;
        platform_write(HARNESS_TRACE, &own, sizeof own);
        platform_write(HARNESS_TRACE, output, (uint32_t)bytes);
    }
    last_ticks = platform_ticks();
}

/* The second call finds nothing but the hook's own cost since the first. */
static void start_clock(void)
{
    model_after_step(CALIBRATION, 0, 0);
    model_after_step(CALIBRATION, 0, 0);
}

#else

static void start_clock(void)
{
}

#endif

#ifdef HARNESS_FRAMES

static HARNESS_FRAMES input[HARNESS_FRAME_VALUES];

void harness_run(void)
{
#ifdef HARNESS_RAW
    model_run_frame(input, MODEL_FRAME_LENGTH);
#else
    model_push(input);
#endif
}

static void load_input(void)
{
}

#elif defined(HARNESS_RAW)

static HARNESS_RAW input[MODEL_RAW_VALUES];

void harness_run(void)
{
    model_run_raw(input);
}

static void load_input(void)
{
}

#else

static int8_t input[MODEL_INPUT_BYTES];

static void load_input(void)
{
    int8_t *to = model_input();
    for (uint32_t i = 0; i < sizeof input; i++)
        to[i] = input[i];
}

#endif

int harness_main(void)
{
    uint32_t empty, stack;
    model_init();
    while (platform_read(input, sizeof input)) {
        load_input();
        start_clock();
        const uint32_t before = platform_ticks();
        empty = platform_ticks() - before;
        const uint32_t start = platform_ticks();
        platform_run_model();
        const uint32_t ticks = platform_ticks() - start - empty;
#ifdef MODEL_OUTPUT_COUNT
        for (int32_t i = 0; i < MODEL_OUTPUT_COUNT; i++)
            platform_write(HARNESS_OUTPUTS, model_output_at(i), (uint32_t)model_output_bytes[i]);
#else
        platform_write(HARNESS_OUTPUTS, model_output(), MODEL_OUTPUT_BYTES);
#endif
        platform_write(HARNESS_OUTPUTS, &ticks, sizeof ticks);
    }
    stack = platform_stack_bytes();
    platform_write(HARNESS_STACK, &stack, sizeof stack);
    return 0;
}
