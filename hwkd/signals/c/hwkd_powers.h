/* Powers of a frame's frequencies: what fades, transforms and squares one after another, in two passes fewer. */
#ifndef HWKD_POWERS_H
#define HWKD_POWERS_H

#include "hwkd_rfft.h"

/* Two samples that lie side by side, times a window in steps of 1/32768, halved `halvings` times. */
static inline hwkd_complex hwkd_faded(const int16_t *from, const int16_t *window, int32_t pair, int32_t halvings)
{
#if defined(HWKD_HAS_THUMB_DSP)
    /* In one word; these cores read words from anywhere. */
    uint32_t a, w;
    memcpy(&a, from + 2 * pair, sizeof a);
    memcpy(&w, window + 2 * pair, sizeof w);
    const hwkd_complex result = {((int16_t)a * (int16_t)w) >> halvings,
                                 ((int32_t)a >> 16) * ((int32_t)w >> 16) >> halvings};
#else
    const hwkd_complex result = {((int32_t)from[2 * pair] * window[2 * pair]) >> halvings,
                                 ((int32_t)from[2 * pair + 1] * window[2 * pair + 1]) >> halvings};
#endif
    return result;
}

/* The first level of a transform of `length` faded samples, which are even and more than half of what `points`
 * complex numbers hold; zeros follow them. */
HWKD_OWN_REGISTERS static void hwkd_first_level(const int16_t *from, const int16_t *window, int32_t length,
                                                hwkd_complex *x, int32_t points)
{
    const int32_t pairs = length / 2, half = points / 2, quarter = points / 4;
    const hwkd_complex zero = {0, 0};
    uint32_t j = 0;
    if (hwkd_has_pairs(points)) {
        for (int32_t i = 0; i < half; ++i) {
            const hwkd_complex b = half + i < pairs ? hwkd_faded(from, window, half + i, 1) : zero;
            hwkd_pair(x + 2 * j, hwkd_faded(from, window, i, 1), b);
            j = hwkd_reversed((uint32_t)i + 1u, j, (uint32_t)half);
        }
        return;
    }
    for (int32_t i = 0; i < quarter; ++i) {
        const hwkd_complex c = hwkd_faded(from, window, quarter + i, 2);
        const hwkd_complex d = 3 * quarter + i < pairs ? hwkd_faded(from, window, 3 * quarter + i, 2) : zero;
        const int32_t ur = c.re + d.re, ui = c.im + d.im, vr = c.re - d.re, vi = c.im - d.im;
        const hwkd_complex a = hwkd_faded(from, window, i, 2);
        const hwkd_complex b = half + i < pairs ? hwkd_faded(from, window, half + i, 2) : zero;
        const int32_t sr = b.re + a.re, si = b.im + a.im, tr = a.re - b.re, ti = a.im - b.im;
        hwkd_complex *to = x + 4 * j;
        j = hwkd_reversed((uint32_t)i + 1u, j, (uint32_t)quarter);
        to[0].re = (sr + ur) >> 1;
        to[0].im = (si + ui) >> 1;
        to[1].re = (tr + vi) >> 1;
        to[1].im = (ti - vr) >> 1;
        to[2].re = (sr - ur) >> 1;
        to[2].im = (si - ui) >> 1;
        to[3].re = (tr - vi) >> 1;
        to[3].im = (ti + vr) >> 1;
    }
}

static inline void hwkd_store_power(hwkd_complex *to, int32_t re, int32_t im, int32_t shift)
{
    const int32_t a = re >> shift, b = im >> shift;
    hwkd_store64((int32_t *)to, (uint64_t)((int64_t)a * a + (int64_t)b * b));
}

/* x: transformed pairs of real values; becomes points + 1 powers, of 64 bits, of parts without their last `shift`
 * bits. */
HWKD_OWN_REGISTERS static void hwkd_powers(hwkd_complex *x, int32_t points, const int16_t *sine, int32_t shift)
{
    const int16_t *cosine = sine + points / 2;
    const int32_t re = x[0].re, im = x[0].im;
    hwkd_complex *high = x + points;
    for (int32_t k = 1; k <= points / 2; ++k) {
        hwkd_complex *low = x + k;
        --high;
        const hwkd_complex a = *low, b = *high;
        const int32_t er = (a.re + b.re) >> 2, ei = (a.im - b.im) >> 2;
        const hwkd_complex half = {(a.im + b.im) >> 1, (b.re - a.re) >> 1};
        const hwkd_complex odd = hwkd_turned(half, hwkd_factor_of(cosine[k], sine[k]));
        hwkd_store_power(low, er + odd.re, ei + odd.im, shift);
        hwkd_store_power(high, er - odd.re, odd.im - ei, shift);
    }
    hwkd_store_power(x, (re + im) >> 1, 0, shift);
    hwkd_store_power(x + points, (re - im) >> 1, 0, shift);
}

#endif
