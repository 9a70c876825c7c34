/* octets.h - inside the core: sixteen octets, or eight, compared at once.
 *
 * Vectors of the compiler's own, so one text serves every processor; a comparison gives 255 where it holds.
 */
#ifndef PXL_OCTETS_H
#define PXL_OCTETS_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

typedef uint8_t pxl_octets8 __attribute__((vector_size(8)));
typedef uint8_t pxl_octets16 __attribute__((vector_size(16)));

static inline pxl_octets16 pxl_octets16_load(const uint8_t *p)
{
    pxl_octets16 v;

    memcpy(&v, p, sizeof v);
    return v;
}

/* The first `n` of them alone, where they are fewer than 16; the others are 0. */
static inline pxl_octets16 pxl_octets16_first(pxl_octets16 v, size_t n)
{
    static const uint8_t MASK[32] = {255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255};

    return n < sizeof v ? v & pxl_octets16_load(MASK + sizeof v - n) : v;
}

static inline bool pxl_octets16_any(pxl_octets16 v)
{
    uint64_t words[2];

    memcpy(words, &v, sizeof words);
    return words[0] | words[1];
}

#endif
