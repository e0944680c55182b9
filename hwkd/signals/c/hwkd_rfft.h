/* Spectrum of real samples: radix 4 in place, halved at every level so that nothing overflows. */
#ifndef HWKD_RFFT_H
#define HWKD_RFFT_H

#include "hwkd_signal.h"

static void hwkd_bit_reverse(int32_t *x, int32_t points)
{
    for (int32_t i = 1, j = 0; i < points; ++i) {
        int32_t bit = points >> 1;
        for (; j & bit; bit >>= 1)
            j ^= bit;
        j ^= bit;
        if (i < j) {
            const int32_t re = x[2 * i], im = x[2 * i + 1];
            x[2 * i] = x[2 * j];
            x[2 * i + 1] = x[2 * j + 1];
            x[2 * j] = re;
            x[2 * j + 1] = im;
        }
    }
}

/* Four values that lie `apart` words apart, already turned; b, c and d halved. */
static inline void hwkd_butterfly(int32_t *x, int32_t apart, const int32_t *b, const int32_t *c,
                                  const int32_t *d)
{
    const int32_t ar = x[0] >> 1, ai = x[1] >> 1;
    const int32_t sr = ar + b[0], si = ai + b[1], tr = ar - b[0], ti = ai - b[1];
    const int32_t ur = c[0] + d[0], ui = c[1] + d[1], vr = c[0] - d[0], vi = c[1] - d[1];
    x[0] = (sr + ur) >> 1;
    x[1] = (si + ui) >> 1;
    x[apart] = (tr + vi) >> 1;
    x[apart + 1] = (ti - vr) >> 1;
    x[2 * apart] = (sr - ur) >> 1;
    x[2 * apart + 1] = (si - ui) >> 1;
    x[3 * apart] = (tr - vi) >> 1;
    x[3 * apart + 1] = (ti + vr) >> 1;
}

static inline void hwkd_turn(const int32_t *x, int32_t cosine, int32_t sine, int32_t *to)
{
    const int32_t re = x[0], im = x[1];
    to[0] = hwkd_mul16_add(im, sine, hwkd_mul16(re, cosine));
    to[1] = hwkd_mul16(im, cosine) - hwkd_mul16(re, sine);
}

static void hwkd_levels(int32_t *x, int32_t points, const int16_t *sine, int32_t size)
{
    const int16_t *cosine = sine + size / 4;
    int32_t b[2], c[2], d[2], quarter = 1;
    if ((points & 0x55555555) == 0) {
        for (int32_t i = 0; i < 2 * points; i += 4) {
            const int32_t re = x[i], im = x[i + 1];
            x[i] = (re + x[i + 2]) >> 1;
            x[i + 1] = (im + x[i + 3]) >> 1;
            x[i + 2] = (re - x[i + 2]) >> 1;
            x[i + 3] = (im - x[i + 3]) >> 1;
        }
        quarter = 2;
    }
    for (; quarter < points; quarter *= 4) {
        const int32_t apart = 2 * quarter, step = size / (4 * quarter);
        for (int32_t base = 0; base < 2 * points; base += 4 * apart) {
            int32_t *at = x + base;
            b[0] = at[apart] >> 1;
            b[1] = at[apart + 1] >> 1;
            c[0] = at[2 * apart] >> 1;
            c[1] = at[2 * apart + 1] >> 1;
            d[0] = at[3 * apart] >> 1;
            d[1] = at[3 * apart + 1] >> 1;
            hwkd_butterfly(at, apart, b, c, d);
        }
        for (int32_t k = 1; k < quarter; ++k) {
            const int32_t one = k * step, two = 2 * one, three = 3 * one;
            const int32_t c1 = cosine[one], s1 = sine[one], c2 = cosine[two], s2 = sine[two];
            const int32_t c3 = cosine[three], s3 = sine[three];
            for (int32_t base = 2 * k; base < 2 * points; base += 4 * apart) {
                int32_t *at = x + base;
                hwkd_turn(at + apart, c2, s2, b);
                hwkd_turn(at + 2 * apart, c1, s1, c);
                hwkd_turn(at + 3 * apart, c3, s3, d);
                hwkd_butterfly(at, apart, b, c, d);
            }
        }
    }
}

/* x: `size` samples within 2^29; becomes size / 2 + 1 pairs of real and imaginary part, of the
 * spectrum divided by `size`. sine: a turn in `size` steps of 1/32768. */
static void hwkd_rfft(int32_t *x, const int16_t *sine, int32_t size)
{
    const int16_t *cosine = sine + size / 4;
    const int32_t points = size / 2;
    hwkd_bit_reverse(x, points);
    hwkd_levels(x, points, sine, size);
    const int32_t re = x[0], im = x[1];
    for (int32_t k = 1; k <= points / 2; ++k) {
        int32_t *low = x + 2 * k, *high = x + 2 * (points - k);
        const int32_t er = ((low[0] + high[0]) >> 1) >> 1, ei = ((low[1] - high[1]) >> 1) >> 1;
        int32_t odd[2] = {(low[1] + high[1]) >> 1, (high[0] - low[0]) >> 1};
        hwkd_turn(odd, cosine[k], sine[k], odd);
        low[0] = er + odd[0];
        low[1] = ei + odd[1];
        high[0] = er - odd[0];
        high[1] = odd[1] - ei;
    }
    x[0] = (re + im) >> 1;
    x[1] = 0;
    x[size] = (re - im) >> 1;
    x[size + 1] = 0;
}

#endif
