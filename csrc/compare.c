/* compare.c - the mailboxes of a source beside those of an index: what differs?
 *
 * Both are in name order, and most of them are equal.  Rows tell for certain, but to make the row of a
 * mailbox its value must be understood, which costs several times what reading it does.  So an index
 * keeps digests as well: of the names and values, as they stand in the source, of about a thousand
 * mailboxes in a row.  A *stretch* of the source whose digest the index has is equal without a further
 * look.  Whoever changes a row of the index takes the digest of its stretch away (write.py).
 *
 * A digest is keyed with a random number that stands in the index alone: nobody who may choose
 * names or ACLs can make two values that have one digest.
 */
#include <stdlib.h>

#include "bytes.h"
#include "invert.h"
#include "reader.h"

#define STRETCH 1024             /* mailboxes after which a stretch ends with the next block */
#define LONGEST (16 * STRETCH)   /* mailboxes that are held to be looked at again */

/* ---- digests ----------------------------------------------------------------------------------- */

static uint64_t add_octets(uint64_t h, uint64_t key, const uint8_t *p, size_t len)
{
    uint64_t other = h ^ key, word = 0;

    h ^= len;
    for (; len >= 32; p += 32, len -= 32) {
        h = pxl_multiply_fold(pxl_le64(p) ^ h, pxl_le64(p + 8) ^ key);
        other = pxl_multiply_fold(pxl_le64(p + 16) ^ other, pxl_le64(p + 24) ^ key);
    }
    for (; len >= 8; p += 8, len -= 8) h = pxl_multiply_fold(pxl_le64(p) ^ h, key);
    for (size_t i = 0; i < len; i++) word |= (uint64_t)p[i] << (8 * i);
    return pxl_multiply_fold(word ^ h, other ^ key);
}

static uint64_t add_mailbox(const pxl_inversion *inversion, uint64_t h, pxl_slice name, pxl_slice value)
{
    uint64_t key = inversion->seed | 1;

    return add_octets(add_octets(h, key, name.data, name.len), key, value.data, value.len);
}

static uint64_t start_of(const pxl_inversion *inversion)
{
    return pxl_multiply_fold(inversion->seed ^ 0x9e3779b97f4a7c15u, 0xd1b54a32d192ed03u);
}

static int close_stretch(pxl_inversion *inversion)
{
    uint8_t head[6] = {(uint8_t)inversion->stretch_from_len, (uint8_t)(inversion->stretch_from_len >> 8), 8}, digest[8];

    for (int i = 0; i < 8; i++) digest[i] = (uint8_t)(inversion->stretch >> (8 * i));
    if (!pxl_bytes_add(&inversion->digests, head, sizeof head)
        || !pxl_bytes_add(&inversion->digests, inversion->stretch_from, inversion->stretch_from_len)
        || !pxl_bytes_add(&inversion->digests, digest, sizeof digest))
        return PXL_E_MEMORY;
    return PXL_OK;
}

int pxl_stretch_add(pxl_inversion *inversion, pxl_slice name, pxl_slice value)
{
    pxl_slice separator;

    if (!inversion->stretch_rows) inversion->stretch = start_of(inversion);
    if (inversion->stretch_rows >= STRETCH && pxl_cutter_began(inversion->cutters[PXL_DIRECTORY], &separator)) {
        if (close_stretch(inversion) < 0) return PXL_E_MEMORY;
        memcpy(inversion->stretch_from, separator.data, separator.len);
        inversion->stretch_from_len = separator.len;
        inversion->stretch = start_of(inversion);
        inversion->stretch_rows = 0;
    }
    inversion->stretch_rows++;
    inversion->stretch = add_mailbox(inversion, inversion->stretch, name, value);
    return PXL_OK;
}

int pxl_inversion_digests(pxl_inversion *inversion, pxl_slice *digests)
{
    int result = inversion->stretch_rows ? close_stretch(inversion) : PXL_OK;

    inversion->stretch_rows = 0;
    *digests = (pxl_slice){inversion->digests.data, inversion->digests.len};
    return result;
}

/* ---- records that are held to be looked at again ----------------------------------------------- */

static bool queue_push(pxl_queue *queue, const pxl_record *record)
{
    if (queue->at == queue->len) queue->at = queue->len = 0;
    if (queue->len == queue->cap) {
        size_t more = queue->cap ? 2 * queue->cap : 2 * STRETCH;
        pxl_record *grown = more <= SIZE_MAX / sizeof *grown ? realloc(queue->records, more * sizeof *grown) : NULL;
        if (!grown) return false;
        queue->records = grown;
        queue->cap = more;
    }
    queue->records[queue->len++] = *record;
    return true;
}

/* Give back the mailbox that a comparison took and did not use. */
static bool unread(pxl_inversion *inversion)
{
    if (!inversion->pending) return true;
    inversion->pending = false;
    inversion->counts.entries--;
    if (!inversion->queue.at) return queue_push(&inversion->queue, &inversion->record);
    inversion->queue.records[--inversion->queue.at] = inversion->record;
    return true;
}

static bool below(const pxl_record *record, pxl_slice upper)
{
    return !upper.len || pxl_compare(record->key.data, record->key.len, upper.data, upper.len) < 0;
}

/* Hold the mailbox after those that are held; PXL_END when there is none. */
static int hold_next(pxl_inversion *inversion, pxl_reader *reader, pxl_error *error)
{
    pxl_record record;
    int result = inversion->ended ? PXL_END : PXL_OK;

    if (result == PXL_OK)
        result = pxl_generation_next(&inversion->generation, reader, UINT64_MAX, &record, &inversion->counts, error);
    inversion->ended = result == PXL_END;
    if (result != PXL_OK) return result;
    return queue_push(&inversion->queue, &record) ? PXL_OK : pxl_no_memory(error);
}

int pxl_inversion_digest(pxl_inversion *inversion, pxl_reader *reader, const uint8_t *upper, size_t upper_len,
                         uint64_t *digest, pxl_error *error)
{
    pxl_queue *queue = &inversion->queue;
    pxl_slice end = {upper, upper_len};
    uint64_t h = start_of(inversion);
    size_t i;

    /* A dump's records do not last, and salvage must look at every one. */
    if (!reader->format->load || pxl_reader_salvages(reader)) return PXL_ABSENT;
    if (!unread(inversion)) return pxl_no_memory(error);
    if (queue->at) {
        memmove(queue->records, queue->records + queue->at, (queue->len - queue->at) * sizeof *queue->records);
        queue->len -= queue->at;
        queue->at = 0;
    }
    for (i = 0;; i++) {
        int result = i < queue->len ? PXL_OK : hold_next(inversion, reader, error);
        if (result < 0) return result;
        if (result == PXL_END || !below(&queue->records[i], end)) break;
        if (i == LONGEST) return PXL_MORE;
        h = add_mailbox(inversion, h, queue->records[i].key, queue->records[i].value);
    }
    inversion->digested = i;
    *digest = h;
    return PXL_OK;
}

void pxl_inversion_pass(pxl_inversion *inversion)
{
    inversion->queue.at += inversion->digested;
    inversion->counts.entries += inversion->digested;
    inversion->digested = 0;
}

/* ---- row by row -------------------------------------------------------------------------------- */

static int add_change(pxl_inversion *inversion, pxl_slice key, const pxl_slice *old, const pxl_slice *new)
{
    uint8_t head[10] = {(uint8_t)key.len, (uint8_t)(key.len >> 8)};
    uint32_t lengths[2] = {old ? (uint32_t)old->len : UINT32_MAX, new ? (uint32_t)new->len : UINT32_MAX};
    pxl_bytes *changes = &inversion->changes;

    if (inversion->changes_taken) changes->len = 0;
    inversion->changes_taken = false;
    for (int i = 0; i < 8; i++) head[2 + i] = (uint8_t)(lengths[i / 4] >> (8 * (i % 4)));
    if (!pxl_bytes_add(changes, head, sizeof head) || !pxl_bytes_add(changes, key.data, key.len)
        || (old && !pxl_bytes_add(changes, old->data, old->len)) || (new && !pxl_bytes_add(changes, new->data, new->len)))
        return PXL_E_MEMORY;
    return PXL_OK;
}

pxl_slice pxl_inversion_changes(pxl_inversion *inversion)
{
    pxl_slice changes = {inversion->changes.data, inversion->changes_taken ? 0 : inversion->changes.len};

    inversion->changes_taken = true;
    return changes;
}

/* The next mailbox of the source and its row, held or not. */
static int take(pxl_inversion *inversion, pxl_reader *reader, pxl_error *error)
{
    pxl_queue *queue = &inversion->queue;
    pxl_record *record = &inversion->record;
    pxl_mbentry entry;
    int result;

    if (queue->at < queue->len) {
        *record = queue->records[queue->at++];
        result = pxl_understand(inversion, record->key, record->value, record->offset, &entry, error);
    } else {
        result = inversion->ended ? PXL_END : pxl_entry_next(inversion, reader, UINT64_MAX, record, &entry, error);
        inversion->ended = result == PXL_END;
    }
    inversion->pending = result == PXL_OK;
    inversion->counts.entries += inversion->pending;
    return result;
}

/* The first row of a block that is not below `lower`. */
static int first_row(pxl_row *row, pxl_slice block, pxl_slice lower)
{
    int result;

    pxl_row_start(row, block);
    do result = pxl_row_next(row);
    while (result == PXL_OK && pxl_compare(row->key, row->keylen, lower.data, lower.len) < 0);
    return result;
}

int pxl_inversion_compare(pxl_inversion *inversion, pxl_reader *reader, pxl_slice block, pxl_slice lower,
                          pxl_slice upper, pxl_error *error)
{
    pxl_row row;
    int have_row, have_new = PXL_OK, result = PXL_OK;
    const pxl_slice *key = &inversion->record.key;

    inversion->digested = 0;
    have_row = first_row(&row, block, lower);
    for (;;) {
        if (!inversion->pending && have_new == PXL_OK) have_new = take(inversion, reader, error);
        if (have_new < 0) return have_new;
        if (have_row < 0) return pxl_fail(error, PXL_E_BLOCK, "damaged directory block", 0, 0, 0);
        if (have_row == PXL_OK && upper.len && pxl_compare(row.key, row.keylen, upper.data, upper.len) >= 0)
            have_row = PXL_END;
        bool new_here = inversion->pending && below(&inversion->record, upper);
        if (have_row == PXL_END && !new_here) return inversion->pending ? PXL_MORE : PXL_END;
        int order = have_row == PXL_END ? 1 : !new_here ? -1 : pxl_compare(row.key, row.keylen, key->data, key->len);
        pxl_slice old = row.payload, new = {inversion->row.data, inversion->row.len}, old_key = {row.key, row.keylen};
        if (order < 0)
            result = add_change(inversion, old_key, &old, NULL);
        else if (order > 0)
            result = add_change(inversion, *key, NULL, &new);
        else if (!pxl_same(old.data, old.len, new.data, new.len))
            result = add_change(inversion, *key, &old, &new);
        if (result < 0) return pxl_no_memory(error);
        if (order <= 0) have_row = pxl_row_next(&row);
        if (order >= 0) inversion->pending = false;
    }
}
