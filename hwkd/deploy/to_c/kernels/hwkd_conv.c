/* Convolution with groups == 1: gathers the inputs of a few output pixels, then multiplies.
 *
 * A gathered pixel lists its inputs as [kernel row][kernel column][channel], padded to `depth`.
 */
#include "hwkd_dense.h"

/* Bytes of one output pixel's inputs; padding is the input's zero point. */
static void gather(const hwkd_conv *layer, const int8_t *in, int32_t out_y, int32_t out_x, int8_t *to)
{
    const int32_t channels = layer->in_channels, width = layer->in_width;
    const int32_t first_y = out_y * layer->stride_height - layer->pad_top;
    const int32_t first_x = out_x * layer->stride_width - layer->pad_left;
    const int32_t row_bytes = layer->kernel_width * channels;
    const int32_t last_x = first_x + (layer->kernel_width - 1) * layer->dilation_width;
    const int whole_rows = layer->dilation_width == 1 && first_x >= 0 && last_x < width;
    for (int32_t ky = 0; ky < layer->kernel_height; ky++) {
        const int32_t y = first_y + ky * layer->dilation_height;
        if (y < 0 || y >= layer->in_height) {
            memset(to, layer->in_zero, (size_t)row_bytes);
            to += row_bytes;
            continue;
        }
        if (whole_rows) {
            memcpy(to, in + (y * width + first_x) * channels, (size_t)row_bytes);
            to += row_bytes;
            continue;
        }
        for (int32_t kx = 0; kx < layer->kernel_width; kx++, to += channels) {
            const int32_t x = first_x + kx * layer->dilation_width;
            if (x < 0 || x >= width)
                memset(to, layer->in_zero, (size_t)channels);
            else
                memcpy(to, in + (y * width + x) * channels, (size_t)channels);
        }
    }
}

#if HWKD_HELIUM

void hwkd_run_conv(const hwkd_conv *layer, const int8_t *in, int8_t *out, void *scratch)
{
    const int32_t total = layer->out_height * layer->out_width, depth = hwkd_vector_depth(layer);
    const int32_t inputs = layer->kernel_height * layer->kernel_width * layer->in_channels;
    int8_t *pixels = scratch, *bytes = pixels + 4 * depth;
    int32_t y = 0, x = 0;
    for (int32_t left = total; left > 0; left -= 4, out += 4 * layer->out_channels) {
        const int32_t count = left < 4 ? left : 4;
        for (int32_t lane = 0; lane < count; lane++) {
            gather(layer, in, y, x, bytes);
            hwkd_reorder(bytes, inputs, pixels + lane * depth);
            if (++x == layer->out_width)
                x = 0, y++;
        }
        hwkd_dense_4(layer, pixels, out, count);
    }
}

#elif HWKD_DSP

static uint32_t *fill(uint32_t pair, int32_t bytes, uint32_t *to, int32_t step)
{
    for (; bytes > 0; bytes -= 4, to += 2 * step) {
        to[0] = pair;
        to[step] = pair;
    }
    return to;
}

/* As `gather`, widened at once; channels (or the whole rows) must be multiples of 4. */
static void gather_wide(const hwkd_conv *layer, const int8_t *in, int32_t out_y, int32_t out_x, uint32_t *to,
                        int32_t step)
{
    const int32_t channels = layer->in_channels, width = layer->in_width;
    const int32_t first_y = out_y * layer->stride_height - layer->pad_top;
    const int32_t first_x = out_x * layer->stride_width - layer->pad_left;
    const int32_t end_x = first_x + layer->kernel_width;
    const int32_t before = first_x < 0 ? -first_x : 0;
    const int32_t after = end_x > width ? end_x - width : 0;
    const int32_t inside = (layer->kernel_width - before - after) * channels;
    const uint32_t zero = (uint16_t)(int16_t)layer->in_zero;
    const uint32_t pair = zero << 16 | zero;
    for (int32_t ky = 0; ky < layer->kernel_height; ky++) {
        const int32_t y = first_y + ky;
        if (y < 0 || y >= layer->in_height || inside <= 0) {
            to = fill(pair, layer->kernel_width * channels, to, step);
            continue;
        }
        to = fill(pair, before * channels, to, step);
        to = hwkd_widen(in + (y * width + first_x + before) * channels, inside, to, step);
        to = fill(pair, after * channels, to, step);
    }
}

/* One output pixel's inputs as words of two int16, `step` words apart. */
static void collect(const hwkd_conv *layer, const int8_t *in, int32_t pixel, uint32_t *to, int32_t step,
                    int8_t *bytes)
{
    const int32_t out_y = pixel / layer->out_width, out_x = pixel - out_y * layer->out_width;
    if ((layer->in_channels & 3) == 0 && layer->dilation_width == 1 && layer->dilation_height == 1) {
        gather_wide(layer, in, out_y, out_x, to, step);
        return;
    }
    gather(layer, in, out_y, out_x, bytes);
    hwkd_widen(bytes, layer->depth, to, step);
}

void hwkd_run_conv(const hwkd_conv *layer, const int8_t *in, int8_t *out, void *scratch)
{
    const int32_t out_step = layer->out_channels, total = layer->out_height * layer->out_width;
    uint32_t *pixels = scratch;
    int8_t *bytes = (int8_t *)(pixels + 2 * layer->depth);
    int32_t pixel = 0;
    while (total - pixel > 2) {
        const int32_t count = total - pixel < 4 ? total - pixel : 4;
        for (int32_t lane = 0; lane < 4; lane++)
            collect(layer, in, pixel + (lane < count ? lane : 0), pixels + lane, 4, bytes);
        hwkd_dense_4(layer, pixels, out, count);
        out += count * out_step;
        pixel += count;
    }
    for (; pixel < total; pixel++, out += out_step) {
        collect(layer, in, pixel, pixels, 1, bytes);
        hwkd_dense_1(layer, pixels, out);
    }
}

#else

void hwkd_run_conv(const hwkd_conv *layer, const int8_t *in, int8_t *out, void *scratch)
{
    const int32_t out_step = layer->out_channels, total = layer->out_height * layer->out_width;
    int8_t *first = scratch, *second = first + layer->depth;
    int32_t pixel = 0, y = 0, x = 0;
    while (pixel < total) {
        gather(layer, in, y, x, first);
        if (++x == layer->out_width)
            x = 0, y++;
        if (pixel + 1 == total) {
            hwkd_dense_1(layer, first, out);
            return;
        }
        gather(layer, in, y, x, second);
        if (++x == layer->out_width)
            x = 0, y++;
        hwkd_dense_2(layer, first, second, out, out + out_step);
        out += 2 * out_step;
        pixel += 2;
    }
}

#endif
