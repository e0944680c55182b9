/* Products of gathered pixels with packed weights, shared by the dense kernels. */
#ifndef HWKD_DENSE_H
#define HWKD_DENSE_H

#include "hwkd_kernels.h"

#if HWKD_HELIUM

#include "hwkd_helium.h"

#elif HWKD_DSP

#include "hwkd_dsp.h"

/* Four pixels, interleaved words of two int16, to four output pixels. Only the first `count` are
 * written. The dot product needs the register that -fno-omit-frame-pointer would take. */
#if defined(__GNUC__) && !defined(__clang__)
#define HWKD_OWN_FRAME __attribute__((noinline, unused, optimize("omit-frame-pointer")))
#else
#define HWKD_OWN_FRAME __attribute__((noinline, unused))
#endif
HWKD_OWN_FRAME static void hwkd_dense_4(const hwkd_conv *layer, const uint32_t *pixels, int8_t *out, int32_t count)
{
    const int8_t *weights = layer->weights;
    const hwkd_channel *channel = layer->channels;
    const int32_t zero = layer->out_zero, step = layer->out_channels;
    const uint32_t *end = pixels + 2 * layer->depth;
    const uint32_t *wide_end = pixels + 2 * (layer->depth & ~15);
    for (int32_t left = step; left > 0; left -= 2, channel += 2, out += 2) {
        const hwkd_channel *other = left > 1 ? channel + 1 : channel;
        int32_t a0 = channel->bias, a1 = a0, a2 = a0, a3 = a0;
        int32_t b0 = other->bias, b1 = b0, b2 = b0, b3 = b0;
        const uint32_t *x = pixels;
        HWKD_DOT_2X4(a0, a1, a2, a3, b0, b1, b2, b3, weights, x, wide_end, end);
        out[0] = hwkd_requantise(a0, channel, zero);
        if (count > 1)
            out[step] = hwkd_requantise(a1, channel, zero);
        if (count > 2)
            out[2 * step] = hwkd_requantise(a2, channel, zero);
        if (count > 3)
            out[3 * step] = hwkd_requantise(a3, channel, zero);
        if (left == 1)
            break;
        out[1] = hwkd_requantise(b0, other, zero);
        if (count > 1)
            out[step + 1] = hwkd_requantise(b1, other, zero);
        if (count > 2)
            out[2 * step + 1] = hwkd_requantise(b2, other, zero);
        if (count > 3)
            out[3 * step + 1] = hwkd_requantise(b3, other, zero);
    }
}

/* One pixel, words of two int16, to one output pixel. */
static inline void hwkd_dense_1(const hwkd_conv *layer, const uint32_t *pixel, int8_t *out)
{
    const int8_t *weights = layer->weights;
    const hwkd_channel *channel = layer->channels;
    const int32_t zero = layer->out_zero, groups = layer->depth / 4, pair_bytes = 2 * layer->depth;
    int32_t left = layer->out_channels;
    for (; left >= 4; left -= 4, channel += 4, out += 4) {
        int32_t sums[4] = {channel[0].bias, channel[1].bias, channel[2].bias, channel[3].bias};
        weights = hwkd_dot_4x1(weights, weights + pair_bytes, pixel, groups, sums);
        out[0] = hwkd_requantise(sums[0], channel, zero);
        out[1] = hwkd_requantise(sums[1], channel + 1, zero);
        out[2] = hwkd_requantise(sums[2], channel + 2, zero);
        out[3] = hwkd_requantise(sums[3], channel + 3, zero);
    }
    for (; left > 0; left -= 2, channel += 2, out += 2, weights += pair_bytes) {
        int32_t sums[2] = {channel[0].bias, left > 1 ? channel[1].bias : 0};
        hwkd_dot_2x1(weights, pixel, groups, sums);
        out[0] = hwkd_requantise(sums[0], channel, zero);
        if (left > 1)
            out[1] = hwkd_requantise(sums[1], channel + 1, zero);
    }
}

#else

/* Two pixels of `depth` bytes to two output pixels; the second may equal the first. */
static inline void hwkd_dense_2(const hwkd_conv *layer, const int8_t *p, const int8_t *q, int8_t *out,
                                int8_t *out_next)
{
    const int8_t *w = layer->weights;
    const hwkd_channel *channel = layer->channels;
    const int32_t zero = layer->out_zero, groups = layer->depth / 4;
    for (int32_t left = layer->out_channels; left > 0; left -= 2, channel += 2, out += 2, out_next += 2) {
        const hwkd_channel *other = left > 1 ? channel + 1 : channel;
        int32_t ap = channel->bias, aq = ap, bp = other->bias, bq = bp;
        const int8_t *x = p, *y = q;
        for (int32_t group = groups; group > 0; group--, w += 8, x += 4, y += 4) {
            ap += w[0] * x[0] + w[2] * x[2] + w[4] * x[1] + w[6] * x[3];
            bp += w[1] * x[0] + w[3] * x[2] + w[5] * x[1] + w[7] * x[3];
            aq += w[0] * y[0] + w[2] * y[2] + w[4] * y[1] + w[6] * y[3];
            bq += w[1] * y[0] + w[3] * y[2] + w[5] * y[1] + w[7] * y[3];
        }
        out[0] = hwkd_requantise(ap, channel, zero);
        out_next[0] = hwkd_requantise(aq, channel, zero);
        if (left > 1) {
            out[1] = hwkd_requantise(bp, other, zero);
            out_next[1] = hwkd_requantise(bq, other, zero);
        }
    }
}

/* One pixel of `depth` bytes to one output pixel. */
static inline void hwkd_dense_1(const hwkd_conv *layer, const int8_t *pixel, int8_t *out)
{
    const int8_t *w = layer->weights;
    const hwkd_channel *channel = layer->channels;
    const int32_t zero = layer->out_zero, groups = layer->depth / 4;
    for (int32_t left = layer->out_channels; left > 0; left -= 2, channel += 2, out += 2) {
        int32_t a = channel[0].bias, b = left > 1 ? channel[1].bias : 0;
        const int8_t *x = pixel;
        for (int32_t group = groups; group > 0; group--, w += 8, x += 4) {
            a += w[0] * x[0] + w[2] * x[2] + w[4] * x[1] + w[6] * x[3];
            b += w[1] * x[0] + w[3] * x[2] + w[5] * x[1] + w[7] * x[3];
        }
        out[0] = hwkd_requantise(a, channel, zero);
        if (left > 1)
            out[1] = hwkd_requantise(b, channel + 1, zero);
    }
}

#endif
#endif
