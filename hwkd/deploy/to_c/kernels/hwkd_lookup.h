/* Rows of a table that whole numbers name, as embeddings of words and bytes are. */
#ifndef HWKD_LOOKUP_H
#define HWKD_LOOKUP_H

#include "hwkd_kernels.h"

typedef struct {
    const int8_t *rows; /* one for each combination of digits, in their order */
    int32_t features;   /* of one */
    int32_t places;     /* numbers that are looked up */
    int32_t digits;     /* of one number, the first counts most */
    int32_t bits;       /* of one digit: the lowest of an input without its zero point */
    int8_t in_zero;
} hwkd_lookup;

void hwkd_run_lookup(const hwkd_lookup *layer, const int8_t *in, int8_t *out);

#endif
