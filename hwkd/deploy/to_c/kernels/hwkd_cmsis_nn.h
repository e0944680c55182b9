/* Layers computed by Arm's CMSIS-NN (Apache-2.0, see CMSIS-NN-LICENSE.txt). */
#ifndef HWKD_CMSIS_NN_H
#define HWKD_CMSIS_NN_H

#include <stdint.h>

/* Weights plain: [out][kernel h][kernel w][in], depthwise [kernel h][kernel w][out]. */
typedef struct {
    const int8_t *weights;
    const int32_t *bias, *multipliers, *shifts;
    int32_t in_height, in_width, in_channels;
    int32_t out_height, out_width, out_channels;
    int32_t kernel_height, kernel_width;
    int32_t stride_height, stride_width;
    int32_t dilation_height, dilation_width;
    int32_t pad_top, pad_left;
    int32_t in_zero, out_zero;
    int32_t scratch_bytes;
} hwkd_cmsis_layer;

void hwkd_run_cmsis_conv(const hwkd_cmsis_layer *layer, const int8_t *in, int8_t *out, void *scratch);
void hwkd_run_cmsis_depthwise(const hwkd_cmsis_layer *layer, const int8_t *in, int8_t *out, void *scratch);
void hwkd_run_cmsis_fully_connected(const hwkd_cmsis_layer *layer, const int8_t *in, int8_t *out, void *scratch);

#endif
