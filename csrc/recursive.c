/* recursive.c - the rows of RECURSIVEMATCH: every event is kept, sorted by name, and each name answered once.
 *
 * Source: imapd.c recursivematch_cb, list_data_recursivematch; RFC 5258 3.1.
 */
#include <stdlib.h>

#include "bytes.h"
#include "entry.h"
#include "listing.h"

#define KEPT 4096u           /* events that the memory is not given back of */
#define TEXT_SLACK 64u       /* octets behind the last name that may be read */

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

/* Keep listing->last, as an event's row, behind those kept already. */
static bool keep(pxl_listing *listing)
{
    const pxl_answer_row *row = &listing->last;
    size_t cap = listing->matches_cap ? 2 * listing->matches_cap : 64;
    pxl_match *match;

    if (listing->matches_len == listing->matches_cap) {
        if (!(match = realloc(listing->matches, cap * sizeof *match))) return false;
        listing->matches = match;
        listing->matches_cap = cap;
    }
    match = &listing->matches[listing->matches_len];
    match->row = *row;
    match->at = listing->match_text.len;
    listing->matches_len++;
    return pxl_bytes_add(&listing->match_text, row->name.data, row->name.len)
           && pxl_bytes_add(&listing->match_text, row->key.data, row->key.len);
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
    if (row->set && !keep(listing)) pxl_listing_fail(listing, PXL_E_MEMORY, "out of memory");
    row->set = false;
    return !e->exact;
}

/* By name; of one name as they were heard. */
static int compare_matches(const void *a, const void *b)
{
    const pxl_match *x = a, *y = b;
    int order = pxl_compare(x->row.name.data, x->row.name.len, y->row.name.data, y->row.name.len);

    return order ? order : (x->at > y->at) - (x->at < y->at);
}

/* All events are heard: let their rows find their names, and sort them. */
static bool sort_matches(pxl_listing *listing)
{
    bool sorted = true;

    if (!pxl_bytes_room(&listing->match_text, TEXT_SLACK)) return false;
    for (size_t i = 0; i < listing->matches_len; i++) {
        pxl_match *match = &listing->matches[i];
        match->row.name.data = listing->match_text.data + match->at;
        match->row.key.data = match->row.name.data + match->row.name.len;
        match->row.subject.key = match->row.key.data;
        if (i && compare_matches(match - 1, match) > 0) sorted = false;
    }
    if (!sorted) qsort(listing->matches, listing->matches_len, sizeof *listing->matches, compare_matches);
    return true;
}

/* Events of one name make one row: it exists if any of them found a mailbox. */
static void answer_match(pxl_listing *listing)
{
    pxl_answer_row *row = &listing->matches[listing->matches_at].row;
    uint32_t exists = ~row->attributes & PXL_NONEXISTENT;

    for (listing->matches_at++; listing->matches_at < listing->matches_len; listing->matches_at++) {
        const pxl_answer_row *next = &listing->matches[listing->matches_at].row;
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
    if (!listing->matches_at && listing->matches_len && !sort_matches(listing))
        pxl_listing_fail(listing, PXL_E_MEMORY, "out of memory");
    while (listing->matches_at < listing->matches_len && !listing->failed) {
        if (listing->out.len >= limit) return PXL_MORE;
        answer_match(listing);
    }
    pxl_recursive_forget(listing, KEPT);
    return PXL_OK;
}

void pxl_recursive_forget(pxl_listing *listing, size_t most)
{
    if (listing->matches_cap <= most) return;
    free(listing->matches);
    listing->matches = NULL;
    listing->matches_len = listing->matches_at = listing->matches_cap = 0;
    pxl_bytes_free(&listing->match_text);
}
