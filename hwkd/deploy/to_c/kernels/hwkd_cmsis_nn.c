/* Calls CMSIS-NN. Its quantisation parameters are not declared const, but it only reads them. */
#include "hwkd_cmsis_nn.h"

#include "arm_nnfunctions.h"

static cmsis_nn_per_channel_quant_params scales_of(const hwkd_cmsis_layer *layer)
{
    cmsis_nn_per_channel_quant_params scales;
    scales.multiplier = (int32_t *)(uintptr_t)layer->multipliers;
    scales.shift = (int32_t *)(uintptr_t)layer->shifts;
    return scales;
}

static cmsis_nn_dims dims(int32_t n, int32_t height, int32_t width, int32_t channels)
{
    const cmsis_nn_dims result = {n, height, width, channels};
    return result;
}

void hwkd_run_cmsis_conv(const hwkd_cmsis_layer *layer, const int8_t *in, int8_t *out, void *scratch)
{
    const cmsis_nn_context context = {scratch, layer->scratch_bytes};
    const cmsis_nn_conv_params params = {-layer->in_zero,
                                         layer->out_zero,
                                         {layer->stride_width, layer->stride_height},
                                         {layer->pad_left, layer->pad_top},
                                         {layer->dilation_width, layer->dilation_height},
                                         {-128, 127}};
    const cmsis_nn_per_channel_quant_params scales = scales_of(layer);
    const cmsis_nn_dims input = dims(1, layer->in_height, layer->in_width, layer->in_channels);
    const cmsis_nn_dims filter = dims(layer->out_channels, layer->kernel_height, layer->kernel_width, layer->in_channels);
    const cmsis_nn_dims bias = dims(1, 1, 1, layer->out_channels);
    const cmsis_nn_dims output = dims(1, layer->out_height, layer->out_width, layer->out_channels);
    arm_convolve_wrapper_s8(&context, &params, &scales, &input, in, &filter, layer->weights, &bias, layer->bias,
                            &output, out);
}

void hwkd_run_cmsis_depthwise(const hwkd_cmsis_layer *layer, const int8_t *in, int8_t *out, void *scratch)
{
    const cmsis_nn_context context = {scratch, layer->scratch_bytes};
    const cmsis_nn_dw_conv_params params = {-layer->in_zero,
                                            layer->out_zero,
                                            layer->out_channels / layer->in_channels,
                                            {layer->stride_width, layer->stride_height},
                                            {layer->pad_left, layer->pad_top},
                                            {layer->dilation_width, layer->dilation_height},
                                            {-128, 127}};
    const cmsis_nn_per_channel_quant_params scales = scales_of(layer);
    const cmsis_nn_dims input = dims(1, layer->in_height, layer->in_width, layer->in_channels);
    const cmsis_nn_dims filter = dims(1, layer->kernel_height, layer->kernel_width, layer->out_channels);
    const cmsis_nn_dims bias = dims(1, 1, 1, layer->out_channels);
    const cmsis_nn_dims output = dims(1, layer->out_height, layer->out_width, layer->out_channels);
    arm_depthwise_conv_wrapper_s8(&context, &params, &scales, &input, in, &filter, layer->weights, &bias, layer->bias,
                                  &output, out);
}

/* One scale for all outputs. */
void hwkd_run_cmsis_fully_connected(const hwkd_cmsis_layer *layer, const int8_t *in, int8_t *out, void *scratch)
{
    const cmsis_nn_context context = {scratch, layer->scratch_bytes};
    const cmsis_nn_fc_params params = {-layer->in_zero, 0, layer->out_zero, {-128, 127}};
    const cmsis_nn_per_tensor_quant_params scale = {layer->multipliers[0], layer->shifts[0]};
    const cmsis_nn_dims input = dims(1, 1, 1, layer->in_channels);
    const cmsis_nn_dims filter = dims(layer->in_channels, 1, 1, layer->out_channels);
    const cmsis_nn_dims bias = dims(1, 1, 1, layer->out_channels);
    const cmsis_nn_dims output = dims(1, 1, 1, layer->out_channels);
    arm_fully_connected_s8(&context, &params, &scale, &input, in, &filter, layer->weights, &bias, layer->bias, &output,
                           out);
}
