/* Transposed convolution: each input is spread over a window of outputs. */
#ifndef HWKD_TRANSPOSED_CONV_H
#define HWKD_TRANSPOSED_CONV_H

#include "hwkd_kernels.h"

/* Weights as for hwkd_run_grouped_conv; biases without the input's zero point; pads are cut off. */
void hwkd_run_transposed_conv(const hwkd_grouped_conv *layer, const int8_t *in, int8_t *out);

#endif
