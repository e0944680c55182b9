/* Sums of a spectrum's powers between two corners of mel filters. */
#ifndef HWKD_MEL_H
#define HWKD_MEL_H

#include "hwkd_signal.h"

typedef struct {
    uint64_t rising, whole;
} hwkd_piece;

/* `count` powers below 2^47, weighed in steps of 1/32768 and as they are. A function of its own, since it
 * needs most registers. */
HWKD_OWN_REGISTERS static hwkd_piece hwkd_mel_piece(const int32_t *from, const uint16_t *weights, int32_t count)
{
    hwkd_piece sums = {0, 0};
    for (; count > 0; --count, from += 2) {
        const uint64_t power = hwkd_load64(from);
        sums.rising += (power * *weights++) >> 15;
        sums.whole += power;
    }
    return sums;
}

#endif
