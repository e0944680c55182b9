/* Dual 16-bit multiply-accumulate for cores with the DSP extension (Cortex-M4, M7, M33, M55).
 *
 * The two dot products are written out in assembly because they need every register that the
 * core has: compiled C spills accumulators in the inner loop.
 */
#ifndef HWKD_DSP_H
#define HWKD_DSP_H

#include <arm_acle.h>
#include <stdint.h>
#include <string.h>

static inline uint32_t hwkd_load4(const int8_t *from)
{
    uint32_t word;
    memcpy(&word, from, sizeof word);
    return word;
}

/* Bytes 0 and 2 (even) or 1 and 3 (odd), sign-extended to halfwords. */
static inline uint32_t hwkd_even_bytes(uint32_t word)
{
    uint32_t result;
    __asm__("sxtb16 %0, %1" : "=r"(result) : "r"(word));
    return result;
}

static inline uint32_t hwkd_odd_bytes(uint32_t word)
{
    uint32_t result;
    __asm__("sxtb16 %0, %1, ror #8" : "=r"(result) : "r"(word));
    return result;
}

static inline int32_t hwkd_mac2(uint32_t x, uint32_t y, int32_t sum)
{
    return __smlad((int16x2_t)x, (int16x2_t)y, sum);
}

/* Four inputs of one channel pair times four pixels; see hwkd_dot_2x4. */
#define HWKD_DOT_2X4_STEP                                                     \
    "ldr   %[t0], [%[w]], #4\n\t"                                             \
    "ldrd  %[x0], %[x1], [%[x]], #8\n\t"                                      \
    "sxtb16 %[t1], %[t0]\n\t"                                                 \
    "sxtb16 %[t0], %[t0], ror #8\n\t"                                         \
    "smlad %[a0], %[t1], %[x0], %[a0]\n\t"                                    \
    "smlad %[b0], %[t0], %[x0], %[b0]\n\t"                                    \
    "smlad %[a1], %[t1], %[x1], %[a1]\n\t"                                    \
    "smlad %[b1], %[t0], %[x1], %[b1]\n\t"                                    \
    "ldrd  %[x0], %[x1], [%[x]], #8\n\t"                                      \
    "smlad %[a2], %[t1], %[x0], %[a2]\n\t"                                    \
    "smlad %[b2], %[t0], %[x0], %[b2]\n\t"                                    \
    "smlad %[a3], %[t1], %[x1], %[a3]\n\t"                                    \
    "smlad %[b3], %[t0], %[x1], %[b3]\n\t"

/* sums[0..3]: first channel, pixels 0..3; sums[4..7]: second channel.
 * weights: one packed channel pair. pixels: words of two int16, four pixels interleaved. */
#define HWKD_DOT_2X4(sums_a0, sums_a1, sums_a2, sums_a3, sums_b0, sums_b1, sums_b2, sums_b3, \
                     weights, pixels, wide_end, end)                                         \
    do {                                                                                     \
        uint32_t t0_, t1_, x0_, x1_;                                                         \
        __asm__ volatile(                                                                    \
            "ldr   %[t0], %[wide]\n\t"                                                       \
            "cmp   %[x], %[t0]\n\t"                                                          \
            "beq   2f\n"                                                                     \
            "1:\n\t"                                                                         \
            HWKD_DOT_2X4_STEP HWKD_DOT_2X4_STEP HWKD_DOT_2X4_STEP HWKD_DOT_2X4_STEP          \
            HWKD_DOT_2X4_STEP HWKD_DOT_2X4_STEP HWKD_DOT_2X4_STEP HWKD_DOT_2X4_STEP          \
            "ldr   %[t0], %[wide]\n\t"                                                       \
            "cmp   %[x], %[t0]\n\t"                                                          \
            "bne   1b\n"                                                                     \
            "2:\n\t"                                                                         \
            "ldr   %[t0], %[last]\n\t"                                                       \
            "cmp   %[x], %[t0]\n\t"                                                          \
            "beq   4f\n"                                                                     \
            "3:\n\t"                                                                         \
            HWKD_DOT_2X4_STEP HWKD_DOT_2X4_STEP                                              \
            "ldr   %[t0], %[last]\n\t"                                                       \
            "cmp   %[x], %[t0]\n\t"                                                          \
            "bne   3b\n"                                                                     \
            "4:\n\t"                                                                         \
            : [a0] "+r"(sums_a0), [a1] "+r"(sums_a1), [a2] "+r"(sums_a2),                    \
              [a3] "+r"(sums_a3), [b0] "+r"(sums_b0), [b1] "+r"(sums_b1),                    \
              [b2] "+r"(sums_b2), [b3] "+r"(sums_b3), [w] "+r"(weights), [x] "+r"(pixels),   \
              [t0] "=&r"(t0_), [t1] "=&r"(t1_), [x0] "=&r"(x0_), [x1] "=&r"(x1_)             \
            : [wide] "m"(wide_end), [last] "m"(end)                                          \
            : "cc", "memory");                                                               \
    } while (0)

/* One pixel times four channels (two packed pairs), `groups` of four inputs. */
static inline const int8_t *hwkd_dot_4x1(const int8_t *weights, const int8_t *weights_next,
                                         const uint32_t *pixel, int32_t groups, int32_t sums[4])
{
    int32_t a = sums[0], b = sums[1], c = sums[2], d = sums[3];
    const uint32_t *end = pixel + 2 * groups;
    uint32_t w0, w1, t, x0, x1;
    __asm__ volatile(
        "1:\n\t"
        "ldrd  %[x0], %[x1], [%[x]], #8\n\t"
        "ldrd  %[w0], %[w1], [%[w]], #8\n\t"
        "sxtb16 %[t], %[w0]\n\t"
        "smlad %[a], %[t], %[x0], %[a]\n\t"
        "sxtb16 %[t], %[w0], ror #8\n\t"
        "smlad %[b], %[t], %[x0], %[b]\n\t"
        "sxtb16 %[t], %[w1]\n\t"
        "smlad %[a], %[t], %[x1], %[a]\n\t"
        "sxtb16 %[t], %[w1], ror #8\n\t"
        "smlad %[b], %[t], %[x1], %[b]\n\t"
        "ldrd  %[w0], %[w1], [%[v]], #8\n\t"
        "sxtb16 %[t], %[w0]\n\t"
        "smlad %[c], %[t], %[x0], %[c]\n\t"
        "sxtb16 %[t], %[w0], ror #8\n\t"
        "smlad %[d], %[t], %[x0], %[d]\n\t"
        "sxtb16 %[t], %[w1]\n\t"
        "smlad %[c], %[t], %[x1], %[c]\n\t"
        "sxtb16 %[t], %[w1], ror #8\n\t"
        "smlad %[d], %[t], %[x1], %[d]\n\t"
        "cmp   %[x], %[e]\n\t"
        "bne   1b\n\t"
        : [a] "+r"(a), [b] "+r"(b), [c] "+r"(c), [d] "+r"(d), [w] "+r"(weights),
          [v] "+r"(weights_next), [x] "+r"(pixel), [w0] "=&r"(w0), [w1] "=&r"(w1),
          [t] "=&r"(t), [x0] "=&r"(x0), [x1] "=&r"(x1)
        : [e] "r"(end)
        : "cc", "memory");
    sums[0] = a, sums[1] = b, sums[2] = c, sums[3] = d;
    return weights_next;
}

/* One pixel times one packed pair of channels. */
static inline void hwkd_dot_2x1(const int8_t *weights, const uint32_t *pixel, int32_t groups, int32_t sums[2])
{
    int32_t a = sums[0], b = sums[1];
    while (groups-- > 0) {
        uint32_t w0 = hwkd_load4(weights), w1 = hwkd_load4(weights + 4);
        a = hwkd_mac2(hwkd_even_bytes(w0), pixel[0], a);
        b = hwkd_mac2(hwkd_odd_bytes(w0), pixel[0], b);
        a = hwkd_mac2(hwkd_even_bytes(w1), pixel[1], a);
        b = hwkd_mac2(hwkd_odd_bytes(w1), pixel[1], b);
        weights += 8;
        pixel += 2;
    }
    sums[0] = a, sums[1] = b;
}

/* `bytes` int8 values (a multiple of 4) to int16 pairs (0, 2), (1, 3); words `step` apart. */
static inline uint32_t *hwkd_widen(const int8_t *from, int32_t bytes, uint32_t *to, int32_t step)
{
    const int8_t *end = from + bytes;
    while (from != end) {
        uint32_t word = hwkd_load4(from);
        from += 4;
        to[0] = hwkd_even_bytes(word);
        to[step] = hwkd_odd_bytes(word);
        to += 2 * step;
    }
    return to;
}

#endif
