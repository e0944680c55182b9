/* Product of two activations. */
#include "hwkd_kernels.h"

void hwkd_run_matmul(const hwkd_matmul *layer, const int8_t *a, const int8_t *b, int8_t *out)
{
    const int32_t a_zero = layer->a_zero, b_zero = layer->b_zero;
    for (int32_t i = 0; i < layer->batch; i++, a += layer->a_batch, b += layer->b_batch, out += layer->c_batch)
        for (int32_t row = 0; row < layer->rows; row++)
            for (int32_t column = 0; column < layer->columns; column++) {
                const int8_t *x = a + row * layer->a_row, *y = b + column * layer->b_column;
                int32_t sum = 0;
                for (int32_t k = layer->depth; k > 0; k--, x += layer->a_depth, y += layer->b_depth)
                    sum += (*x - a_zero) * (*y - b_zero);
                out[row * layer->c_row + column * layer->c_column] =
                    hwkd_requantise(sum, &layer->scale, layer->c_zero);
            }
}
