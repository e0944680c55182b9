/* Sums, products and functions of single values. Outputs may overwrite the first input. */
#include "hwkd_kernels.h"

void hwkd_run_add(const hwkd_add *layer, const int8_t *a, const int8_t *b, int8_t *out)
{
    for (int32_t done = 0; done < layer->elements; done += layer->channels, a += layer->channels, out += layer->channels)
        for (int32_t i = 0; i < layer->channels; i++)
            out[i] = hwkd_add_scaled(a[i], b[i], &layer->sum);
}

void hwkd_run_mul(const hwkd_mul *layer, const int8_t *a, const int8_t *b, int8_t *out)
{
    const int32_t a_zero = layer->a_zero, b_zero = layer->b_zero;
    for (int32_t done = 0; done < layer->elements; done += layer->channels, a += layer->channels, out += layer->channels)
        for (int32_t i = 0; i < layer->channels; i++) {
            const int32_t product = (a[i] - a_zero) * (b[i] - b_zero);
#if HWKD_ROUNDING == HWKD_ROUND_FLOAT
            /* ONNX Runtime adds the zero point before it rounds. */
            out[i] = hwkd_saturate(hwkd_round((float)product * layer->scale.scale + (float)layer->out_zero));
#else
            out[i] = hwkd_requantise(product, &layer->scale, layer->out_zero);
#endif
        }
}

void hwkd_run_table(const int8_t *table, int32_t elements, const int8_t *in, int8_t *out)
{
    for (int32_t i = 0; i < elements; i++)
        out[i] = table[in[i] + 128];
}

void hwkd_run_fill(int8_t value, int32_t elements, int8_t *out)
{
    memset(out, value, (size_t)elements);
}

/* Limits of a fused ReLU or ReLU6 that int8 saturation does not give by itself. */
void hwkd_run_limits(int8_t low, int8_t high, int32_t elements, int8_t *out)
{
    for (int32_t i = 0; i < elements; i++)
        out[i] = out[i] < low ? low : out[i] > high ? high : out[i];
}
