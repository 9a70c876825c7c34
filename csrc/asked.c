/* asked.c - rows that wait for what only the caller knows of them: STATUS and METADATA.
 *
 * To cross over to the caller costs several times what a row does.  So rows wait, with all that is known of
 * them, until there are some hundreds; the caller is asked about these at once, and they are written in the
 * order they came.  How many wait is bounded by number and by octets, whatever the answer's length.
 *
 * Source: imapd.c list_response, printstatus; RFC 5819, 9590.
 */
#include <stdlib.h>

#include "bytes.h"
#include "listing.h"

#define WAITING_OCTETS 32768u    /* of names and keys: long ones wait in smaller numbers */

static bool make_room(pxl_listing *listing)
{
    return listing->waiting || (listing->waiting = calloc(1, sizeof *listing->waiting));
}

void pxl_waiting_add(pxl_listing *listing, const pxl_answer_row *row, uint32_t attributes, pxl_slice use)
{
    const pxl_subject *subject = &row->subject;
    const size_t own_key = row->has_subject ? subject->key_len : 0;
    pxl_waiting_row *added;
    pxl_bytes *text;

    if (!make_room(listing) || !pxl_bytes_add(text = &listing->waiting->text, row->name.data, row->name.len)
        || !pxl_bytes_add(text, row->key.data, row->key.len) || !pxl_bytes_add(text, subject->key, own_key)
        || !pxl_bytes_add(text, use.data, use.len)) {
        pxl_listing_fail(listing, PXL_E_MEMORY, "out of memory");
        return;
    }
    added = &listing->waiting->rows[listing->waiting->count++];
    added->row = *row;
    added->row.attributes = attributes;
    added->row.subject.key_len = own_key;
    added->use.len = use.len;
    added->status = added->metadata = (pxl_slice){NULL, 0};
    if (listing->waiting->count == PXL_WAITING_MOST || text->len >= WAITING_OCTETS) pxl_waiting_answer(listing);
}

/* The text does not move any more: tell the rows where theirs is. */
static void place(pxl_waiting *waiting)
{
    uint8_t *at = waiting->text.data;

    for (size_t i = 0; i < waiting->count; i++) {
        pxl_waiting_row *waits = &waiting->rows[i];
        waits->row.name.data = at;
        waits->row.key.data = at += waits->row.name.len;
        waits->row.subject.key = at += waits->row.key.len;
        waits->use.data = at += waits->row.subject.key_len;
        at += waits->use.len;
    }
}

/* What has no mailbox, or one that cannot be selected, is not asked about. */
static bool is_asked(const pxl_waiting_row *waits)
{
    return waits->row.has_subject && !(waits->row.attributes & PXL_NOSELECT);
}

/* Put down what the caller is asked about; false without memory. */
static bool gather(pxl_waiting *waiting, pxl_asked *asked)
{
    pxl_bytes *keys = &waiting->keys;

    keys->len = asked->count = 0;
    for (size_t i = 0; i < waiting->count; i++) {
        const pxl_answer_row *row = &waiting->rows[i].row;
        if (!is_asked(&waiting->rows[i])) continue;
        if (asked->count && !pxl_bytes_add(keys, "", 1)) return false;
        if (!pxl_bytes_add(keys, row->key.data, row->key.len)) return false;
        waiting->sizes[asked->count++] = (uint32_t)row->key.len;
    }
    asked->keys = (pxl_slice){keys->data, keys->len};
    asked->sizes = waiting->sizes;
    return true;
}

/* One of the answers off `octets`; of a mailbox without STATUS the row says so.  False where they are fewer
 * octets than was said. */
static bool take(pxl_waiting_row *waits, int what, uint32_t size, pxl_slice *octets)
{
    if (size == PXL_UNTOLD) {
        if (what == PXL_RETURN_STATUS) waits->row.attributes |= PXL_NOSELECT;
        return true;
    }
    if (size > octets->len) return false;
    *(what == PXL_RETURN_STATUS ? &waits->status : &waits->metadata) = (pxl_slice){octets->data, size};
    *octets = (pxl_slice){octets->data + size, octets->len - size};
    return true;
}

/* Ask about all rows that wait. */
static void ask(pxl_listing *listing, int what)
{
    pxl_waiting *waiting = listing->waiting;
    pxl_slice octets = {NULL, 0}, sizes = {NULL, 0};
    pxl_asked asked;
    uint32_t size = PXL_UNTOLD;
    int result;

    if (!gather(waiting, &asked)) pxl_listing_fail(listing, PXL_E_MEMORY, "out of memory");
    if (listing->failed || !asked.count) return;
    result = listing->callbacks->tell(listing->handle, what, &asked, &octets, &sizes);
    if (result < 0 || (result == PXL_OK && sizes.len != asked.count * sizeof size)) {
        pxl_listing_fail(listing, PXL_E_FETCH, "asking for STATUS or METADATA");
        return;
    }
    for (size_t i = 0; i < waiting->count; i++) {
        if (!is_asked(&waiting->rows[i])) continue;
        if (result == PXL_OK) {
            memcpy(&size, sizes.data, sizeof size);
            sizes.data += sizeof size;
        }
        if (take(&waiting->rows[i], what, size, &octets)) continue;
        pxl_listing_fail(listing, PXL_E_FETCH, "asking for STATUS or METADATA");
        return;
    }
}

void pxl_waiting_answer(pxl_listing *listing)
{
    pxl_waiting *waiting = listing->waiting;

    if (!waiting || !waiting->count) return;
    if (!pxl_bytes_room(&waiting->text, PXL_SLACK)) pxl_listing_fail(listing, PXL_E_MEMORY, "out of memory");
    place(waiting);
    if (selects(listing, PXL_RETURN_STATUS)) ask(listing, PXL_RETURN_STATUS);
    if (selects(listing, PXL_RETURN_METADATA) && listing->output == PXL_OUTPUT_IMAP) ask(listing, PXL_RETURN_METADATA);
    for (size_t i = 0; i < waiting->count && !listing->failed; i++) pxl_answer_write(listing, &waiting->rows[i]);
    pxl_waiting_forget(listing);
}

void pxl_waiting_forget(pxl_listing *listing)
{
    if (listing->waiting) listing->waiting->count = listing->waiting->text.len = 0;
}

void pxl_waiting_free(pxl_listing *listing)
{
    if (!listing->waiting) return;
    pxl_bytes_free(&listing->waiting->text);
    pxl_bytes_free(&listing->waiting->keys);
    free(listing->waiting);
}
