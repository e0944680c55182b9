/* Depthwise convolution: one filter per channel.
 *
 * Four channels go through the whole image before the next four. The rows under the window are copied
 * to a line buffer with their padding, some ahead: so the output may take the place of the input, pixel
 * over pixel, and the inner loops know nothing of edges.
 *
 * Weights come in blocks of four channels, [block][tap][4], the last block filled up with zeros and
 * the requantisations of channels with repetitions.
 */
#include "hwkd_kernels.h"

#if HWKD_HELIUM
#include "hwkd_helium.h"
#elif HWKD_DSP
#include "hwkd_dsp.h"
#endif

#define BLOCK 4

/* Working memory: offsets, wide weights (DSP only), lines. Rows and columns count from the padding. */
typedef struct {
    int32_t taps, columns;
    int32_t lines;      /* rows that the buffer holds */
    int32_t rows, next; /* of the image with padding; the first that is not in the buffer */
    int32_t *offsets;   /* distance of each tap from the first */
    uint32_t *wide;     /* [tap][2] pairs of int16: channels 0 and 2, 1 and 3 */
    int8_t *buffer;     /* [lines][columns][BLOCK] */
} workspace;

/* Output pixels behind each other, whose windows are `step` bytes apart. */
typedef struct {
    int32_t count, step;
} run;

static workspace prepare(const hwkd_grouped_conv *layer, void *scratch)
{
    workspace work;
    int32_t tap = 0;
    const int32_t last_row = (layer->kernel_height - 1) * layer->dilation_height;
    const int32_t last_column = (layer->kernel_width - 1) * layer->dilation_width;
    work.taps = layer->kernel_height * layer->kernel_width;
    work.columns = (layer->out_width - 1) * layer->stride_width + last_column + 1;
    work.lines = last_row + 1 + layer->ahead * layer->stride_height;
    work.rows = (layer->out_height - 1) * layer->stride_height + last_row + 1;
    work.offsets = scratch;
    work.wide = (uint32_t *)(work.offsets + work.taps);
    work.buffer = (int8_t *)(work.wide + (HWKD_DSP ? 2 * work.taps : 0));
    for (int32_t ky = 0; ky < layer->kernel_height; ky++)
        for (int32_t kx = 0; kx < layer->kernel_width; kx++)
            work.offsets[tap++] = BLOCK * (ky * layer->dilation_height * work.columns + kx * layer->dilation_width);
    memset(work.buffer, layer->in_zero, (size_t)(BLOCK * work.columns * work.lines));
    return work;
}

static inline void copy_block(const int8_t *from, int8_t *to)
{
#if HWKD_DSP || HWKD_HELIUM
    memcpy(to, from, BLOCK);
#else /* without unaligned words a call */
    to[0] = from[0], to[1] = from[1], to[2] = from[2], to[3] = from[3];
#endif
}

/* Copies four channels of an image row between the padding of a line. */
static void load(const hwkd_grouped_conv *layer, const workspace *work, const int8_t *in, int32_t row, int8_t *line)
{
    const int32_t y = row - layer->pad_top, channels = layer->in_channels;
    const int32_t room = work->columns - layer->pad_left;
    if (y < 0 || y >= layer->in_height) {
        memset(line, layer->in_zero, (size_t)(BLOCK * work->columns));
        return;
    }
    in += y * layer->in_width * channels;
    line += BLOCK * layer->pad_left;
    for (int32_t left = room < layer->in_width ? room : layer->in_width; left > 0; left--, in += channels, line += BLOCK)
        copy_block(in, line);
}

/* Fills the buffer from `row` on, `step` rows behind where it began before. */
static void refill(const hwkd_grouped_conv *layer, workspace *work, const int8_t *in, int32_t row, int32_t step)
{
    const int32_t line_bytes = BLOCK * work->columns, end = row + work->lines < work->rows ? row + work->lines : work->rows;
    if (work->next > row) {
        const uint32_t *from = (const uint32_t *)(work->buffer + step * line_bytes);
        uint32_t *to = (uint32_t *)work->buffer;
        for (int32_t left = (work->next - row) * work->columns; left > 0; left--)
            *to++ = *from++;
    } else {
        work->next = row;
    }
    for (; work->next < end; work->next++)
        load(layer, work, in, work->next, work->buffer + (work->next - row) * line_bytes);
}

#if HWKD_HELIUM

static void outputs(const hwkd_grouped_conv *layer, const workspace *work, const int8_t *block, const hwkd_channel *channel,
                    int32_t lanes, const int8_t *window, run pixels, int8_t *out)
{
    const int32_t taps = work->taps;
    for (int32_t left = pixels.count; left > 0; left--, window += pixels.step, out += layer->out_channels) {
        const int8_t *weights = block;
        int32x4_t sums = hwkd_biases(channel, BLOCK);
        for (int32_t tap = 0; tap < taps; tap++, weights += BLOCK)
            sums = vaddq_s32(sums, vmulq_s32(vldrbq_s32(window + work->offsets[tap]), vldrbq_s32(weights)));
        hwkd_store_channels(sums, channel, layer->out_zero, lanes, out);
    }
}

#else

#if HWKD_DSP

/* One tap of four channels. */
#define HWKD_TAP(offset)                      \
    "ldr   %[x], [%[p], " offset "]\n\t"      \
    "ldrd  %[u], %[v], [%[w]], #8\n\t"        \
    "sxtb16 %[y], %[x]\n\t"                   \
    "sxtb16 %[x], %[x], ror #8\n\t"           \
    "smlabb %[a], %[y], %[u], %[a]\n\t"       \
    "smlatt %[c], %[y], %[u], %[c]\n\t"       \
    "smlabb %[b], %[x], %[v], %[b]\n\t"       \
    "smlatt %[d], %[x], %[v], %[d]\n\t"
#define HWKD_TWO_TAPS "ldrd %[o], %[q], [%[t]], #8\n\t" HWKD_TAP("%[o]") HWKD_TAP("%[q]")
#define HWKD_LAST_TAP "ldr %[o], [%[t]], #4\n\t" HWKD_TAP("%[o]")

#define HWKD_TAP_OPERANDS                                                                              \
    [a] "+r"(a), [b] "+r"(b), [c] "+r"(c), [d] "+r"(d), [w] "+r"(weights), [t] "+r"(offsets),          \
        [x] "=&r"(x), [y] "=&r"(y), [u] "=&r"(u), [v] "=&r"(v), [o] "=&r"(o), [q] "=&r"(q)

static inline void sum_taps(const workspace *work, const int8_t *block, const int8_t *pixel, int32_t sums[BLOCK])
{
    const int32_t *offsets = work->offsets;
    const uint32_t *weights = work->wide;
    int32_t a = sums[0], b = sums[1], c = sums[2], d = sums[3], o, q;
    uint32_t x, y, u, v;
    (void)block;
    if (work->taps == 9)
        __asm__ volatile(HWKD_TWO_TAPS HWKD_TWO_TAPS HWKD_TWO_TAPS HWKD_TWO_TAPS HWKD_LAST_TAP
                         : HWKD_TAP_OPERANDS
                         : [p] "r"(pixel)
                         : "memory");
    else
        for (int32_t tap = work->taps; tap > 0; tap--)
            __asm__ volatile(HWKD_LAST_TAP : HWKD_TAP_OPERANDS : [p] "r"(pixel) : "memory");
    sums[0] = a, sums[1] = b, sums[2] = c, sums[3] = d;
}

#else

/* Cores without DSP instructions have few registers: by itself it keeps what it needs in them. */
#if defined(__GNUC__) || defined(__clang__)
__attribute__((noinline))
#endif
static void sum_taps(const workspace *work, const int8_t *block, const int8_t *pixel, int32_t sums[BLOCK])
{
    const int32_t *const first = work->offsets, *const end = first + work->taps;
    for (int32_t *const last = sums + BLOCK; sums != last; sums++, block++, pixel++) {
        const int8_t *weights = block;
        int32_t sum = *sums;
        for (const int32_t *offset = first; offset != end; offset++, weights += BLOCK)
            sum += *weights * pixel[*offset];
        *sums = sum;
    }
}

#endif

static void outputs(const hwkd_grouped_conv *layer, const workspace *work, const int8_t *block, const hwkd_channel *channel,
                    int32_t lanes, const int8_t *window, run pixels, int8_t *out)
{
    const int32_t zero = layer->out_zero;
    int8_t rest[BLOCK];
    for (int32_t left = pixels.count; left > 0; left--, window += pixels.step, out += layer->out_channels) {
        int32_t sums[BLOCK] = {channel[0].bias, channel[1].bias, channel[2].bias, channel[3].bias};
        int8_t *to = lanes == BLOCK ? out : rest;
        sum_taps(work, block, window, sums);
        to[0] = hwkd_requantise(sums[0], channel, zero);
        to[1] = hwkd_requantise(sums[1], channel + 1, zero);
        to[2] = hwkd_requantise(sums[2], channel + 2, zero);
        to[3] = hwkd_requantise(sums[3], channel + 3, zero);
        for (int32_t lane = 0; to == rest && lane < lanes; lane++)
            out[lane] = rest[lane];
    }
}

#endif

/* Four channels, of which there are `lanes`. */
static void run_block(const hwkd_grouped_conv *layer, workspace *work, const int8_t *block, const hwkd_channel *channel,
                      int32_t lanes, const int8_t *in, int8_t *out)
{
    const int32_t row_step = layer->stride_height * BLOCK * work->columns;
    int32_t rows = layer->ahead + 1;
    work->next = 0;
    for (int32_t out_y = 0; out_y < layer->out_height; out_y += rows) {
        const int8_t *window = work->buffer;
        refill(layer, work, in, out_y * layer->stride_height, rows * layer->stride_height);
        if (rows > layer->out_height - out_y)
            rows = layer->out_height - out_y;
        const int is_column = layer->out_width == 1; /* then what the buffer holds is one run */
        const run row = {layer->out_width, BLOCK * layer->stride_width}, column = {rows, row_step};
        const run pixels = is_column ? column : row;
        for (int32_t left = is_column ? 1 : rows; left > 0; left--, window += row_step) {
            outputs(layer, work, block, channel, lanes, window, pixels, out);
            out += pixels.count * layer->out_channels;
        }
    }
}

void hwkd_run_depthwise(const hwkd_grouped_conv *layer, const int8_t *in, int8_t *out, void *scratch)
{
    workspace work = prepare(layer, scratch);
    for (int32_t first = 0; first < layer->in_channels; first += BLOCK) {
        const int32_t left = layer->in_channels - first;
        const int8_t *block = layer->weights + first * work.taps;
#if HWKD_DSP
        hwkd_widen(block, BLOCK * work.taps, work.wide, 1);
#endif
        run_block(layer, &work, block, layer->channels + first, left < BLOCK ? left : BLOCK, in + first, out + first);
    }
}
