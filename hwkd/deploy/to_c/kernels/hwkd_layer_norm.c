/* Layer normalisation. Mean and variance are exact sums of integers, what follows is float; the
 * input's zero point and scale cancel. The output may overwrite the input. */
#include "hwkd_layer_norm.h"

void hwkd_run_layer_norm(const hwkd_layer_norm *layer, const int8_t *in, int8_t *out)
{
    const int32_t length = layer->length, stride = layer->stride;
    for (int32_t row = 0; row < layer->rows; row++, in += layer->row_stride, out += layer->row_stride) {
        int32_t sum = 0, squares = 0;
        float per_deviation;
        for (int32_t i = 0; i < length; i++) {
            const int32_t value = in[i * stride];
            sum += value;
            squares += value * value;
        }
        per_deviation = 1.0f / sqrtf((float)((int64_t)length * squares - (int64_t)sum * sum) + layer->epsilon);
        for (int32_t i = 0; i < length; i++) {
            const float normal = (float)(length * in[i * stride] - sum) * per_deviation;
            out[i * stride] = hwkd_saturate(hwkd_round(normal * layer->scales[i] + layer->shifts[i]) + layer->out_zero);
        }
    }
}
