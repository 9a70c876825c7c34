/* radix.h - sorting many things by 64-bit numbers. */
#ifndef PXL_RADIX_H
#define PXL_RADIX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint64_t number;
    const void *item;
} pxl_ranked;

/* Sort `n` of them by number, equal ones as they came; with a spare array as long, four passes and no
 * comparisons.  False when there is no memory: then they stand as they stood. */
bool pxl_radix_sort(pxl_ranked *ranked, size_t n);

#endif
