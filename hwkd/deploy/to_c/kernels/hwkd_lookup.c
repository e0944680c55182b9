/* Copies rows of a table. No input reads beside it, as there is a row for every combination. */
#include "hwkd_lookup.h"

void hwkd_run_lookup(const hwkd_lookup *layer, const int8_t *in, int8_t *out)
{
    const int32_t digits = layer->digits, features = layer->features;
    const uint32_t last = (1u << layer->bits) - 1u;
    for (int32_t place = 0; place < layer->places; place++, in += digits, out += features) {
        uint32_t row = 0;
        for (int32_t i = 0; i < digits; i++)
            row = row << layer->bits | ((uint32_t)(in[i] - layer->in_zero) & last);
        memcpy(out, layer->rows + row * (uint32_t)features, (size_t)features);
    }
}
