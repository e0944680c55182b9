/* Int8 kernels of networks exported by hwkd. C99, no heap, no globals.
 *
 * Tensors are int8, channels last (NHWC), batch 1. real = scale * (q - zero point).
 * Zero points of inputs are folded into the biases, so kernels add plain products;
 * padding is filled with the input's zero point.
 * Convolutions and poolings (not the global one) write pixel by pixel in order, four at most at a
 * time, after reading them: an output may lie over its input if it begins far enough below it.
 *
 * Dense weights are packed in blocks of 2 channels x 4 inputs, 8 bytes each:
 *     a0 b0 a2 b2 a1 b1 a3 b3        (a, b: channels; 0..3: inputs)
 * so that one SXTB16 of a word gives the pair (0, 2) or (1, 3) of one channel. Inputs are
 * padded to a multiple of 4 and channels to a multiple of 2 with zero weights.
 */
#ifndef HWKD_KERNELS_H
#define HWKD_KERNELS_H

#include <stdint.h>

#include "hwkd_config.h"
#include "hwkd_requantise.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Instruction set that the kernels are compiled for. */
#if defined(HWKD_PORTABLE)
#define HWKD_HELIUM 0
#define HWKD_DSP 0
#elif defined(__ARM_FEATURE_MVE) && defined(__GNUC__)
#define HWKD_HELIUM 1
#define HWKD_DSP 0
#elif defined(__ARM_FEATURE_DSP) && defined(__thumb2__) && defined(__GNUC__) && defined(__OPTIMIZE__)
#define HWKD_HELIUM 0
#define HWKD_DSP 1
#else
#define HWKD_HELIUM 0
#define HWKD_DSP 0
#endif

/* A convolution with groups == 1, or (rows of) a fully connected layer as a 1x1 convolution. */
typedef struct {
    const int8_t *weights;        /* packed, see above */
    const hwkd_channel *channels; /* one per output channel */
    int32_t in_height, in_width, in_channels;
    int32_t out_height, out_width, out_channels;
    int32_t kernel_height, kernel_width;
    int32_t stride_height, stride_width;
    int32_t dilation_height, dilation_width;
    int32_t pad_top, pad_left;
    int32_t depth; /* inputs of one output, rounded up to a multiple of 4 */
    int8_t in_zero, out_zero;
} hwkd_conv;

/* A convolution with groups; weights plain: [out channel][kernel h][kernel w][in channels / groups],
 * for hwkd_run_depthwise in blocks of four channels: [block][kernel h][kernel w][4]. */
typedef struct {
    const int8_t *weights;
    const hwkd_channel *channels;
    int32_t in_height, in_width, in_channels;
    int32_t out_height, out_width, out_channels;
    int32_t kernel_height, kernel_width;
    int32_t stride_height, stride_width;
    int32_t dilation_height, dilation_width;
    int32_t pad_top, pad_left;
    int32_t groups;
    int32_t ahead; /* rows of windows beyond the first that hwkd_run_depthwise holds lines of */
    int8_t in_zero, out_zero;
} hwkd_grouped_conv;

/* C = A x B for `batch` pairs of matrices anywhere in memory: strides in elements. */
typedef struct {
    int32_t batch, rows, depth, columns;
    int32_t a_batch, a_row, a_depth;
    int32_t b_batch, b_depth, b_column;
    int32_t c_batch, c_row, c_column;
    hwkd_channel scale; /* bias unused */
    int8_t a_zero, b_zero, c_zero;
} hwkd_matmul;

/* out = a (+ or *) b; b has as many elements as a, or one per channel, or one. */
typedef struct {
    int32_t elements;
    int32_t channels; /* b repeats after so many elements */
    hwkd_sum sum;
} hwkd_add;

typedef struct {
    int32_t elements;
    int32_t channels;
    hwkd_channel scale; /* bias unused */
    int8_t a_zero, b_zero, out_zero;
} hwkd_mul;

typedef struct {
    int32_t in_height, in_width, channels;
    int32_t out_height, out_width;
    int32_t kernel_height, kernel_width;
    int32_t stride_height, stride_width;
    int32_t pad_top, pad_left;
    int32_t counts_pads;
    const hwkd_channel *scales; /* averages: for windows of first_count, ... elements; bias unused */
    int32_t first_count;
    int8_t in_zero, out_zero;
} hwkd_pool;

/* Mean of the last `window` columns, `columns` of them new in each run. Its memory holds the sums of
 * the channels, the place of the oldest column and the columns themselves. */
typedef struct {
    int32_t channels, columns, window;
    hwkd_channel scale; /* bias unused */
    int8_t in_zero, out_zero;
} hwkd_running_mean;

typedef struct {
    int32_t outer, outer_stride; /* vectors */
    int32_t length, stride;      /* elements of one vector */
    const float *exponentials;   /* exp(scale * (i - 255)) times a constant, 256 values */
    float out_steps;             /* 1 / output scale */
    int32_t out_zero;
} hwkd_softmax;

/* Nested copy of bytes, outermost loop first; unused loops have a count of 1. */
typedef struct {
    int32_t counts[5], in_strides[5], out_strides[5];
    int32_t in_offset, out_offset;
    const int8_t *table; /* 256 values, or NULL */
} hwkd_copy;

void hwkd_run_conv(const hwkd_conv *layer, const int8_t *in, int8_t *out, void *scratch);
void hwkd_run_pointwise(const hwkd_conv *layer, const int8_t *in, int8_t *out, void *scratch);
void hwkd_run_fully_connected(const hwkd_conv *layer, const int8_t *in, int8_t *out, void *scratch);
void hwkd_run_depthwise(const hwkd_grouped_conv *layer, const int8_t *in, int8_t *out, void *scratch);
void hwkd_run_grouped_conv(const hwkd_grouped_conv *layer, const int8_t *in, int8_t *out);
void hwkd_run_matmul(const hwkd_matmul *layer, const int8_t *a, const int8_t *b, int8_t *out);
void hwkd_run_add(const hwkd_add *layer, const int8_t *a, const int8_t *b, int8_t *out);
void hwkd_run_mul(const hwkd_mul *layer, const int8_t *a, const int8_t *b, int8_t *out);
void hwkd_run_max_pool(const hwkd_pool *layer, const int8_t *in, int8_t *out);
void hwkd_run_average_pool(const hwkd_pool *layer, const int8_t *in, int8_t *out);
void hwkd_run_global_average(const hwkd_pool *layer, const int8_t *in, int8_t *out);
void hwkd_run_softmax(const hwkd_softmax *layer, const int8_t *in, int8_t *out);
void hwkd_run_copy(const hwkd_copy *layer, const int8_t *in, int8_t *out);
void hwkd_run_table(const int8_t *table, int32_t elements, const int8_t *in, int8_t *out);
void hwkd_run_keep(int8_t *columns, int32_t kept, int32_t dropped);
void hwkd_run_running_mean(const hwkd_running_mean *layer, const int8_t *in, int8_t *out, void *memory);
void hwkd_run_fill(int8_t value, int32_t elements, int8_t *out);
void hwkd_run_limits(int8_t low, int8_t high, int32_t elements, int8_t *out);

#ifdef __cplusplus
}
#endif

#endif
