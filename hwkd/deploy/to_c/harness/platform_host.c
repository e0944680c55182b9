/* The computer that hwkd runs on: files in the current folder, no counter. */
#include <stdio.h>

#include "harness.h"
#include "model.h"

static FILE *results[3];
static FILE *inputs;

int platform_read(void *to, uint32_t bytes)
{
    return fread(to, 1, bytes, inputs) == bytes;
}

void platform_write(int file, const void *from, uint32_t bytes)
{
    fwrite(from, 1, bytes, results[file]);
}

uint32_t platform_ticks(void)
{
    return 0;
}

void platform_run_model(void)
{
    harness_run();
}

uint32_t platform_stack_bytes(void)
{
    return 0;
}

int main(void)
{
    inputs = fopen("inputs.bin", "rb");
    results[HARNESS_OUTPUTS] = fopen("outputs.bin", "wb");
    results[HARNESS_TRACE] = fopen("trace.bin", "wb");
    results[HARNESS_STACK] = fopen("stack.bin", "wb");
    if (!inputs || !results[0] || !results[1] || !results[2])
        return 1;
    harness_main();
    for (int file = 0; file < 3; file++)
        if (fclose(results[file]))
            return 1;
    return 0;
}
