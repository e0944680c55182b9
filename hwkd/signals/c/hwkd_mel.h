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
#if defined(HWKD_HAS_THUMB_DSP)
    /* In assembly, since compiled C moves the sums to and fro. */
    const int32_t *end = from + 2 * count;
    uint32_t rising = 0, rising_high = 0, whole = 0, whole_high = 0, low, high, weight, part, rest;
    while (from < end)
        __asm__ volatile(
            "ldrd   %[low], %[high], [%[from]], #8\n\t"
            "ldrh   %[weight], [%[weights]], #2\n\t"
            "umull  %[part], %[rest], %[weight], %[low]\n\t"
            "mla    %[rest], %[weight], %[high], %[rest]\n\t"
            "lsr    %[part], %[part], #15\n\t"
            "orr    %[part], %[part], %[rest], lsl #17\n\t"
            "adds   %[rising], %[rising], %[part]\n\t"
            "adc    %[rising_high], %[rising_high], %[rest], lsr #15\n\t"
            "adds   %[whole], %[whole], %[low]\n\t"
            "adc    %[whole_high], %[whole_high], %[high]\n\t"
            : [from] "+r"(from), [weights] "+r"(weights), [rising] "+r"(rising), [rising_high] "+r"(rising_high),
              [whole] "+r"(whole), [whole_high] "+r"(whole_high), [low] "=&r"(low), [high] "=&r"(high),
              [weight] "=&r"(weight), [part] "=&r"(part), [rest] "=&r"(rest)
            :
            : "cc", "memory");
    sums.rising = ((uint64_t)rising_high << 32) | rising;
    sums.whole = ((uint64_t)whole_high << 32) | whole;
#else
    for (; count > 0; --count, from += 2) {
        const uint64_t power = hwkd_load64(from);
        sums.rising += (power * *weights++) >> 15;
        sums.whole += power;
    }
#endif
    return sums;
}

#endif
