/* Any convolution or fully connected layer whose weights have a zero point: the sum of (w - z) * x is
 * the sum of w * x less z times the sum of x. */
#include "hwkd_offset_conv.h"

void hwkd_run_offset_conv(const hwkd_grouped_conv *layer, const int32_t *weight_zeros, const int8_t *in, int8_t *out)
{
    const int32_t depth = layer->in_channels / layer->groups;
    const int32_t per_group = layer->out_channels / layer->groups;
    const int32_t taps = layer->kernel_height * layer->kernel_width;
    for (int32_t out_y = 0; out_y < layer->out_height; out_y++)
        for (int32_t out_x = 0; out_x < layer->out_width; out_x++)
            for (int32_t channel = 0; channel < layer->out_channels; channel++) {
                const int8_t *weights = layer->weights + channel * taps * depth;
                const int32_t first = channel / per_group * depth;
                int32_t sum = layer->channels[channel].bias, inputs = 0;
                for (int32_t ky = 0; ky < layer->kernel_height; ky++)
                    for (int32_t kx = 0; kx < layer->kernel_width; kx++, weights += depth) {
                        const int32_t y = out_y * layer->stride_height + ky * layer->dilation_height - layer->pad_top;
                        const int32_t x = out_x * layer->stride_width + kx * layer->dilation_width - layer->pad_left;
                        const int inside = y >= 0 && y < layer->in_height && x >= 0 && x < layer->in_width;
                        const int8_t *from = in + (y * layer->in_width + x) * layer->in_channels + first;
                        for (int32_t k = 0; k < depth; k++) {
                            const int32_t value = inside ? from[k] : layer->in_zero;
                            sum += weights[k] * value;
                            inputs += value;
                        }
                    }
                sum -= weight_zeros[channel] * inputs;
                *out++ = hwkd_requantise(sum, &layer->channels[channel], layer->out_zero);
            }
}
