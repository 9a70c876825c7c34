/* recursive.c - the rows of RECURSIVEMATCH: every event is kept, sorted by name, and each name answered once.
 *
 * Source: imapd.c recursivematch_cb, list_data_recursivematch; RFC 5258 3.1.
 */
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

bool pxl_recursive_hear(pxl_listing *listing, const pxl_event *e)
{
    const pxl_view *view = listing->view;
    pxl_answer_row *row = &listing->last;
    uint32_t children = 0;
    pxl_subject subject;
    bool found = false;

    if (!view->admin && !selects(listing, PXL_SELECT_DAV)
        && pxl_event_hidden(listing, e, true, view->hidden_recursive))
        return false;
    if (e->exact)
        found = pxl_event_find(listing, e, &subject, &children);
    else if (view->existing_ancestors)
        found = find_ancestor(listing, e, &subject);
    pxl_row_begin(listing, row, e, found ? &subject : NULL);
    row->children = children;
    row->attributes = e->exact ? PXL_SUBSCRIBED : PXL_CHILDINFO | PXL_HASCHILDREN;
    if (!found) row->attributes |= PXL_NONEXISTENT;
    if (row->set) pxl_kept_add(listing, row);
    row->set = false;
    return !e->exact;
}

/* Events of one name make one row: it exists if any of them found a mailbox. */
static void answer_match(pxl_listing *listing)
{
    pxl_answer_row *row = &listing->kept[listing->kept_at].row;
    uint32_t exists = ~row->attributes & PXL_NONEXISTENT;

    for (listing->kept_at++; listing->kept_at < listing->kept_len; listing->kept_at++) {
        const pxl_answer_row *next = &listing->kept[listing->kept_at].row;
        if (!pxl_same(row->name.data, row->name.len, next->name.data, next->name.len)) break;
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
    if (!listing->kept_at) pxl_kept_sort(listing);
    while (listing->kept_at < listing->kept_len && !listing->failed) {
        if (listing->out.len >= limit) return PXL_MORE;
        answer_match(listing);
    }
    return PXL_OK;
}
