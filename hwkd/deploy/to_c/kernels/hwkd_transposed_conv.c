/* Transposed convolution, output by output: of a window only every stride-th row and column meets an
 * input, and which do depends on the place. */
#include "hwkd_transposed_conv.h"

void hwkd_run_transposed_conv(const hwkd_grouped_conv *layer, const int8_t *in, int8_t *out)
{
    const int32_t depth = layer->in_channels, in_zero = layer->in_zero;
    const int32_t down = layer->stride_height, right = layer->stride_width;
    const int32_t kernel_width = layer->kernel_width, window = layer->kernel_height * kernel_width * depth;
    for (int32_t out_y = layer->pad_top; out_y < layer->out_height + layer->pad_top; out_y++)
        for (int32_t out_x = layer->pad_left; out_x < layer->out_width + layer->pad_left; out_x++)
            for (int32_t channel = 0; channel < layer->out_channels; channel++) {
                const int8_t *weights = layer->weights + channel * window;
                int32_t sum = layer->channels[channel].bias;
                for (int32_t ky = out_y % down; ky < layer->kernel_height && ky <= out_y; ky += down) {
                    const int32_t y = (out_y - ky) / down;
                    if (y >= layer->in_height)
                        continue;
                    for (int32_t kx = out_x % right; kx < kernel_width && kx <= out_x; kx += right) {
                        const int32_t x = (out_x - kx) / right;
                        const int8_t *w = weights + (ky * kernel_width + kx) * depth;
                        const int8_t *from = in + (y * layer->in_width + x) * depth;
                        if (x < layer->in_width)
                            for (int32_t k = 0; k < depth; k++)
                                sum += w[k] * (from[k] - in_zero);
                    }
                }
                *out++ = hwkd_requantise(sum, &layer->channels[channel], layer->out_zero);
            }
}
