/* Depthwise convolution: one filter per channel.
 *
 * Weights come in blocks of four channels, [block][tap][4], the last block filled up with zeros. A
 * table holds the distance of every tap from the pixel under the first one; where a window hangs
 * over the edge, the taps outside point to a pixel of padding. So the inner loops know nothing of
 * edges, strides or dilation.
 */
#include "hwkd_kernels.h"

#if HWKD_HELIUM
#include "hwkd_helium.h"
#elif HWKD_DSP
#include "hwkd_dsp.h"
#endif

/* Working memory, in this order: offsets, wide weights (DSP only), one pixel of padding. */
typedef struct {
    int32_t taps, blocks;
    int32_t *inner;   /* offsets of a window inside the image */
    int32_t *edge;    /* offsets of the current window at the edge */
    uint32_t *wide;   /* [block][tap][2] pairs of int16: channels 0 and 2, 1 and 3 */
    int8_t *padding;  /* a pixel whose channels are all the input's zero point */
} workspace;

static workspace prepare(const hwkd_grouped_conv *layer, void *scratch)
{
    workspace work;
    int32_t tap = 0;
    work.taps = layer->kernel_height * layer->kernel_width;
    work.blocks = (layer->in_channels + 3) / 4;
    work.inner = scratch;
    work.edge = work.inner + work.taps;
    work.wide = (uint32_t *)(work.edge + work.taps);
    for (int32_t ky = 0; ky < layer->kernel_height; ky++)
        for (int32_t kx = 0; kx < layer->kernel_width; kx++)
            work.inner[tap++] = (ky * layer->dilation_height * layer->in_width + kx * layer->dilation_width) * layer->in_channels;
#if HWKD_DSP
    work.padding = (int8_t *)hwkd_widen(layer->weights, work.blocks * work.taps * 4, work.wide, 1);
#else
    work.padding = (int8_t *)work.wide;
#endif
    memset(work.padding, layer->in_zero, (size_t)work.blocks * 4);
    return work;
}

/* Offsets of the window at (y, x) from `base`, which may lie outside the image. */
static const int32_t *window_offsets(const hwkd_grouped_conv *layer, const workspace *work, int32_t y, int32_t x,
                                     const int8_t *base)
{
    const int32_t last_y = y + (layer->kernel_height - 1) * layer->dilation_height;
    const int32_t last_x = x + (layer->kernel_width - 1) * layer->dilation_width;
    int32_t tap = 0;
    if (y >= 0 && x >= 0 && last_y < layer->in_height && last_x < layer->in_width)
        return work->inner;
    for (int32_t row = y; row <= last_y; row += layer->dilation_height)
        for (int32_t column = x; column <= last_x; column += layer->dilation_width, tap++) {
            const int inside = row >= 0 && row < layer->in_height && column >= 0 && column < layer->in_width;
            work->edge[tap] = inside ? work->inner[tap] : (int32_t)((intptr_t)work->padding - (intptr_t)base);
        }
    return work->edge;
}

#if HWKD_HELIUM

static void output_pixel(const hwkd_grouped_conv *layer, const workspace *work, const int8_t *pixel,
                         const int32_t *offsets, int8_t *out)
{
    const hwkd_channel *channel = layer->channels;
    const int8_t *weights = layer->weights;
    const int32_t taps = work->taps;
    for (int32_t left = layer->in_channels; left > 0; left -= 4, channel += 4, pixel += 4, out += 4) {
        const int32_t lanes = left < 4 ? left : 4;
        int32x4_t sums = hwkd_biases(channel, lanes);
        for (int32_t tap = 0; tap < taps; tap++, weights += 4)
            sums = vaddq_s32(sums, vmulq_s32(vldrbq_s32(pixel + offsets[tap]), vldrbq_s32(weights)));
        hwkd_store_channels(sums, channel, layer->out_zero, lanes, out);
    }
}

#elif HWKD_DSP

/* One tap of four channels. */
#define HWKD_TAP(offset)                      \
    "ldr   %[x], [%[p], " offset "]\n\t"      \
    "ldrd  %[u], %[v], [%[w]], #8\n\t"        \
    "sxtb16 %[y], %[x]\n\t"                   \
    "sxtb16 %[x], %[x], ror #8\n\t"           \
    "smlabb %[a], %[y], %[u], %[a]\n\t"       \
    "smlatt %[c], %[y], %[u], %[c]\n\t"       \
    "smlabb %[b], %[x], %[v], %[b]\n\t"       \
    "smlatt %[d], %[x], %[v], %[d]\n\t"
#define HWKD_TWO_TAPS "ldrd %[o], %[q], [%[t]], #8\n\t" HWKD_TAP("%[o]") HWKD_TAP("%[q]")
#define HWKD_LAST_TAP "ldr %[o], [%[t]], #4\n\t" HWKD_TAP("%[o]")

#define HWKD_TAP_OPERANDS                                                                              \
    [a] "+r"(a), [b] "+r"(b), [c] "+r"(c), [d] "+r"(d), [w] "+r"(weights), [t] "+r"(offsets),          \
        [x] "=&r"(x), [y] "=&r"(y), [u] "=&r"(u), [v] "=&r"(v), [o] "=&r"(o), [q] "=&r"(q)

static void output_pixel(const hwkd_grouped_conv *layer, const workspace *work, const int8_t *pixel,
                         const int32_t *first_offset, int8_t *out)
{
    const hwkd_channel *channel = layer->channels;
    const uint32_t *weights = work->wide;
    const int32_t taps = work->taps, zero = layer->out_zero;
    for (int32_t left = layer->in_channels; left > 0; left -= 4, channel += 4, pixel += 4, out += 4) {
        const int32_t *offsets = first_offset;
        int32_t a = channel[0].bias, b = 0, c = 0, d = 0, o, q;
        uint32_t x, y, u, v;
        if (left > 1)
            b = channel[1].bias;
        if (left > 2)
            c = channel[2].bias;
        if (left > 3)
            d = channel[3].bias;
        if (taps == 9)
            __asm__ volatile(HWKD_TWO_TAPS HWKD_TWO_TAPS HWKD_TWO_TAPS HWKD_TWO_TAPS HWKD_LAST_TAP
                             : HWKD_TAP_OPERANDS
                             : [p] "r"(pixel)
                             : "memory");
        else
            for (int32_t tap = taps; tap > 0; tap--)
                __asm__ volatile(HWKD_LAST_TAP : HWKD_TAP_OPERANDS : [p] "r"(pixel) : "memory");
        out[0] = hwkd_requantise(a, channel, zero);
        if (left > 1)
            out[1] = hwkd_requantise(b, channel + 1, zero);
        if (left > 2)
            out[2] = hwkd_requantise(c, channel + 2, zero);
        if (left > 3)
            out[3] = hwkd_requantise(d, channel + 3, zero);
    }
}

#else

static void output_pixel(const hwkd_grouped_conv *layer, const workspace *work, const int8_t *pixel,
                         const int32_t *offsets, int8_t *out)
{
    const hwkd_channel *channel = layer->channels;
    const int8_t *block = layer->weights;
    const int32_t taps = work->taps, zero = layer->out_zero;
    for (int32_t left = layer->in_channels; left > 0; left -= 4, block += 4 * taps) {
        const int32_t lanes = left < 4 ? left : 4;
        for (int32_t lane = 0; lane < lanes; lane++, pixel++, channel++) {
            const int8_t *weights = block + lane;
            int32_t sum = channel->bias;
            for (int32_t tap = 0; tap < taps; tap++, weights += 4)
                sum += *weights * pixel[offsets[tap]];
            *out++ = hwkd_requantise(sum, channel, zero);
        }
    }
}

#endif

void hwkd_run_depthwise(const hwkd_grouped_conv *layer, const int8_t *in, int8_t *out, void *scratch)
{
    const int32_t channels = layer->in_channels;
    const workspace work = prepare(layer, scratch);
    for (int32_t out_y = 0; out_y < layer->out_height; out_y++)
        for (int32_t out_x = 0; out_x < layer->out_width; out_x++, out += channels) {
            const int32_t y = out_y * layer->stride_height - layer->pad_top;
            const int32_t x = out_x * layer->stride_width - layer->pad_left;
            const int8_t *base = in + (y * layer->in_width + x) * channels;
            output_pixel(layer, &work, base, window_offsets(layer, &work, y, x, base), out);
        }
}
