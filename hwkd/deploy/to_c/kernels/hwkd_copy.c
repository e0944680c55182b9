/* Moves bytes between arrangements: concatenation, padding, transposition. */
#include "hwkd_kernels.h"

void hwkd_run_copy(const hwkd_copy *layer, const int8_t *in, int8_t *out)
{
    const int32_t *n = layer->counts, *from = layer->in_strides, *to = layer->out_strides;
    in += layer->in_offset;
    out += layer->out_offset;
    for (int32_t i = 0; i < n[0]; i++)
        for (int32_t j = 0; j < n[1]; j++)
            for (int32_t k = 0; k < n[2]; k++)
                for (int32_t l = 0; l < n[3]; l++) {
                    const int8_t *source = in + i * from[0] + j * from[1] + k * from[2] + l * from[3];
                    int8_t *target = out + i * to[0] + j * to[1] + k * to[2] + l * to[3];
                    for (int32_t m = 0; m < n[4]; m++)
                        target[m * to[4]] = layer->table ? layer->table[source[m * from[4]] + 128] : source[m * from[4]];
                }
}
