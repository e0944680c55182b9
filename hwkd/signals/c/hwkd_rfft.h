/* Spectrum of real samples: radix 4 in place, halved at every level so that nothing overflows. */
#ifndef HWKD_RFFT_H
#define HWKD_RFFT_H

#include "hwkd_signal.h"

/* Real and imaginary part, which lie side by side. */
typedef struct {
    int32_t re, im;
} hwkd_complex;

#if defined(HWKD_HAS_THUMB_DSP)

/* Cosine and sine of a turn in one word: instructions multiply by either half. */
typedef uint32_t hwkd_factor;

static inline hwkd_factor hwkd_factor_of(int32_t cosine, int32_t sine)
{
    hwkd_factor result;
    __asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(result) : "r"(cosine), "r"(sine));
    return result;
}

static inline hwkd_complex hwkd_turned(hwkd_complex x, hwkd_factor factor)
{
    hwkd_complex result;
    int32_t across;
    __asm__("smulwb %0, %1, %2" : "=r"(result.re) : "r"(x.re), "r"(factor));
    __asm__("smulwt %0, %1, %2" : "=r"(across) : "r"(x.re), "r"(factor));
    __asm__("smlawt %0, %1, %2, %0" : "+r"(result.re) : "r"(x.im), "r"(factor));
    __asm__("smulwb %0, %1, %2" : "=r"(result.im) : "r"(x.im), "r"(factor));
    result.im -= across;
    return result;
}

#else

typedef hwkd_complex hwkd_factor;

static inline hwkd_factor hwkd_factor_of(int32_t cosine, int32_t sine)
{
    const hwkd_factor result = {cosine, sine};
    return result;
}

static inline hwkd_complex hwkd_turned(hwkd_complex x, hwkd_factor factor)
{
    const hwkd_complex result = {
        hwkd_mul16(x.re, factor.re) + hwkd_mul16(x.im, factor.im),
        hwkd_mul16(x.im, factor.re) - hwkd_mul16(x.re, factor.im),
    };
    return result;
}

#endif

static inline hwkd_complex hwkd_halved(hwkd_complex x)
{
    const hwkd_complex result = {x.re >> 1, x.im >> 1};
    return result;
}

/* i with its bits in reversed order, of those that count to `count`; before: that of i - 1. */
static inline uint32_t hwkd_reversed(uint32_t i, uint32_t before, uint32_t count)
{
#if defined(HWKD_HAS_THUMB_DSP)
    uint32_t result;
    (void)before;
    __asm__("rbit %0, %1" : "=r"(result) : "r"(i));
    return result >> (1u + (uint32_t)__builtin_clz(count));
#else
    uint32_t bit = count >> 1;
    (void)i;
    for (; before & bit; bit >>= 1)
        before ^= bit;
    return before ^ bit;
#endif
}

HWKD_OWN_REGISTERS static void hwkd_bit_reverse(hwkd_complex *x, uint32_t points)
{
    for (uint32_t i = 1, j = 0; i < points; ++i) {
        j = hwkd_reversed(i, j, points);
        if (i < j) {
            uint64_t one, other;
            memcpy(&one, x + i, sizeof one);
            memcpy(&other, x + j, sizeof other);
            memcpy(x + i, &other, sizeof other);
            memcpy(x + j, &one, sizeof one);
        }
    }
}

/* Four values `apart` from each other; b, c and d are halved and turned. */
static inline void hwkd_butterfly(hwkd_complex *x, int32_t apart, hwkd_complex b, hwkd_complex c, hwkd_complex d)
{
    const int32_t ur = c.re + d.re, ui = c.im + d.im, vr = c.re - d.re, vi = c.im - d.im;
    const int32_t ar = x[0].re, ai = x[0].im;
    const int32_t sr = b.re + (ar >> 1), si = b.im + (ai >> 1), tr = (ar >> 1) - b.re, ti = (ai >> 1) - b.im;
    x[0].re = (sr + ur) >> 1;
    x[0].im = (si + ui) >> 1;
    x[apart].re = (tr + vi) >> 1;
    x[apart].im = (ti - vr) >> 1;
    x[2 * apart].re = (sr - ur) >> 1;
    x[2 * apart].im = (si - ui) >> 1;
    x[3 * apart].re = (tr - vi) >> 1;
    x[3 * apart].im = (ti + vr) >> 1;
}

#if defined(HWKD_HAS_THUMB_DSP)

/* One butterfly; x moves on by four times `apart` bytes. In assembly because it needs every register that the
 * core has: compiled C spills, for twice the instructions. v is u less twice its second part. */
static inline hwkd_complex *hwkd_turned_butterfly(hwkd_complex *x, int32_t apart, const hwkd_factor factors[3])
{
    int32_t t, ar, ai, br, bi, cr, ci, dr, di;
    __asm__ volatile(
        "add    %[ar], %[x], %[q], lsl #1\n\t"
        "ldr    %[br], [%[f]]\n\t"
        "ldrd   %[cr], %[ci], [%[ar]]\n\t"
        "add    %[ar], %[ar], %[q]\n\t"
        "smulwt %[t], %[cr], %[br]\n\t"
        "smulwb %[cr], %[cr], %[br]\n\t"
        "smlawt %[cr], %[ci], %[br], %[cr]\n\t"
        "smulwb %[ci], %[ci], %[br]\n\t"
        "ldr    %[br], [%[f], #8]\n\t"
        "ldrd   %[dr], %[di], [%[ar]]\n\t"
        "sub    %[ci], %[ci], %[t]\n\t"
        "smulwt %[t], %[dr], %[br]\n\t"
        "smulwb %[dr], %[dr], %[br]\n\t"
        "smlawt %[dr], %[di], %[br], %[dr]\n\t"
        "smulwb %[di], %[di], %[br]\n\t"
        "add    %[ar], %[x], %[q]\n\t"
        "sub    %[di], %[di], %[t]\n\t"
        "add    %[cr], %[cr], %[dr]\n\t"
        "sub    %[dr], %[cr], %[dr], lsl #1\n\t"
        "add    %[ci], %[ci], %[di]\n\t"
        "sub    %[di], %[ci], %[di], lsl #1\n\t"
        "ldr    %[ai], [%[f], #4]\n\t"
        "ldrd   %[br], %[bi], [%[ar]]\n\t"
        "smulwt %[t], %[br], %[ai]\n\t"
        "smulwb %[br], %[br], %[ai]\n\t"
        "smlawt %[br], %[bi], %[ai], %[br]\n\t"
        "smulwb %[bi], %[bi], %[ai]\n\t"
        "ldrd   %[ar], %[ai], [%[x]]\n\t"
        "sub    %[bi], %[bi], %[t]\n\t"
        "add    %[t], %[br], %[ar], asr #1\n\t"
        "rsb    %[ar], %[br], %[ar], asr #1\n\t"
        "add    %[br], %[bi], %[ai], asr #1\n\t"
        "rsb    %[ai], %[bi], %[ai], asr #1\n\t"
        /* s is t and br, t is ar and ai. */
        "add    %[bi], %[t], %[cr]\n\t"
        "sub    %[cr], %[t], %[cr]\n\t"
        "add    %[t], %[br], %[ci]\n\t"
        "sub    %[ci], %[br], %[ci]\n\t"
        "asr    %[bi], %[bi], #1\n\t"
        "asr    %[t], %[t], #1\n\t"
        "strd   %[bi], %[t], [%[x]]\n\t"
        "add    %[x], %[x], %[q]\n\t"
        "add    %[bi], %[ar], %[di]\n\t"
        "sub    %[di], %[ar], %[di]\n\t"
        "add    %[t], %[ai], %[dr]\n\t"
        "sub    %[dr], %[ai], %[dr]\n\t"
        "asr    %[bi], %[bi], #1\n\t"
        "asr    %[dr], %[dr], #1\n\t"
        "strd   %[bi], %[dr], [%[x]]\n\t"
        "add    %[x], %[x], %[q]\n\t"
        "asr    %[cr], %[cr], #1\n\t"
        "asr    %[ci], %[ci], #1\n\t"
        "strd   %[cr], %[ci], [%[x]]\n\t"
        "add    %[x], %[x], %[q]\n\t"
        "asr    %[di], %[di], #1\n\t"
        "asr    %[t], %[t], #1\n\t"
        "strd   %[di], %[t], [%[x]]\n\t"
        "add    %[x], %[x], %[q]\n\t"
        : [x] "+r"(x), [t] "=&r"(t), [ar] "=&r"(ar), [ai] "=&r"(ai), [br] "=&r"(br), [bi] "=&r"(bi),
          [cr] "=&r"(cr), [ci] "=&r"(ci), [dr] "=&r"(dr), [di] "=&r"(di)
        : [q] "r"(apart), [f] "r"(factors)
        : "memory");
    return x;
}

#else

static inline hwkd_complex *hwkd_turned_butterfly(hwkd_complex *x, int32_t apart, const hwkd_factor factors[3])
{
    const int32_t quarter = apart / (int32_t)sizeof *x;
    const hwkd_complex b = hwkd_turned(x[quarter], factors[1]), c = hwkd_turned(x[2 * quarter], factors[0]);
    hwkd_butterfly(x, quarter, b, c, hwkd_turned(x[3 * quarter], factors[2]));
    return x + 4 * quarter;
}

#endif

static inline void hwkd_pair(hwkd_complex *x, hwkd_complex a, hwkd_complex b)
{
    x[0].re = (a.re + b.re) >> 1;
    x[0].im = (a.im + b.im) >> 1;
    x[1].re = (a.re - b.re) >> 1;
    x[1].im = (a.im - b.im) >> 1;
}

/* Whether the first level is one of pairs: four to the power of nothing gives so many points. */
static inline int hwkd_has_pairs(int32_t points)
{
    return (points & 0x55555555) == 0;
}

/* All levels from that of `quarter` on, which is a quarter of what it makes. */
HWKD_OWN_REGISTERS static void hwkd_levels(hwkd_complex *x, int32_t points, int32_t quarter, const int16_t *sine,
                                           int32_t size)
{
    const int16_t *cosine = sine + size / 4;
    const hwkd_complex *end = x + points;
    for (; quarter < points; quarter *= 4) {
        const int32_t step = size / (4 * quarter);
        for (hwkd_complex *at = x; at < end; at += 4 * quarter)
            hwkd_butterfly(at, quarter, hwkd_halved(at[quarter]), hwkd_halved(at[2 * quarter]),
                           hwkd_halved(at[3 * quarter]));
        for (int32_t k = 1; k < quarter; ++k) {
            const int32_t one = k * step, two = 2 * one, three = 3 * one;
            const hwkd_factor factors[3] = {
                hwkd_factor_of(cosine[one], sine[one]),
                hwkd_factor_of(cosine[two], sine[two]),
                hwkd_factor_of(cosine[three], sine[three]),
            };
            for (hwkd_complex *at = x + k; at < end;)
                at = hwkd_turned_butterfly(at, quarter * (int32_t)sizeof *at, factors);
        }
    }
}

/* x: `size` samples within 2^29; becomes size / 2 + 1 pairs of real and imaginary part, of the
 * spectrum divided by `size`. sine: a turn in `size` steps of 1/32768. */
HWKD_OWN_REGISTERS static void hwkd_rfft(int32_t *values, const int16_t *sine, int32_t size)
{
    const int16_t *cosine = sine + size / 4;
    const int32_t points = size / 2;
    hwkd_complex *x = (hwkd_complex *)values;
    hwkd_bit_reverse(x, (uint32_t)points);
    if (hwkd_has_pairs(points))
        for (int32_t i = 0; i < points; i += 2)
            hwkd_pair(x + i, x[i], x[i + 1]);
    hwkd_levels(x, points, 1 + hwkd_has_pairs(points), sine, size);
    const int32_t re = x[0].re, im = x[0].im;
    hwkd_complex *high = x + points;
    for (int32_t k = 1; k <= points / 2; ++k) {
        hwkd_complex *low = x + k;
        --high;
        const hwkd_complex a = *low, b = *high;
        const int32_t er = (a.re + b.re) >> 2, ei = (a.im - b.im) >> 2;
        const hwkd_complex half = {(a.im + b.im) >> 1, (b.re - a.re) >> 1};
        const hwkd_complex odd = hwkd_turned(half, hwkd_factor_of(cosine[k], sine[k]));
        low->re = er + odd.re;
        low->im = ei + odd.im;
        high->re = er - odd.re;
        high->im = odd.im - ei;
    }
    x[0].re = (re + im) >> 1;
    x[0].im = 0;
    x[points].re = (re - im) >> 1;
    x[points].im = 0;
}

#endif
