/* fuzz.h - what the fuzz targets share: a copy that ends where its allocation ends, and what must hold. */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "pxl.h"

/* A claim of the core: when it fails the input is a finding.  Not assert(), which NDEBUG takes away. */
#define REQUIRE(condition) ((condition) ? (void)0 : abort())

/* Called by libFuzzer with every input; -1 keeps it out of the corpus. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A copy in an allocation of exactly `size` octets, so that the first octet read behind it is one that
 * AddressSanitizer watches; libFuzzer's own buffer is larger than the input.  The caller frees it. */
static inline uint8_t *fuzz_copy(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size);

    REQUIRE(copy || !size);
    if (size) memcpy(copy, data, size);
    return copy;
}

/* Does a slice that the core handed out lie in the octets it was given? */
static inline bool fuzz_inside(pxl_slice whole, pxl_slice part)
{
    return !part.len || (part.data >= whole.data && pxl_has(whole.len, (uint64_t)(part.data - whole.data), part.len));
}

#endif
