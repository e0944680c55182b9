/* Linear resizing: in float in the order of operations of ONNX Runtime, since many values lie half-way
 * between two steps; for the rounding of TensorFlow Lite in its fixed point. */
#include "hwkd_resize.h"

void hwkd_run_resize(const hwkd_resize *layer, const int8_t *in, int8_t *out)
{
    const int32_t channels = layer->channels;
    for (int32_t y = 0; y < layer->out_height; y++)
        for (int32_t x = 0; x < layer->out_width; x++, out += channels) {
            const hwkd_taps *row = layer->rows + y, *column = layer->columns + x;
            const int8_t *above = in + row->low, *below = in + row->high;
#if HWKD_ROUNDING != HWKD_ROUND_TFLITE
            const float in_scale = layer->in_scale;
            const float a = column->low_weight * row->low_weight, b = column->high_weight * row->low_weight;
            const float c = column->low_weight * row->high_weight, d = column->high_weight * row->high_weight;
            for (int32_t i = 0; i < channels; i++) {
                const float value = a * ((float)(above[column->low + i] - layer->in_zero) * in_scale) +
                                    b * ((float)(above[column->high + i] - layer->in_zero) * in_scale) +
                                    c * ((float)(below[column->low + i] - layer->in_zero) * in_scale) +
                                    d * ((float)(below[column->high + i] - layer->in_zero) * in_scale);
                out[i] = hwkd_saturate(hwkd_round(value / layer->out_scale) + layer->out_zero);
            }
#else
            const int32_t right = column->high_weight, left = 1024 - right;
            const int32_t bottom = row->high_weight, top = 1024 - bottom;
            for (int32_t i = 0; i < channels; i++) {
                const int32_t sum = (above[column->low + i] * left + above[column->high + i] * right) * top +
                                    (below[column->low + i] * left + below[column->high + i] * right) * bottom;
                out[i] = (int8_t)((sum + (sum > 0 ? 524288 : -524288)) / 1048576);
            }
#endif
        }
}
