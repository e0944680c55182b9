/* Layer normalisation: each row to mean 0 and deviation 1, then a scale and a shift. */
#ifndef HWKD_LAYER_NORM_H
#define HWKD_LAYER_NORM_H

#include "hwkd_kernels.h"

typedef struct {
    int32_t rows, row_stride;
    int32_t length, stride;       /* elements of one row */
    const float *scales, *shifts; /* for each element of a row, in steps of the output */
    float epsilon;                /* of the variance in steps of the input, times length squared */
    int8_t out_zero;
} hwkd_layer_norm;

void hwkd_run_layer_norm(const hwkd_layer_norm *layer, const int8_t *in, int8_t *out);

#endif
