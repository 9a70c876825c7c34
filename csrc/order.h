/* order.h - inside the core: numbers sorted by what they stand for, lines of a file or puts of a log.
 *
 * Both are nearly in order when they come, so runs are merged in long strides.  Inline, so that the comparison
 * is compiled into each use.
 */
#ifndef PXL_ORDER_H
#define PXL_ORDER_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* By the order of what `a` and `b` stand for in `of`, as memcmp tells it. */
typedef int (*pxl_number_order)(const void *of, uint32_t a, uint32_t b);

/* How many of the `n` at `left` are not above `number`: by doubling steps, then by halving. */
static inline size_t pxl_numbers_gallop(pxl_number_order compare, const void *of, const uint32_t *left, size_t n,
                                        uint32_t number)
{
    size_t low = 0, step = 1;

    while (step <= n - low && compare(of, left[low + step - 1], number) <= 0) {
        low += step;
        step *= 2;
    }
    for (size_t high = low + step <= n ? low + step - 1 : n; low < high;) {
        size_t middle = low + (high - low) / 2;
        if (compare(of, left[middle], number) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Merge two sorted runs; of equal ones the left come first. */
static inline void pxl_numbers_merge(pxl_number_order compare, const void *of, const uint32_t *left, size_t nl,
                                     const uint32_t *right, size_t nr, uint32_t *out)
{
    if (nl && nr && compare(of, left[nl - 1], *right) <= 0) { /* nearly always, where all is nearly in order */
        memcpy(out, left, nl * sizeof *out);
        memcpy(out + nl, right, nr * sizeof *out);
        return;
    }
    for (; nr; nr--, right++) {
        size_t n = pxl_numbers_gallop(compare, of, left, nl, *right);
        memcpy(out, left, n * sizeof *out);
        out += n;
        left += n;
        nl -= n;
        *out++ = *right;
    }
    memcpy(out, left, nl * sizeof *out);
}

/* Sort `n` numbers at `a`, equal ones as they came, with room for as many at `b`; where they are then. */
static inline uint32_t *pxl_numbers_sort(pxl_number_order compare, const void *of, uint32_t *a, uint32_t *b, size_t n)
{
    for (size_t width = 1; width < n; width *= 2) {
        for (size_t at = 0; at < n; at += 2 * width) {
            size_t nl = n - at < width ? n - at : width, nr = n - at - nl < width ? n - at - nl : width;
            pxl_numbers_merge(compare, of, a + at, nl, a + at + nl, nr, b + at);
        }
        uint32_t *swap = a;
        a = b;
        b = swap;
    }
    return a;
}

#endif
