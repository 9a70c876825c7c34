/* kept.c - rows kept until all are known: the events of RECURSIVEMATCH, subscriptions that are read otherwise.
 *
 * Names and keys stand in one piece of memory, so that a row costs little more than its octets.
 */
#include <stdlib.h>

#include "bytes.h"
#include "listing.h"

static bool make_room(pxl_listing *listing)
{
    size_t cap = listing->kept_cap ? 2 * listing->kept_cap : 64;
    pxl_kept *grown;

    if (listing->kept_len < listing->kept_cap) return true;
    if (!(grown = realloc(listing->kept, cap * sizeof *grown))) return false;
    listing->kept = grown;
    listing->kept_cap = cap;
    return true;
}

void pxl_kept_add(pxl_listing *listing, const pxl_answer_row *row)
{
    pxl_bytes *text = &listing->kept_text;
    const size_t at = text->len;

    if (!make_room(listing) || !pxl_bytes_add(text, row->name.data, row->name.len)
        || !pxl_bytes_add(text, row->key.data, row->key.len)) {
        pxl_listing_fail(listing, PXL_E_MEMORY, "out of memory");
        return;
    }
    listing->kept[listing->kept_len++] = (pxl_kept){*row, at};
}

/* By name; of one name as they came. */
static int compare_kept(const void *a, const void *b)
{
    const pxl_kept *x = a, *y = b;
    int order = pxl_compare(x->row.name.data, x->row.name.len, y->row.name.data, y->row.name.len);

    return order ? order : (x->at > y->at) - (x->at < y->at);
}

void pxl_kept_sort(pxl_listing *listing)
{
    bool sorted = true;

    if (!listing->kept_len) return; /* there may not even be a text */
    if (!pxl_bytes_room(&listing->kept_text, PXL_SLACK)) {
        pxl_listing_fail(listing, PXL_E_MEMORY, "out of memory");
        return;
    }
    for (size_t i = 0; i < listing->kept_len; i++) {
        pxl_kept *kept = &listing->kept[i];
        kept->row.name.data = listing->kept_text.data + kept->at;
        kept->row.key.data = kept->row.name.data + kept->row.name.len;
        kept->row.subject.key = kept->row.key.data;
        if (i && compare_kept(kept - 1, kept) > 0) sorted = false;
    }
    if (!sorted) qsort(listing->kept, listing->kept_len, sizeof *listing->kept, compare_kept);
}

bool pxl_kept_has(const pxl_listing *listing, pxl_slice name)
{
    size_t low = 0, high = listing->kept_len;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const pxl_bytes *kept = &listing->kept[middle].row.name;
        const int order = pxl_compare(kept->data, kept->len, name.data, name.len);
        if (!order) return true;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

void pxl_kept_forget(pxl_listing *listing, size_t most)
{
    if (most && listing->kept_cap <= most) return;
    free(listing->kept);
    listing->kept = NULL;
    listing->kept_len = listing->kept_at = listing->kept_cap = 0;
    pxl_bytes_free(&listing->kept_text);
}
