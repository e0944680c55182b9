/* Weights with a zero point other than 0: no other kernel takes them out. */
#ifndef HWKD_OFFSET_CONV_H
#define HWKD_OFFSET_CONV_H

#include "hwkd_kernels.h"

/* `weight_zeros` holds one for each output channel; weights as for hwkd_run_grouped_conv. */
void hwkd_run_offset_conv(const hwkd_grouped_conv *layer, const int32_t *weight_zeros, const int8_t *in, int8_t *out);

#endif
