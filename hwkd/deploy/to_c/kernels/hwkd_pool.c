/* Maximum and average over windows. */
#include "hwkd_kernels.h"

typedef struct {
    int32_t top, bottom, left, right; /* rows and columns inside the image, ends excluded */
} window;

static window window_at(const hwkd_pool *layer, int32_t out_y, int32_t out_x)
{
    window part;
    part.top = out_y * layer->stride_height - layer->pad_top;
    part.left = out_x * layer->stride_width - layer->pad_left;
    part.bottom = part.top + layer->kernel_height;
    part.right = part.left + layer->kernel_width;
    part.top = part.top < 0 ? 0 : part.top;
    part.left = part.left < 0 ? 0 : part.left;
    part.bottom = part.bottom > layer->in_height ? layer->in_height : part.bottom;
    part.right = part.right > layer->in_width ? layer->in_width : part.right;
    return part;
}

void hwkd_run_max_pool(const hwkd_pool *layer, const int8_t *in, int8_t *out)
{
    const int32_t channels = layer->channels;
    for (int32_t out_y = 0; out_y < layer->out_height; out_y++)
        for (int32_t out_x = 0; out_x < layer->out_width; out_x++, out += channels) {
            const window part = window_at(layer, out_y, out_x);
            memset(out, -128, (size_t)channels);
            for (int32_t y = part.top; y < part.bottom; y++)
                for (int32_t x = part.left; x < part.right; x++) {
                    const int8_t *from = in + (y * layer->in_width + x) * channels;
                    for (int32_t channel = 0; channel < channels; channel++)
                        out[channel] = from[channel] > out[channel] ? from[channel] : out[channel];
                }
        }
}

void hwkd_run_average_pool(const hwkd_pool *layer, const int8_t *in, int8_t *out)
{
    const int32_t channels = layer->channels;
    for (int32_t out_y = 0; out_y < layer->out_height; out_y++)
        for (int32_t out_x = 0; out_x < layer->out_width; out_x++) {
            const window part = window_at(layer, out_y, out_x);
            const int32_t inside = (part.bottom - part.top) * (part.right - part.left);
            const int32_t count = layer->counts_pads ? layer->kernel_height * layer->kernel_width : inside;
            for (int32_t channel = 0; channel < channels; channel++) {
                int32_t sum = -layer->in_zero * inside;
                for (int32_t y = part.top; y < part.bottom; y++) {
                    const int8_t *from = in + (y * layer->in_width + part.left) * channels + channel;
                    for (int32_t x = part.left; x < part.right; x++, from += channels)
                        sum += *from;
                }
                *out++ = hwkd_requantise(sum, &layer->scales[count - layer->first_count], layer->out_zero);
            }
        }
}
