/* Fully connected layer: one pixel of a 1x1 convolution. */
#include "hwkd_dense.h"

void hwkd_run_fully_connected(const hwkd_conv *layer, const int8_t *in, int8_t *out, void *scratch)
{
#if HWKD_HELIUM
    hwkd_reorder(in, layer->in_channels, scratch);
    hwkd_dense_1(layer, scratch, out);
#elif HWKD_DSP
    hwkd_widen(in, layer->depth, scratch, 1);
    hwkd_dense_1(layer, scratch, out);
#else
    (void)scratch;
    hwkd_dense_1(layer, in, out);
#endif
}
