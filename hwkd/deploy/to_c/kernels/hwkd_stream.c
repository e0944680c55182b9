/* What a network remembers from one run to the next: columns over time, and sums of them. */
#include "hwkd_kernels.h"

/* Moves the newest `kept` bytes to the front, over the `dropped` ones before them. */
void hwkd_run_keep(int8_t *columns, int32_t kept, int32_t dropped)
{
    memmove(columns, columns + dropped, (size_t)kept);
}

/* A sum is exact and what leaves it is what once came in, so it never drifts: rounded once, the mean
 * is that of all columns at once. */
void hwkd_run_running_mean(const hwkd_running_mean *layer, const int8_t *in, int8_t *out, void *memory)
{
    const int32_t channels = layer->channels;
    int32_t *sums = (int32_t *)memory, *oldest = sums + channels;
    int8_t *ring = (int8_t *)(oldest + 1);
    for (int32_t column = 0; column < layer->columns; column++) {
        int8_t *old = ring + *oldest * channels;
        for (int32_t channel = 0; channel < channels; channel++) {
            sums[channel] += in[channel] - old[channel];
            old[channel] = in[channel];
        }
        in += channels;
        *oldest = *oldest + 1 < layer->window ? *oldest + 1 : 0;
    }
    for (int32_t channel = 0; channel < channels; channel++)
        out[channel] = hwkd_requantise(sums[channel] - layer->in_zero * layer->window, &layer->scale, layer->out_zero);
}
