/* Resizing by straight lines between four neighbours. */
#ifndef HWKD_RESIZE_H
#define HWKD_RESIZE_H

#include "hwkd_kernels.h"

/* What one row or column of the output reads: two places of the input, in elements. */
typedef struct {
    int32_t low, high;
#if HWKD_ROUNDING != HWKD_ROUND_TFLITE
    float low_weight, high_weight;
#else
    int32_t high_weight; /* of 1024 for both */
#endif
} hwkd_taps;

typedef struct {
    const hwkd_taps *rows, *columns;
    int32_t out_height, out_width, channels;
    float in_scale, out_scale;
    int8_t in_zero, out_zero;
} hwkd_resize;

void hwkd_run_resize(const hwkd_resize *layer, const int8_t *in, int8_t *out);

#endif
