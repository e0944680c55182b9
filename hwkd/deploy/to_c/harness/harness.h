/* What hwkd's checks need from the machine that a network runs on. */
#ifndef HARNESS_H
#define HARNESS_H

#include <stdint.h>

enum { HARNESS_OUTPUTS = 0, HARNESS_TRACE = 1, HARNESS_STACK = 2 };

/* Reads one input; returns 0 when there is no other. */
int platform_read(void *to, uint32_t bytes);

/* Appends to one of the result files. */
void platform_write(int file, const void *from, uint32_t bytes);

/* A counter that runs upwards with the instructions executed. */
uint32_t platform_ticks(void);

/* Runs the network, with HARNESS_RAW from raw values, on a stack of its own. */
void platform_run_model(void);

#if defined(HARNESS_RAW) || defined(HARNESS_FRAMES)
void harness_run(void);
#else
#define harness_run model_run
#endif

/* Most bytes of that stack ever used. */
uint32_t platform_stack_bytes(void);

int harness_main(void);

#endif
