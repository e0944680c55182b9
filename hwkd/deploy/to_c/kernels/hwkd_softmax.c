/* Softmax by a table of exponentials, in the order of operations of ONNX Runtime. */
#include "hwkd_kernels.h"

void hwkd_run_softmax(const hwkd_softmax *layer, const int8_t *in, int8_t *out)
{
    for (int32_t i = 0; i < layer->outer; i++, in += layer->outer_stride, out += layer->outer_stride) {
        int32_t largest = -128;
        float sum = 0.0f;
        for (int32_t k = 0; k < layer->length; k++)
            largest = in[k * layer->stride] > largest ? in[k * layer->stride] : largest;
        const float *exponentials = layer->exponentials + 255 - largest;
        for (int32_t k = 0; k < layer->length; k++)
            sum += exponentials[in[k * layer->stride]];
        for (int32_t k = 0; k < layer->length; k++) {
            const float part = exponentials[in[k * layer->stride]] * layer->out_steps / sum;
            out[k * layer->stride] = hwkd_saturate(hwkd_round(part) + layer->out_zero);
        }
    }
}
