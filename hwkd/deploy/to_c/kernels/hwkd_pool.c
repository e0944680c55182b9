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

/* The sum is exact and rounded once, so every core gives the same value. ONNX Runtime sums floats, in
 * an order that differs between processors: near a tie it may give the neighbouring step. */
static int8_t window_average(const hwkd_pool *layer, const int8_t *in, window part, int32_t count)
{
    int32_t sum = -layer->in_zero * (part.bottom - part.top) * (part.right - part.left);
#if HWKD_ROUNDING == HWKD_ROUND_TFLITE
    const int32_t zeros = layer->in_zero * count; /* TensorFlow Lite rounds with the zero point inside */
#endif
    for (int32_t y = part.top; y < part.bottom; y++) {
        const int8_t *from = in + (y * layer->in_width + part.left) * layer->channels;
        for (int32_t x = part.left; x < part.right; x++, from += layer->channels)
            sum += *from;
    }
#if HWKD_ROUNDING == HWKD_ROUND_TFLITE
    if (layer->scales == 0) /* input and output have the same scale */
        return (int8_t)((sum + zeros + (sum + zeros > 0 ? count / 2 : -(count / 2))) / count);
#endif
    return hwkd_requantise(sum, &layer->scales[count - layer->first_count], layer->out_zero);
}

void hwkd_run_average_pool(const hwkd_pool *layer, const int8_t *in, int8_t *out)
{
    for (int32_t out_y = 0; out_y < layer->out_height; out_y++)
        for (int32_t out_x = 0; out_x < layer->out_width; out_x++) {
            const window part = window_at(layer, out_y, out_x);
            const int32_t inside = (part.bottom - part.top) * (part.right - part.left);
            const int32_t count = layer->counts_pads ? layer->kernel_height * layer->kernel_width : inside;
            for (int32_t channel = 0; channel < layer->channels; channel++)
                *out++ = window_average(layer, in + channel, part, count);
        }
}

void hwkd_run_global_average(const hwkd_pool *layer, const int8_t *in, int8_t *out)
{
    const int32_t channels = layer->channels, pixels = layer->in_height * layer->in_width;
    for (int32_t channel = 0; channel < channels; channel++) {
        const int8_t *from = in + channel;
        int32_t sum = -layer->in_zero * pixels;
        for (int32_t pixel = pixels; pixel > 0; pixel--, from += channels)
            sum += *from;
        out[channel] = hwkd_requantise(sum, layer->scales, layer->out_zero);
    }
}
