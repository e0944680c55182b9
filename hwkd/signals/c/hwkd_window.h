/* Fades samples in and out. */
#ifndef HWKD_WINDOW_H
#define HWKD_WINDOW_H

#include "hwkd_signal.h"

/* `length` samples times a window in steps of 1/32768, halved as integers are. */
HWKD_OWN_REGISTERS static void hwkd_window(const int16_t *from, const int16_t *window, int32_t *to, int32_t length)
{
    int32_t i = 0;
#if defined(HWKD_HAS_THUMB_DSP)
    /* Two in one word; these cores read words from anywhere. */
    for (; i + 4 <= length; i += 4, from += 4, window += 4, to += 4) {
        uint32_t a, b, x, y;
        memcpy(&a, from, sizeof a);
        memcpy(&x, window, sizeof x);
        memcpy(&b, from + 2, sizeof b);
        memcpy(&y, window + 2, sizeof y);
        to[0] = ((int16_t)a * (int16_t)x) >> 1;
        to[1] = ((int32_t)a >> 16) * ((int32_t)x >> 16) >> 1;
        to[2] = ((int16_t)b * (int16_t)y) >> 1;
        to[3] = ((int32_t)b >> 16) * ((int32_t)y >> 16) >> 1;
    }
#endif
    for (; i < length; ++i)
        *to++ = ((int32_t)*from++ * *window++) >> 1;
}

#endif
