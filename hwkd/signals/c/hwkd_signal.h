/* Integer arithmetic of signal features: the same on every core, and the same as in training.
 *
 * Right shifts of negative numbers keep the sign, as every compiler for these cores does it.
 */
#ifndef HWKD_SIGNAL_H
#define HWKD_SIGNAL_H

#include <stdint.h>
#include <string.h>

#if defined(__ARM_FEATURE_DSP) && defined(__GNUC__) && !defined(HWKD_PORTABLE)
#define HWKD_HAS_SMULW 1
/* Where two words are loaded into any registers, and words from anywhere. */
#if defined(__thumb2__) && __ARM_ARCH >= 7
#define HWKD_HAS_THUMB_DSP 1
#endif
#endif

/* Of a loop that would spill where it is inlined. */
#if defined(__GNUC__) || defined(__clang__)
#define HWKD_OWN_REGISTERS __attribute__((noinline, unused))
#else
#define HWKD_OWN_REGISTERS
#endif

/* a * b / 65536, rounded down; b within int16. */
static inline int32_t hwkd_mul16(int32_t a, int32_t b)
{
#if defined(HWKD_HAS_SMULW)
    int32_t result;
    __asm__("smulwb %0, %1, %2" : "=r"(result) : "r"(a), "r"(b));
    return result;
#elif defined(__ARM_ARCH_6M__)
    return (a >> 16) * b + (((int32_t)((uint32_t)a & 0xffffu) * b) >> 16);
#else
    return (int32_t)(((int64_t)a * b) >> 16);
#endif
}

/* The same, added to a sum. */
static inline int32_t hwkd_mul16_add(int32_t a, int32_t b, int32_t sum)
{
#if defined(HWKD_HAS_SMULW)
    int32_t result;
    __asm__("smlawb %0, %1, %2, %3" : "=r"(result) : "r"(a), "r"(b), "r"(sum));
    return result;
#else
    return sum + hwkd_mul16(a, b);
#endif
}

static inline int32_t hwkd_to_int16(int32_t value)
{
    return value > 32767 ? 32767 : value < -32768 ? -32768 : value;
}

/* A number of 64 bits in two words, the low one first. */
static inline uint64_t hwkd_load64(const int32_t *from)
{
    return ((uint64_t)(uint32_t)from[1] << 32) | (uint32_t)from[0];
}

static inline void hwkd_store64(int32_t *to, uint64_t value)
{
    to[0] = (int32_t)(uint32_t)value;
    to[1] = (int32_t)(uint32_t)(value >> 32);
}

/* Logarithm to the base 2 in steps of 1/512; 0 of 0. */
static inline int32_t hwkd_log2(uint64_t value, const uint16_t *table)
{
    int32_t top = 0;
    uint32_t high = (uint32_t)(value >> 32), word = high ? high : (uint32_t)value, mantissa;
    if (value == 0)
        return 0;
#if defined(__GNUC__) || defined(__clang__)
    top = 31 - __builtin_clz(word);
#else
    for (uint32_t rest = word; rest >>= 1;)
        ++top;
#endif
    if (high) {
        const uint32_t low = (uint32_t)value;
        mantissa = top >= 15 ? high >> (top - 15) : (high << (15 - top)) | (low >> (17 + top));
        top += 32;
    } else {
        mantissa = top >= 15 ? word >> (top - 15) : word << (15 - top);
    }
    const uint32_t fraction = mantissa - 32768u, piece = fraction >> 9, rest = fraction & 511u;
    const uint32_t base = table[piece];
    return top * 512 + (int32_t)((base + (((table[piece + 1] - base) * rest) >> 9) + 32u) >> 6);
}

/* 2^(value / 512) in steps of 1/1024, at most 2^20. */
static inline uint32_t hwkd_exp2(int32_t value, const uint32_t *table)
{
    const int32_t whole = value >> 9, shift = whole - 5;
    const uint32_t piece = (uint32_t)(value & 511) >> 3, rest = (uint32_t)value & 7u;
    const uint32_t found = table[piece] + (((table[piece + 1] - table[piece]) * rest) >> 3);
    if (whole >= 20)
        return 1u << 30;
    return shift >= 0 ? found << shift : shift > -32 ? found >> -shift : 0;
}

/* Square root, rounded down. */
static inline uint32_t hwkd_square_root32(uint32_t value)
{
    uint32_t rest = value, root = 0, bit = 1u << 30;
    while (bit > value)
        bit >>= 2;
    for (; bit; bit >>= 2) {
        if (rest >= root + bit) {
            rest -= root + bit;
            root = (root >> 1) + bit;
        } else {
            root >>= 1;
        }
    }
    return root;
}

/* The same of 64 bits: leading bits are the root of leading bits, the others are tried one by one. */
HWKD_OWN_REGISTERS static uint32_t hwkd_square_root(uint64_t value)
{
    uint32_t half = 0;
    while (value >> (2u * half) > 0xffffffffu)
        ++half;
    uint32_t root = hwkd_square_root32((uint32_t)(value >> (2u * half))) << half;
    for (uint32_t bit = half ? 1u << (half - 1) : 0; bit; bit >>= 1) {
        const uint32_t larger = root | bit;
        if ((uint64_t)larger * larger <= value)
            root = larger;
    }
    return root;
}

#endif
