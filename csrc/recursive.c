/* recursive.c - the rows of RECURSIVEMATCH: every event is kept, sorted by name, and each name answered once.
 *
 * Source: imapd.c recursivematch_cb, list_data_recursivematch; RFC 5258 3.1.
 */
#include <stdlib.h>

#include "bytes.h"
#include "entry.h"
#include "listing.h"

/* The mailbox that an ancestor's name means, if the view may list it; `subject` borrows the event's key. */
static bool find_ancestor(pxl_listing *listing, const pxl_event *e, pxl_subject *subject)
{
    const pxl_view *view = listing->view;
    size_t len = view->owner.len;

    if (e->len > e->external->tail && e->external->tail != SIZE_MAX) {
        if (e->len > e->external->tail_end) return false;
        len = e->external->tail_key + (e->len - e->external->tail);
    } else if (view->alt || !pxl_same(e->text, e->len, (const uint8_t *)"INBOX", 5)) {
        return false; /* the root of a namespace */
    }
    *subject = (pxl_subject){.key = e->name->key, .key_len = len};
    if (!pxl_listing_lookup(listing, subject->key, len, &subject->mbtype)) return false;
    if (subject->mbtype & (PXL_TOMBSTONE | PXL_INTERMEDIATE | PXL_RESERVED)) return false;
    return view->admin || (pxl_listing_rights(listing, subject) & PXL_RIGHT_L);
}

void pxl_recursive_hear(pxl_listing *listing, const pxl_event *e)
{
    const pxl_view *view = listing->view;
    pxl_answer_row *row;
    pxl_subject subject;
    bool found = false;

    if (!view->admin && !selects(listing, PXL_SELECT_DAV)
        && pxl_event_hidden(listing, e, true, view->hidden_recursive))
        return;
    if (listing->matches_len == listing->matches_cap) {
        size_t cap = listing->matches_cap ? 2 * listing->matches_cap : 64;
        row = realloc(listing->matches, cap * sizeof *row);
        if (!row) {
            pxl_listing_fail(listing, PXL_E_MEMORY, "out of memory");
            return;
        }
        memset(row + listing->matches_cap, 0, (cap - listing->matches_cap) * sizeof *row);
        listing->matches = row;
        listing->matches_cap = cap;
    }
    row = &listing->matches[listing->matches_len++];
    if (e->exact)
        found = pxl_event_find(listing, e, &subject);
    else if (view->existing_ancestors)
        found = find_ancestor(listing, e, &subject);
    pxl_row_begin(listing, row, e, found ? &subject : NULL);
    row->attributes = e->exact ? PXL_SUBSCRIBED : PXL_CHILDINFO | PXL_HASCHILDREN;
    if (!found) row->attributes |= PXL_NONEXISTENT;
}

static int compare_matches(const void *a, const void *b)
{
    const pxl_answer_row *x = a, *y = b;

    return pxl_compare(x->name.data, x->name.len, y->name.data, y->name.len);
}

/* Events of one name make one row: it exists if any of them found a mailbox. */
static void answer_match(pxl_listing *listing)
{
    pxl_answer_row *row = &listing->matches[listing->matches_at], *next;
    uint32_t exists = ~row->attributes & PXL_NONEXISTENT;

    for (listing->matches_at++; listing->matches_at < listing->matches_len; listing->matches_at++) {
        next = &listing->matches[listing->matches_at];
        if (compare_matches(row, next)) break;
        exists |= ~next->attributes & PXL_NONEXISTENT;
        row->attributes |= next->attributes;
        if (!row->has_subject && next->has_subject) {
            row->has_subject = true;
            row->subject = next->subject;
        }
    }
    row->attributes &= ~exists;
    pxl_answer(listing, row);
}

int pxl_recursive_answer(pxl_listing *listing, size_t limit)
{
    if (!listing->matches_at && listing->matches_len)
        qsort(listing->matches, listing->matches_len, sizeof *listing->matches, compare_matches);
    while (listing->matches_at < listing->matches_len && !listing->failed) {
        if (listing->out.len >= limit) return PXL_MORE;
        answer_match(listing);
    }
    return PXL_OK;
}
