/* Depthwise convolution: one filter per channel, dilation 1. */
#include "hwkd_kernels.h"

#if HWKD_DSP

#include "hwkd_dsp.h"

/* Works on four channels at a time. Their input rows are widened into planes, one per channel, so
 * that neighbouring pixels of one channel share a word; a ring keeps as many rows as the kernel is
 * high. Filters are widened into two phases: pairs that start at even and at odd pixels. */
enum { LANES = 4 };

typedef struct {
    int16_t *rows;      /* [kernel height][LANES][row_length] */
    uint32_t *filters;  /* [LANES][kernel height][odd pairs, then even pairs] */
    int32_t row_length; /* int16 values, even */
    int32_t even_pairs, odd_pairs;
} planes;

static uint32_t pair_of(int32_t low, int32_t high)
{
    return (uint32_t)(uint16_t)low | (uint32_t)high << 16;
}

static void widen_filters(const hwkd_grouped_conv *layer, int32_t channel, int32_t lanes, const planes *to)
{
    const int32_t width = layer->kernel_width;
    const int8_t *weights = layer->weights + channel * layer->kernel_height * width;
    uint32_t *filter = to->filters;
    for (int32_t row = lanes * layer->kernel_height; row > 0; row--, weights += width) {
        for (int32_t tap = -1; tap < width; tap += 2)
            *filter++ = pair_of(tap < 0 ? 0 : weights[tap], tap + 1 < width ? weights[tap + 1] : 0);
        for (int32_t tap = 0; tap < width; tap += 2)
            *filter++ = pair_of(weights[tap], tap + 1 < width ? weights[tap + 1] : 0);
    }
}

static void fill(int16_t *row, int32_t count, int16_t value)
{
    for (; count > 0; count--)
        *row++ = value;
}

/* Fewer than four channels, or a pixel that starts a word's upper half. */
static void widen_pixel(const int8_t *in, int32_t lanes, int16_t *row, int32_t row_length)
{
    for (int32_t lane = 0; lane < lanes; lane++, row += row_length)
        *row = in[lane];
}

/* One input row of `lanes` channels into its planes; the padding on both sides is there already. */
static void widen_row(const hwkd_grouped_conv *layer, const int8_t *in, int32_t y, int32_t lanes, int16_t *rows,
                      int32_t row_length)
{
    const int32_t step = layer->in_channels, width = layer->in_width;
    const int inside = y >= 0 && y < layer->in_height;
    int32_t x = 0;
    rows += layer->pad_left;
    if (!inside) {
        for (int32_t lane = 0; lane < lanes; lane++)
            fill(rows + lane * row_length, width, layer->in_zero);
        return;
    }
    in += y * width * step;
    if (lanes < LANES) {
        for (; x < width; x++, in += step)
            widen_pixel(in, lanes, rows + x, row_length);
        return;
    }
    if (layer->pad_left & 1) {
        widen_pixel(in, LANES, rows, row_length);
        in += step;
        x = 1;
    }
    uint32_t *p0 = (uint32_t *)(rows + x), *p1 = (uint32_t *)(rows + x + row_length);
    uint32_t *p2 = (uint32_t *)(rows + x + 2 * row_length), *p3 = (uint32_t *)(rows + x + 3 * row_length);
    for (; x + 1 < width; x += 2) {
        const uint32_t a = hwkd_load4(in), b = hwkd_load4(in + step);
        const uint32_t a02 = hwkd_even_bytes(a), a13 = hwkd_odd_bytes(a);
        const uint32_t b02 = hwkd_even_bytes(b), b13 = hwkd_odd_bytes(b);
        *p0++ = (a02 & 0xffffu) | b02 << 16;
        *p1++ = (a13 & 0xffffu) | b13 << 16;
        *p2++ = a02 >> 16 | (b02 & 0xffff0000u);
        *p3++ = a13 >> 16 | (b13 & 0xffff0000u);
        in += 2 * step;
    }
    if (x < width)
        widen_pixel(in, LANES, rows + x, row_length);
}

/* Three by three taps, stride 1: two neighbouring outputs per step.
 * filter words of a row: (0 w0) (w1 w2) (w0 w1) (w2 0); those in the middle are used. */
static void row_3x3_stride_1(const uint32_t *const rows[3], const uint32_t *filter, const hwkd_channel *channel,
                             int32_t zero, int32_t count, int8_t *out, int32_t out_step)
{
    const uint32_t *r0 = rows[0], *r1 = rows[1], *r2 = rows[2];
    for (;; count -= 2) {
        int32_t even = channel->bias, odd = even;
        uint32_t x0, x1, w0, w1;
#define HWKD_ROW(row, words)                            \
    "ldrd  %[w1], %[w0], [%[f], #" words "]\n\t"        \
    "ldrd  %[x0], %[x1], [" row "]\n\t"                 \
    "add   " row ", #4\n\t"                             \
    "smlad %[e], %[x0], %[w0], %[e]\n\t"                \
    "smlatb %[o], %[x0], %[w0], %[o]\n\t"               \
    "smlabt %[e], %[x1], %[w1], %[e]\n\t"               \
    "smlad %[o], %[x1], %[w1], %[o]\n\t"
        __asm__ volatile(HWKD_ROW("%[a]", "4") HWKD_ROW("%[b]", "20") HWKD_ROW("%[c]", "36")
                         : [e] "+r"(even), [o] "+r"(odd), [a] "+r"(r0), [b] "+r"(r1), [c] "+r"(r2),
                           [x0] "=&r"(x0), [x1] "=&r"(x1), [w0] "=&r"(w0), [w1] "=&r"(w1)
                         : [f] "r"(filter)
                         : "memory");
#undef HWKD_ROW
        out[0] = hwkd_requantise(even, channel, zero);
        if (count == 1)
            return;
        out[out_step] = hwkd_requantise(odd, channel, zero);
        if (count == 2)
            return;
        out += 2 * out_step;
    }
}

/* One output of any kernel; `x` is the first pixel of its window. */
static int32_t window_sum(const hwkd_grouped_conv *layer, const planes *from, int32_t lane, int32_t first_slot,
                          int32_t x, int32_t sum)
{
    const int32_t slots = layer->kernel_height, odd = x & 1;
    const int32_t pairs = odd ? from->odd_pairs : from->even_pairs;
    const int32_t row_pairs = from->even_pairs + from->odd_pairs;
    const uint32_t *filter = from->filters + lane * slots * row_pairs + (odd ? 0 : from->odd_pairs);
    int32_t slot = first_slot;
    for (int32_t ky = 0; ky < slots; ky++, filter += row_pairs) {
        const int16_t *row = from->rows + (slot * LANES + lane) * from->row_length;
        const uint32_t *pixels = (const uint32_t *)(row + (x - odd));
        for (int32_t pair = 0; pair < pairs; pair++)
            sum = hwkd_mac2(pixels[pair], filter[pair], sum);
        if (++slot == slots)
            slot = 0;
    }
    return sum;
}

static void output_row(const hwkd_grouped_conv *layer, const planes *from, int32_t lane, int32_t first_slot,
                       const hwkd_channel *channel, int8_t *out)
{
    if (layer->kernel_height == 3 && layer->kernel_width == 3 && layer->stride_width == 1) {
        const uint32_t *rows[3];
        for (int32_t ky = 0, slot = first_slot; ky < 3; ky++, slot = slot == 2 ? 0 : slot + 1)
            rows[ky] = (const uint32_t *)(from->rows + (slot * LANES + lane) * from->row_length);
        row_3x3_stride_1(rows, from->filters + lane * 12, channel, layer->out_zero, layer->out_width, out,
                         layer->out_channels);
        return;
    }
    for (int32_t out_x = 0; out_x < layer->out_width; out_x++, out += layer->out_channels) {
        const int32_t sum =
            window_sum(layer, from, lane, first_slot, out_x * layer->stride_width, channel->bias);
        *out = hwkd_requantise(sum, channel, layer->out_zero);
    }
}

void hwkd_run_depthwise(const hwkd_grouped_conv *layer, const int8_t *in, int8_t *out, void *scratch)
{
    const int32_t slots = layer->kernel_height, total = layer->out_channels;
    const int32_t span = (layer->out_width - 1) * layer->stride_width + layer->kernel_width;
    const int32_t padded = layer->pad_left + layer->in_width;
    planes work;
    work.row_length = ((span > padded ? span : padded) + 3) & ~1;
    work.even_pairs = (layer->kernel_width + 1) / 2;
    work.odd_pairs = layer->kernel_width / 2 + 1;
    work.rows = scratch;
    work.filters = (uint32_t *)(work.rows + slots * LANES * work.row_length);
    fill(work.rows, slots * LANES * work.row_length, layer->in_zero);
    for (int32_t channel = 0; channel < total; channel += LANES) {
        const int32_t lanes = total - channel < LANES ? total - channel : LANES;
        int32_t next_y = -layer->pad_top, slot = 0;
        widen_filters(layer, channel, lanes, &work);
        for (int32_t out_y = 0; out_y < layer->out_height; out_y++) {
            const int32_t end_y = out_y * layer->stride_height - layer->pad_top + slots;
            for (; next_y < end_y; next_y++) {
                widen_row(layer, in + channel, next_y, lanes, work.rows + slot * LANES * work.row_length,
                          work.row_length);
                if (++slot == slots)
                    slot = 0;
            }
            for (int32_t lane = 0; lane < lanes; lane++)
                output_row(layer, &work, lane, slot, &layer->channels[channel + lane],
                           out + out_y * layer->out_width * total + channel + lane);
        }
    }
}

#else

void hwkd_run_depthwise(const hwkd_grouped_conv *layer, const int8_t *in, int8_t *out, void *scratch)
{
    const int32_t channels = layer->in_channels, width = layer->kernel_width;
    const int32_t taps = layer->kernel_height * width;
    (void)scratch;
    for (int32_t out_y = 0; out_y < layer->out_height; out_y++)
        for (int32_t out_x = 0; out_x < layer->out_width; out_x++) {
            const int32_t y = out_y * layer->stride_height - layer->pad_top;
            const int32_t x = out_x * layer->stride_width - layer->pad_left;
            const int32_t top = y < 0 ? -y : 0, left = x < 0 ? -x : 0;
            const int32_t bottom = y + layer->kernel_height > layer->in_height ? layer->in_height - y : layer->kernel_height;
            const int32_t right = x + width > layer->in_width ? layer->in_width - x : width;
            const int whole = top == 0 && left == 0 && bottom == layer->kernel_height && right == width;
            for (int32_t channel = 0; channel < channels; channel++) {
                const int8_t *weights = layer->weights + channel * taps;
                const int8_t *from = in + (y * layer->in_width + x) * channels + channel;
                const int32_t zero = layer->in_zero;
                int32_t sum = layer->channels[channel].bias;
                for (int32_t ky = 0; ky < layer->kernel_height; ky++, from += layer->in_width * channels)
                    for (int32_t kx = 0; kx < width; kx++) {
                        const int inside = whole || (ky >= top && ky < bottom && kx >= left && kx < right);
                        sum += *weights++ * (inside ? from[kx * channels] : zero);
                    }
                *out++ = hwkd_requantise(sum, &layer->channels[channel], layer->out_zero);
            }
        }
}

#endif
