/* Sum of products of 16 bits, as filters have them. */
#ifndef HWKD_FILTER_H
#define HWKD_FILTER_H

#include "hwkd_signal.h"

#if defined(HWKD_HAS_THUMB_DSP)

/* Two samples by two taps, added to a sum; these cores read words from anywhere. */
static inline int32_t hwkd_two_products(const int16_t *samples, const int16_t *taps, int32_t sum)
{
    uint32_t x, y;
    memcpy(&x, samples, sizeof x);
    memcpy(&y, taps, sizeof y);
    __asm__("smlad %0, %1, %2, %0" : "+r"(sum) : "r"(x), "r"(y));
    return sum;
}

#endif

/* `sum` and `count` products of samples and taps; it stays within 32 bits. */
HWKD_OWN_REGISTERS static int32_t hwkd_filtered(const int16_t *samples, const int16_t *taps, int32_t count, int32_t sum)
{
#if defined(HWKD_HAS_THUMB_DSP)
    for (; count >= 8; count -= 8, samples += 8, taps += 8) {
        sum = hwkd_two_products(samples, taps, sum);
        sum = hwkd_two_products(samples + 2, taps + 2, sum);
        sum = hwkd_two_products(samples + 4, taps + 4, sum);
        sum = hwkd_two_products(samples + 6, taps + 6, sum);
    }
#endif
    for (; count > 0; --count)
        sum += (int32_t)*samples++ * *taps++;
    return sum;
}

#endif
