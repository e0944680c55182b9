/* Vector kernels for cores with Helium (Cortex-M55): 16 products per instruction.
 *
 * The packed weights are read with de-interleaving loads, which give the inputs of each channel in
 * the order 0 2 1 3 within every four; gathered pixels are stored in that order too, filled up with
 * zeros to a multiple of 16. The last load of a channel pair may reach behind it: weight arrays
 * end in slack.
 */
#ifndef HWKD_HELIUM_H
#define HWKD_HELIUM_H

#include <arm_mve.h>
#include <stdint.h>

#include "hwkd_kernels.h"

/* Bytes of a gathered pixel. */
static inline int32_t hwkd_vector_depth(const hwkd_conv *layer)
{
    return (layer->depth + 15) & ~15;
}

/* `bytes` values to the order of the weights, the rest of 16 zero. */
static inline void hwkd_reorder(const int8_t *from, int32_t bytes, int8_t *to)
{
    /* Offsets 0 2 1 3 4 6 5 7 ...: bits 0 and 1 change places. */
    const uint8x16_t index = vidupq_n_u8(0, 1);
    const uint8x16_t low = vandq_u8(index, vdupq_n_u8(1)), high = vandq_u8(index, vdupq_n_u8(2));
    const uint8x16_t kept = vandq_u8(index, vdupq_n_u8(12));
    const uint8x16_t order = vorrq_u8(kept, vorrq_u8(vshlq_n_u8(low, 1), vshrq_n_u8(high, 1)));
    for (; bytes > 0; bytes -= 16, from += 16, to += 16) {
        const mve_pred16_t inside = vcmpltq_n_s8(vreinterpretq_s8_u8(order), (int8_t)(bytes < 16 ? bytes : 16));
        vst1q_s8(to, vldrbq_gather_offset_z_s8(from, order, inside));
    }
}

#if HWKD_ROUNDING == HWKD_ROUND_FLOAT && (__ARM_FEATURE_MVE & 2)
#define HWKD_VECTOR_ROUNDING 1
#else
#define HWKD_VECTOR_ROUNDING 0
#endif

#if HWKD_VECTOR_ROUNDING

/* Four accumulators to int8 in 32-bit lanes. */
static inline int32x4_t hwkd_scaled_4(int32x4_t sums, float32x4_t scales, int32_t zero)
{
    const int32x4_t steps = vqaddq_n_s32(vcvtnq_s32_f32(vmulq_f32(vcvtq_f32_s32(sums), scales)), zero);
    return vminq_s32(vmaxq_s32(steps, vdupq_n_s32(-128)), vdupq_n_s32(127));
}

#endif

/* Up to four pixels of one channel, `step` bytes apart. */
static inline void hwkd_store_pixels(const int32_t sums[4], const hwkd_channel *channel, int32_t zero, int32_t step,
                                     int32_t count, int8_t *out)
{
#if HWKD_VECTOR_ROUNDING
    const uint32x4_t offsets = vmulq_n_u32(vidupq_n_u32(0, 1), (uint32_t)step);
    const int32x4_t steps = hwkd_scaled_4(vld1q_s32(sums), vdupq_n_f32(channel->scale), zero);
    vstrbq_scatter_offset_p_s32(out, offsets, steps, vctp32q((uint32_t)count));
#else
    for (int32_t pixel = 0; pixel < count; pixel++)
        out[pixel * step] = hwkd_requantise(sums[pixel], channel, zero);
#endif
}

/* Biases of up to four neighbouring channels; zero beyond. */
static inline int32x4_t hwkd_biases(const hwkd_channel *channel, int32_t lanes)
{
    const uint32x4_t offsets = vmulq_n_u32(vidupq_n_u32(0, 1), (uint32_t)sizeof *channel);
    return vldrwq_gather_offset_z_s32(&channel->bias, offsets, vctp32q((uint32_t)lanes));
}

/* Up to four neighbouring channels of one pixel. */
static inline void hwkd_store_channels(int32x4_t sums, const hwkd_channel *channel, int32_t zero, int32_t lanes,
                                       int8_t *out)
{
#if HWKD_VECTOR_ROUNDING
    const uint32x4_t offsets = vidupq_n_u32(0, 8);
    const mve_pred16_t active = vctp32q((uint32_t)lanes);
    const float32x4_t scales = vldrwq_gather_offset_z_f32(&channel->scale, offsets, active);
    vstrbq_p_s32(out, hwkd_scaled_4(sums, scales, zero), active);
#else
    int32_t values[4];
    vst1q_s32(values, sums);
    for (int32_t lane = 0; lane < lanes; lane++)
        out[lane] = hwkd_requantise(values[lane], channel + lane, zero);
#endif
}

/* Up to four gathered pixels, `depth` bytes apart, to as many output pixels. */
static inline void hwkd_dense_4(const hwkd_conv *layer, const int8_t *pixels, int8_t *out, int32_t count)
{
    const int8_t *block = layer->weights;
    const hwkd_channel *channel = layer->channels;
    const int32_t zero = layer->out_zero, step = layer->out_channels, depth = hwkd_vector_depth(layer);
    for (int32_t left = step; left > 0; left -= 2, channel += 2, out += 2, block += 2 * layer->depth) {
        const hwkd_channel *other = left > 1 ? channel + 1 : channel;
        int32_t a0 = channel->bias, a1 = a0, a2 = a0, a3 = a0;
        int32_t b0 = other->bias, b1 = b0, b2 = b0, b3 = b0;
        const int8_t *w = block, *x = pixels;
        for (int32_t k = depth; k > 0; k -= 16, w += 32, x += 16) {
            const int8x16x2_t pair = vld2q_s8(w);
            const int8x16_t x0 = vld1q_s8(x), x1 = vld1q_s8(x + depth);
            a0 = vmladavaq_s8(a0, pair.val[0], x0);
            b0 = vmladavaq_s8(b0, pair.val[1], x0);
            a1 = vmladavaq_s8(a1, pair.val[0], x1);
            b1 = vmladavaq_s8(b1, pair.val[1], x1);
            const int8x16_t x2 = vld1q_s8(x + 2 * depth), x3 = vld1q_s8(x + 3 * depth);
            a2 = vmladavaq_s8(a2, pair.val[0], x2);
            b2 = vmladavaq_s8(b2, pair.val[1], x2);
            a3 = vmladavaq_s8(a3, pair.val[0], x3);
            b3 = vmladavaq_s8(b3, pair.val[1], x3);
        }
        const int32_t first[4] = {a0, a1, a2, a3}, second[4] = {b0, b1, b2, b3};
        hwkd_store_pixels(first, channel, zero, step, count, out);
        if (left > 1)
            hwkd_store_pixels(second, other, zero, step, count, out + 1);
    }
}

/* One gathered pixel to one output pixel. */
static inline void hwkd_dense_1(const hwkd_conv *layer, const int8_t *pixel, int8_t *out)
{
    const int8_t *block = layer->weights;
    const hwkd_channel *channel = layer->channels;
    const int32_t zero = layer->out_zero, depth = hwkd_vector_depth(layer);
    for (int32_t left = layer->out_channels; left > 0; left -= 2, channel += 2, out += 2, block += 2 * layer->depth) {
        int32_t a = channel[0].bias, b = left > 1 ? channel[1].bias : 0;
        const int8_t *w = block, *x = pixel;
        for (int32_t k = depth; k > 0; k -= 16, w += 32, x += 16) {
            const int8x16x2_t pair = vld2q_s8(w);
            const int8x16_t values = vld1q_s8(x);
            a = vmladavaq_s8(a, pair.val[0], values);
            b = vmladavaq_s8(b, pair.val[1], values);
        }
        out[0] = hwkd_requantise(a, channel, zero);
        if (left > 1)
            out[1] = hwkd_requantise(b, channel + 1, zero);
    }
}

#endif
