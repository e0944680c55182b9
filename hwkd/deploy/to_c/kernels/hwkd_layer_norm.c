/* Layer normalisation. Mean and variance are exact sums of integers, what follows is float; the
 * input's zero point and scale cancel. The output may overwrite the input. */
#include "hwkd_layer_norm.h"

/* 1 / sqrt(x) for x > 0 to two units in the last place, by Newton: the library's root brings errno. */
static float hwkd_per_root(float x)
{
    uint32_t bits;
    float y;
    memcpy(&bits, &x, sizeof bits);
    bits = 0x5f3759dfu - (bits >> 1);
    memcpy(&y, &bits, sizeof y);
    for (int32_t i = 0; i < 4; i++)
        y *= 1.5f - 0.5f * x * y * y;
    return y;
}

void hwkd_run_layer_norm(const hwkd_layer_norm *layer, const int8_t *in, int8_t *out)
{
    const int32_t length = layer->length, stride = layer->stride;
    for (int32_t row = 0; row < layer->rows; row++, in += layer->row_stride, out += layer->row_stride) {
        int32_t sum = 0, squares = 0;
        uint64_t spread;
        float per_deviation;
        for (int32_t i = 0; i < length; i++) {
            const int32_t value = in[i * stride];
            sum += value;
            squares += value * value;
        }
        spread = (uint64_t)((int64_t)length * squares - (int64_t)sum * sum);
        per_deviation = hwkd_per_root((float)(uint32_t)(spread >> 32) * 4294967296.0f + (float)(uint32_t)spread + layer->epsilon);
        for (int32_t i = 0; i < length; i++) {
            const float normal = (float)(length * in[i * stride] - sum) * per_deviation;
            out[i * stride] = hwkd_saturate(hwkd_round(normal * layer->scales[i] + layer->shifts[i]) + layer->out_zero);
        }
    }
}
