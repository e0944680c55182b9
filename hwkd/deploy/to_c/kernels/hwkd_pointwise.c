/* 1x1 convolution of stride 1, and fully connected layers as its special case of one pixel.
 *
 * Inputs are read in groups of 4 bytes; the last group of a pixel may reach into the bytes behind
 * it, whose weights are zero. The arena ends in slack for the last pixel.
 */
#include "hwkd_dense.h"

#if HWKD_HELIUM

void hwkd_run_pointwise(const hwkd_conv *layer, const int8_t *in, int8_t *out, void *scratch)
{
    const int32_t in_step = layer->in_channels, out_step = layer->out_channels, depth = hwkd_vector_depth(layer);
    int8_t *pixels = scratch;
    for (int32_t left = layer->out_height * layer->out_width; left > 0; left -= 4, out += 4 * out_step) {
        const int32_t count = left < 4 ? left : 4;
        for (int32_t lane = 0; lane < count; lane++, in += in_step)
            hwkd_reorder(in, in_step, pixels + lane * depth);
        if (count == 1)
            hwkd_dense_1(layer, pixels, out);
        else
            hwkd_dense_4(layer, pixels, out, count);
    }
}

#elif HWKD_DSP

void hwkd_run_pointwise(const hwkd_conv *layer, const int8_t *in, int8_t *out, void *scratch)
{
    const int32_t depth = layer->depth, in_step = layer->in_channels, out_step = layer->out_channels;
    uint32_t *pixels = scratch;
    int32_t left = layer->out_height * layer->out_width;
    for (; left > 2; left -= 4) {
        const int32_t count = left < 4 ? left : 4;
        for (int32_t lane = 0; lane < 4; lane++) {
            hwkd_widen(in, depth, pixels + lane, 4);
            if (lane + 1 < count)
                in += in_step;
        }
        in += in_step;
        hwkd_dense_4(layer, pixels, out, count);
        out += count * out_step;
    }
    for (; left > 0; left--, in += in_step, out += out_step) {
        hwkd_widen(in, depth, pixels, 1);
        hwkd_dense_1(layer, pixels, out);
    }
}

#else

void hwkd_run_pointwise(const hwkd_conv *layer, const int8_t *in, int8_t *out, void *scratch)
{
    const int32_t in_step = layer->in_channels, out_step = layer->out_channels;
    int32_t left = layer->out_height * layer->out_width;
    (void)scratch;
    for (; left > 1; left -= 2, in += 2 * in_step, out += 2 * out_step)
        hwkd_dense_2(layer, in, in + in_step, out, out + out_step);
    if (left > 0)
        hwkd_dense_1(layer, in, out);
}

#endif
