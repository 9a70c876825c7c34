/* radix.c - two octets a pass, from the last: each pass counts, and then deals in order.
 *
 * The counts of all four passes are taken in one walk, and a pass whose numbers all agree is left
 * out.  Uniqueids are the long table that is sorted: their names come in another order entirely,
 * and comparing them is mostly waiting for memory.
 */
#include "radix.h"

#include <stdlib.h>
#include <string.h>

#define DIGITS 4
#define VALUES 65536u

static unsigned digit_of(uint64_t number, int digit)
{
    return number >> (16 * digit) & (VALUES - 1);
}

/* Counts -> where each value's first goes; false if all have one value. */
static bool place(size_t *counts, size_t n)
{
    size_t at = 0;

    for (size_t value = 0; value < VALUES; value++) {
        size_t count = counts[value];
        if (count == n) return false;
        counts[value] = at;
        at += count;
    }
    return true;
}

bool pxl_radix_sort(pxl_ranked *ranked, size_t n)
{
    size_t(*counts)[VALUES] = calloc(DIGITS, sizeof *counts);
    pxl_ranked *spare = malloc((n + 1) * sizeof *spare), *from = ranked, *to = spare;
    bool sorted = counts && spare;

    for (size_t i = 0; sorted && i < n; i++)
        for (int digit = 0; digit < DIGITS; digit++) counts[digit][digit_of(ranked[i].number, digit)]++;
    for (int digit = 0; sorted && digit < DIGITS; digit++) {
        if (!place(counts[digit], n)) continue;
        for (size_t i = 0; i < n; i++) to[counts[digit][digit_of(from[i].number, digit)]++] = from[i];
        pxl_ranked *swap = from;
        from = to;
        to = swap;
    }
    if (sorted && from != ranked) memcpy(ranked, from, n * sizeof *ranked);
    free(counts);
    free(spare);
    return sorted;
}
