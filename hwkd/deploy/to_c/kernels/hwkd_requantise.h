/* From a 32-bit accumulator to int8, in the rounding that hwkd_config.h chooses.
 *
 * HWKD_ROUND_FLOAT   float product, ties to even: equal to ONNX Runtime.
 * HWKD_ROUND_Q31     one rounding of the 64-bit product, ties up: for cores without FPU.
 * HWKD_ROUND_TFLITE  two roundings: equal to TensorFlow Lite's reference kernels and TFLM's.
 *
 * Float code must not be contracted or reordered: compile with -ffp-contract=off and without
 * -ffast-math. On Arm the FPU must be in its reset rounding mode (to nearest, ties to even).
 */
#ifndef HWKD_REQUANTISE_H
#define HWKD_REQUANTISE_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(__ARM_FEATURE_SAT) && defined(__GNUC__)
#include <arm_acle.h>
#endif

#ifdef __FAST_MATH__
#error "compile without -ffast-math: requantisation relies on IEEE 754 rounding"
#endif

static inline int8_t hwkd_saturate(int32_t value)
{
#if defined(__ARM_FEATURE_SAT) && defined(__GNUC__)
    return (int8_t)__ssat(value, 8);
#else
    return (int8_t)(value < -128 ? -128 : value > 127 ? 127 : value);
#endif
}

/* Nearest integer, ties to even; limited to +-1024, which saturates as int8 all the same. */
static inline int32_t hwkd_round(float value)
{
#if defined(__ARM_FP) && (__ARM_FP & 4) && defined(__GNUC__)
    float rounded;
    int32_t bits;
    __asm__("vcvtr.s32.f32 %0, %1" : "=t"(rounded) : "t"(value));
    memcpy(&bits, &rounded, sizeof bits);
    return bits;
#else
    const float magic = 12582912.0f; /* 1.5 * 2^23: adding it leaves no bits for a fraction */
    float shifted;
    value = value < -1024.0f ? -1024.0f : value > 1024.0f ? 1024.0f : value;
    shifted = value + magic;
    return (int32_t)(shifted - magic);
#endif
}

#if HWKD_ROUNDING == HWKD_ROUND_FLOAT

typedef struct {
    int32_t bias;
    float scale;
} hwkd_channel;

/* Scaled accumulator, before the output's zero point is added. */
static inline int32_t hwkd_scaled(int32_t accumulator, const hwkd_channel *channel)
{
    return hwkd_round((float)accumulator * channel->scale);
}

/* a * a_scale + b * b_scale + offset, each step rounded as ONNX Runtime's fused operations do. */
typedef struct {
    float a_scale, b_scale, offset;
} hwkd_sum;

static inline int8_t hwkd_add_scaled(int32_t a, int32_t b, const hwkd_sum *sum)
{
    return hwkd_saturate(hwkd_round(fmaf((float)a, sum->a_scale, fmaf((float)b, sum->b_scale, sum->offset))));
}

#else

/* multiplier * 2^-31 * 2^left * 2^-right */
typedef struct {
    int32_t bias;
    int32_t multiplier;
    uint8_t left, right;
} hwkd_channel;

#if HWKD_ROUNDING == HWKD_ROUND_Q31

/* `right` is at least 2 here, so the low word of the product cannot change the result. */
static inline int32_t hwkd_scaled(int32_t accumulator, const hwkd_channel *channel)
{
    int64_t product = (int64_t)(int32_t)((uint32_t)accumulator << channel->left) * channel->multiplier;
    int32_t high = (int32_t)(product >> 32);
    int32_t shift = channel->right - 1;
    return (high + (1 << (shift - 1))) >> shift;
}

/* Multipliers in units of 2^-(24 + right), offset in 2^-(32 + right) with the rounding half inside. */
typedef struct {
    int64_t offset;
    int32_t a_multiplier, b_multiplier;
    int32_t right;
} hwkd_sum;

static inline int8_t hwkd_add_scaled(int32_t a, int32_t b, const hwkd_sum *sum)
{
    int64_t total = sum->offset + (int64_t)(a * 256) * sum->a_multiplier + (int64_t)(b * 256) * sum->b_multiplier;
    return hwkd_saturate((int32_t)(total >> 32) >> sum->right);
}

#elif HWKD_ROUNDING == HWKD_ROUND_TFLITE

static inline int32_t hwkd_twice_rounded(int32_t value, int32_t multiplier, int32_t right)
{
    int64_t product = (int64_t)value * multiplier;
    int64_t nudge = product >= 0 ? (int64_t)1 << 30 : 1 - ((int64_t)1 << 30);
    int32_t high = (int32_t)((product + nudge) / ((int64_t)1 << 31));
    int32_t mask = (int32_t)(((uint32_t)1 << right) - 1);
    int32_t remainder = high & mask;
    int32_t threshold = (mask >> 1) + (high < 0);
    return (high >> right) + (remainder > threshold);
}

static inline int32_t hwkd_scaled(int32_t accumulator, const hwkd_channel *channel)
{
    const int32_t value = (int32_t)((uint32_t)accumulator << channel->left);
    return hwkd_twice_rounded(value, channel->multiplier, channel->right);
}

/* Both operands are brought to one scale with 20 bits more, added, and brought to the output's. */
typedef struct {
    int32_t a_zero, b_zero, out_zero;
    int32_t a_multiplier, a_right, b_multiplier, b_right;
    int32_t multiplier, right;
} hwkd_sum;

static inline int8_t hwkd_add_scaled(int32_t a, int32_t b, const hwkd_sum *sum)
{
    const int32_t x = hwkd_twice_rounded((a - sum->a_zero) * (1 << 20), sum->a_multiplier, sum->a_right);
    const int32_t y = hwkd_twice_rounded((b - sum->b_zero) * (1 << 20), sum->b_multiplier, sum->b_right);
    return hwkd_saturate(hwkd_twice_rounded(x + y, sum->multiplier, sum->right) + sum->out_zero);
}

#else
#error "HWKD_ROUNDING must be HWKD_ROUND_FLOAT, HWKD_ROUND_Q31 or HWKD_ROUND_TFLITE"
#endif
#endif

static inline int8_t hwkd_requantise(int32_t accumulator, const hwkd_channel *channel, int32_t out_zero)
{
#if defined(__ARM_FEATURE_DSP) && defined(__GNUC__)
    /* The float conversion may have saturated at 2^31. */
    return hwkd_saturate(__qadd(hwkd_scaled(accumulator, channel), out_zero));
#else
    return hwkd_saturate(hwkd_scaled(accumulator, channel) + out_zero);
#endif
}

#endif
