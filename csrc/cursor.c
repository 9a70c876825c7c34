/* cursor.c - lists of row blocks: walked in order, probed at a key, merged.
 *
 * A list's first block usually is the whole list and was handed over with it; whatever lies beyond
 * is asked for through the caller's fetch.  Seeking forward scans the block at hand.  Seeking
 * backward starts it again, unless the cursor knows that no row lies between the key sought and
 * the row it is on, as is nearly always so for a list that has nothing in the stretch of keys that
 * another list is being walked through.
 */
#include <stdlib.h>

#include "bytes.h"
#include "entry.h"
#include "listing.h"

void pxl_listing_fail(pxl_listing *listing, int code, const char *message)
{
    if (listing->failed) return;
    listing->failed = code;
    if (code != PXL_E_FETCH || !listing->error->code) pxl_fail(listing->error, code, message, 0, 0, 0);
}

/* ---- one list ---------------------------------------------------------------------------------- */

PXL_STEP bool decode_numbers(pxl_cursor *cursor)
{
    const uint8_t *p = cursor->row.payload.data, *end = p + cursor->row.payload.len;

    cursor->mbtype = cursor->granted = cursor->denied = 0;
    switch (cursor->role) {
    case PXL_ROLE_LOOKUP:
    case PXL_ROLE_QUIET:
        return pxl_varint_get(&p, end, &cursor->mbtype) && pxl_varint_get(&p, end, &cursor->granted)
               && (p == end || pxl_varint_get(&p, end, &cursor->denied));
    case PXL_ROLE_DIRECTORY:
        return pxl_varint_get(&p, end, &cursor->mbtype);
    default:
        return true;
    }
}

/* Make `block` the one being walked. */
static void start_block(pxl_cursor *cursor, pxl_slice block, bool first)
{
    pxl_row_start(&cursor->row, block);
    cursor->block_len = block.len;
    cursor->at_first = first;
}

/* A list in flat order keeps 0x01 for each dot, which puts dots where flat sorts them: lowest.
 * `to` dots for reading, to 0x01 for seeking. */
static void translate_dots(uint8_t *key, size_t len, uint8_t from, uint8_t to)
{
    for (uint8_t *p = key, *end = key + len; p < end && (p = memchr(p, from, (size_t)(end - p))); p++) *p = to;
}

/* Ask for the block that would hold `key`, or the next one; false when there is none. */
static bool fetch_block(pxl_listing *listing, pxl_cursor *cursor, const uint8_t *key, size_t len, bool after)
{
    pxl_slice block = {NULL, 0};
    int result;

    if (listing->failed || len > PXL_KEY_MAX) return false;
    result = listing->callbacks->fetch(listing->blocks, cursor->number, key, len, after, &block);
    if (result == PXL_OK) start_block(cursor, block, false);
    if (result < 0) pxl_listing_fail(listing, PXL_E_FETCH, "fetching a block of the index");
    return result == PXL_OK;
}

/* To the next row of the block at hand: 1 there, 0 the block is over, -1 damaged. */
static inline int next_in_block(pxl_listing *listing, pxl_cursor *cursor)
{
    int result = pxl_row_next(&cursor->row);

    if (result < 0) pxl_listing_fail(listing, PXL_E_BLOCK, "damaged row block");
    return result == PXL_OK ? 1 : result == PXL_END ? 0 : -1;
}

/* Come to rest, on a row or behind all. */
PXL_STEP bool land(pxl_listing *listing, pxl_cursor *cursor, bool on_row)
{
    const pxl_row *row = &cursor->row;

    /* A dot in flat order would be sought where it does not stand. */
    if (on_row && (row->keylen > PXL_NAME_MAX || !decode_numbers(cursor)
                   || (cursor->dots && memchr(row->key, '.', row->keylen)))) {
        pxl_listing_fail(listing, PXL_E_BLOCK, "damaged row block");
        on_row = false;
    }
    cursor->on_row = on_row;
    return on_row;
}

bool pxl_cursor_next(pxl_listing *listing, pxl_cursor *cursor)
{
    int found;

    cursor->floor_known = false;
    while (!(found = next_in_block(listing, cursor)))
        if (!cursor->row.more || !fetch_block(listing, cursor, NULL, 0, true)) return land(listing, cursor, false);
    return land(listing, cursor, found > 0);
}

static void remember_floor(pxl_cursor *cursor, const uint8_t *key, size_t len)
{
    cursor->floor_known = len <= sizeof cursor->floor;
    cursor->floor_len = len;
    if (cursor->floor_known && len) memcpy(cursor->floor, key, len);
}

/* The row at hand is the last below `key`, and `same` octets of them are equal: no other row lies
 * between it and where the cursor comes to rest, so the gap begins right above it. */
typedef struct {
    size_t same;             /* SIZE_MAX: no row below the key was met */
    uint8_t octet;           /* the least that stands above the row at that place */
} row_below;

static void lower_floor(pxl_cursor *cursor, const row_below *below)
{
    if (below->same >= cursor->floor_len) return;
    cursor->floor[below->same] = below->octet;
    cursor->floor_len = below->same + 1;
}

/* To the next row that shares no more than `same` octets with the one before; the octets of those in
 * between are not even copied, since no row from there on begins with more of them. */
static int skip_rows(pxl_listing *listing, pxl_cursor *cursor, size_t same)
{
    const uint8_t *p = cursor->row.at, *const end = cursor->row.end;
    size_t keylen = cursor->row.keylen, octets;

    for (; end - p >= 3 && !((p[0] | p[1] | p[2]) & 0x80); p += octets) {
        octets = 3 + (size_t)p[1] + p[2];
        if (p[0] <= same || p[0] > keylen || octets > (size_t)(end - p)) break;
        keylen = (size_t)p[0] + p[1];
    }
    cursor->row.at = p;
    cursor->row.keylen = keylen;
    return next_in_block(listing, cursor);
}

/* From the row at hand (or the block's start) on to the first row of the block at or after `key`: 1
 * there, 0 the block is over, -1 damaged.
 *
 * `same` is how many octets the row at hand shares with the key.  A row that shares more than that
 * with the one before differs from the key where that one did, and so is below it too: most rows are
 * stepped over without a look at their octets. */
static int scan_block(pxl_listing *listing, pxl_cursor *cursor, const uint8_t *key, size_t len, bool on_row)
{
    const pxl_row *row = &cursor->row;
    row_below below = {SIZE_MAX, 0};
    size_t same = 0;
    int found = 1;

    if (!on_row) found = next_in_block(listing, cursor);
    for (; found > 0; found = skip_rows(listing, cursor, same)) {
        if (row->shared > same && !on_row) continue;
        if (row->shared < same) same = row->shared;
        on_row = false;
        same += pxl_shared(row->key + same, row->keylen - same, key + same, len - same);
        if (same == len || (same < row->keylen && row->key[same] > key[same])) break;
        below = (row_below){same, same < row->keylen ? (uint8_t)(row->key[same] + 1) : 0};
    }
    if (cursor->floor_known) lower_floor(cursor, &below);
    return found;
}

/* Seek on from the row at hand, or from the start of the block at hand.  A leap (`on_row`) after one
 * that ended in another block asks for its block at once; if that proves to be the block it was in,
 * the next leap looks there first again. */
static bool scan_forward(pxl_listing *listing, pxl_cursor *cursor, const uint8_t *key, size_t len, bool on_row)
{
    const size_t left = (size_t)(cursor->row.end - cursor->row.at), block_len = cursor->block_len;
    const bool leap = on_row, far = leap && cursor->far && cursor->row.more;
    bool fetched = far;
    int found;

    if (far && !fetch_block(listing, cursor, key, len, false)) return land(listing, cursor, false);
    on_row = leap && !far;
    for (;;) {
        remember_floor(cursor, key, len);
        found = scan_block(listing, cursor, key, len, on_row);
        if (found || !cursor->row.more) break;
        /* The key may lie many blocks on: leap there once, then walk. */
        if (!fetch_block(listing, cursor, key, len, fetched)) return land(listing, cursor, false);
        cursor->far |= leap;
        fetched = true;
        on_row = false;
    }
    if (far && cursor->block_len == block_len && (size_t)(cursor->row.end - cursor->row.at) < left) cursor->far = false;
    return land(listing, cursor, found > 0);
}

static bool in_gap(const pxl_cursor *cursor, const uint8_t *key, size_t len)
{
    return cursor->floor_known && pxl_compare(cursor->floor, cursor->floor_len, key, len) <= 0
           && (!cursor->on_row || pxl_compare(key, len, cursor->row.key, cursor->row.keylen) <= 0);
}

bool pxl_cursor_seek(pxl_listing *listing, pxl_cursor *cursor, const uint8_t *key, size_t len)
{
    uint8_t stored[PXL_KEY_MAX];
    bool ahead;

    if (!len) key = stored; /* nothing is read, but NULL has no octets even at 0 */
    if (cursor->dots && len <= sizeof stored) {
        memcpy(stored, key, len);
        translate_dots(stored, len, '.', 1);
        key = stored;
    }
    ahead = cursor->on_row && pxl_compare(cursor->row.key, cursor->row.keylen, key, len) <= 0;
    if (in_gap(cursor, key, len)) return cursor->on_row;
    if (!ahead) {
        if (cursor->first.data && (cursor->at_first || !(cursor->first.data[0] & PXL_BLOCK_MORE)))
            start_block(cursor, cursor->first, true);
        else if (!fetch_block(listing, cursor, key, len, false))
            return land(listing, cursor, false);
    }
    if (!scan_forward(listing, cursor, key, len, ahead)) return false;
    /* Scanning believes that rows ascend; where they do not it may stop early, and a leap would end
     * where it began. */
    if (pxl_compare(cursor->row.key, cursor->row.keylen, key, len) >= 0) return true;
    pxl_listing_fail(listing, PXL_E_BLOCK, "rows out of order");
    return land(listing, cursor, false);
}

/* ---- merging ----------------------------------------------------------------------------------- */

static bool before(const pxl_cursor *a, const pxl_cursor *b)
{
    return pxl_compare(a->row.key, a->row.keylen, b->row.key, b->row.keylen) < 0;
}

/* Let the cursor at `i` sink to its place among those on a row. */
PXL_STEP void sink(pxl_merge *merge, size_t i)
{
    pxl_cursor **c = merge->cursors;

    for (;;) {
        size_t least = i, left = 2 * i + 1;
        if (left < merge->on_rows && before(c[left], c[least])) least = left;
        if (left + 1 < merge->on_rows && before(c[left + 1], c[least])) least = left + 1;
        if (least == i) return;
        pxl_cursor *swap = c[i];
        c[i] = c[least];
        c[least] = swap;
        i = least;
    }
}

/* The cursor at the top has left its rows: put it behind the heap. */
static void retire_top(pxl_merge *merge)
{
    pxl_cursor *gone = merge->cursors[0];

    merge->cursors[0] = merge->cursors[--merge->on_rows];
    merge->cursors[merge->on_rows] = gone;
}

/* Is this the list of the identifier that stands for owners, whoever they are? */
static bool of_owners(const pxl_view *view, const pxl_cursor *list)
{
    return view->ranks && (list->role == PXL_ROLE_LOOKUP || list->role == PXL_ROLE_QUIET)
           && view->ranks[list->number & ~(uint32_t)PXL_PROBE] == view->owner_rank;
}

bool pxl_merge_seek(pxl_listing *listing, const uint8_t *key, size_t len)
{
    pxl_merge *merge = &listing->candidates;
    size_t on_rows = 0;

    for (size_t i = 0; i < merge->count; i++) {
        pxl_cursor *cursor = merge->cursors[i];
        if (of_owners(listing->view, cursor) && !listing->own_pass) continue;
        if (!pxl_cursor_seek(listing, cursor, key, len)) continue;
        merge->cursors[i] = merge->cursors[on_rows];
        merge->cursors[on_rows++] = cursor;
    }
    merge->on_rows = on_rows;
    for (size_t i = on_rows / 2; i-- > 0;) sink(merge, i);
    return on_rows > 0 && !listing->failed;
}

bool pxl_merge_reaches(const pxl_listing *listing, const uint8_t *key, size_t len)
{
    const pxl_merge *merge = &listing->candidates;

    return merge->on_rows
           && pxl_compare(merge->cursors[0]->row.key, merge->cursors[0]->row.keylen, key, len) >= 0;
}

/* How much of the key taken before, which still is in `taken`, the lowest row shares goes to `shared`; true
 * if the row is above it.  Leaps go forward only as long as rows do: out of order they could go round for
 * ever. */
static bool ascends(pxl_listing *listing, const pxl_cursor *top, uint8_t *taken)
{
    const pxl_row *row = &top->row;
    size_t same;

    listing->shared = 0;
    if (listing->taken == SIZE_MAX) return true;
    if (top->dots) translate_dots(taken, listing->taken, '.', 1);
    listing->shared = same = pxl_shared(row->key, row->keylen, taken, listing->taken);
    if (same < row->keylen && (same == listing->taken || row->key[same] > taken[same])) return true;
    pxl_listing_fail(listing, PXL_E_BLOCK, "rows out of order");
    return false;
}

bool pxl_merge_take(pxl_listing *listing, uint8_t *key, pxl_subject *subject)
{
    pxl_merge *merge = &listing->candidates;
    pxl_cursor *top;

    if (!merge->on_rows || listing->failed) return false;
    top = merge->cursors[0];
    if (!ascends(listing, top, key)) return false;
    pxl_move(key + listing->shared, top->row.key + listing->shared, top->row.keylen - listing->shared);
    *subject = (pxl_subject){.key = key, .key_len = top->row.keylen, .mbtype = top->mbtype};
    subject->rights_known = top->role == PXL_ROLE_LOOKUP;
    if (merge->on_rows == 1) { /* nearly always: no other can be at the row */
        subject->granted = top->granted;
        subject->denied = top->denied;
        if (!pxl_cursor_next(listing, top)) retire_top(merge);
    } else do {
        top = merge->cursors[0];
        subject->granted |= top->granted;
        subject->denied |= top->denied;
        if (!pxl_cursor_next(listing, top)) retire_top(merge);
        if (merge->on_rows > 1) sink(merge, 0);
    } while (merge->on_rows && pxl_same(merge->cursors[0]->row.key, merge->cursors[0]->row.keylen, key, subject->key_len));
    listing->taken = subject->key_len;
    if (top->dots) translate_dots(key, subject->key_len, 1, '.');
    return !listing->failed;
}

/* ---- probing ----------------------------------------------------------------------------------- */

pxl_cursor *pxl_listing_list(pxl_listing *listing, int role)
{
    for (size_t i = 0; i < listing->pool_len; i++)
        if (listing->pool[i]->role == role) return listing->pool[i];
    return NULL;
}

pxl_cursor *pxl_listing_probe(pxl_listing *listing, const pxl_cursor *like)
{
    uint32_t number = like->number | PXL_PROBE;

    for (size_t i = 0; i < listing->pool_len; i++)
        if (listing->pool[i]->number == number) return listing->pool[i];
    if (pxl_listing_add(listing, like->role, number, like->first.data, like->first.len) < 0) {
        pxl_listing_fail(listing, PXL_E_MEMORY, "out of memory");
        return NULL;
    }
    listing->pool[listing->pool_len - 1]->dots = like->dots; /* after a rewind no first block tells */
    return listing->pool[listing->pool_len - 1];
}

/* The probing cursor on the one list of a role, wherever it is; NULL without such a list. */
static pxl_cursor *probe_of(pxl_listing *listing, int role)
{
    pxl_cursor *list = pxl_listing_list(listing, role);

    return list ? pxl_listing_probe(listing, list) : NULL;
}

pxl_cursor *pxl_listing_probe_at(pxl_listing *listing, int role, const uint8_t *key, size_t len)
{
    pxl_cursor *probe = probe_of(listing, role);

    return probe && pxl_cursor_seek(listing, probe, key, len) ? probe : NULL;
}

bool pxl_cursor_is_at(const pxl_cursor *cursor, const uint8_t *key, size_t len)
{
    if (!cursor || cursor->row.keylen != len) return false;
    for (size_t i = 0; i < len; i++)
        if (cursor->row.key[i] != key[i] && !(cursor->dots && cursor->row.key[i] == 1 && key[i] == '.')) return false;
    return true;
}

bool pxl_listing_lookup(pxl_listing *listing, const uint8_t *key, size_t len, uint32_t *mbtype)
{
    pxl_cursor *at = pxl_listing_probe_at(listing, PXL_ROLE_DIRECTORY, key, len);

    if (!pxl_cursor_is_at(at, key, len)) return false;
    *mbtype = at->mbtype;
    return true;
}

/* The first row of the directory that might be below a mailbox.  Where the mailbox was just looked up, that is
 * nearly always the next one. */
static pxl_cursor *probe_below(pxl_listing *listing, const uint8_t *below, size_t len)
{
    pxl_cursor *probe = probe_of(listing, PXL_ROLE_DIRECTORY);

    if (probe && probe->on_row && pxl_cursor_is_at(probe, below, len - 1) && pxl_cursor_next(listing, probe)
        && pxl_compare(probe->row.key, probe->row.keylen, below, len) >= 0)
        return probe;
    return probe && pxl_cursor_seek(listing, probe, below, len) ? probe : NULL;
}

bool pxl_listing_has_children(pxl_listing *listing, const uint8_t *key, size_t len)
{
    uint8_t below[PXL_NAME_MAX + 1];
    pxl_cursor *at;

    if (len > PXL_NAME_MAX) return false;
    memcpy(below, key, len);
    below[len++] = PXL_SEPARATOR;
    for (at = probe_below(listing, below, len); at && at->on_row; pxl_cursor_next(listing, at)) {
        if (!pxl_starts(at->row.key, at->row.keylen, below, len)) return false;
        if (!(at->mbtype & (PXL_TOMBSTONE | PXL_INTERMEDIATE))) return true;
    }
    return false;
}

pxl_slice pxl_listing_special_use(pxl_listing *listing, const uint8_t *key, size_t len)
{
    pxl_cursor *at = pxl_listing_probe_at(listing, PXL_ROLE_SPECIAL_USE, key, len);

    return pxl_cursor_is_at(at, key, len) ? at->row.payload : (pxl_slice){NULL, 0};
}

/* What a list says of the subject: its row, or NULL. */
static const pxl_cursor *row_of(pxl_listing *listing, const pxl_cursor *list, const pxl_subject *subject)
{
    pxl_cursor *probe = pxl_listing_probe(listing, list);

    if (!probe || !pxl_cursor_seek(listing, probe, subject->key, subject->key_len)) return NULL;
    return pxl_cursor_is_at(probe, subject->key, subject->key_len) ? probe : NULL;
}

/* Unite rights with those of the highest class so far, `best`, or put them in their place. */
static void take_higher(uint32_t *rights, int *best, uint32_t more, int rank)
{
    if (!more || rank < *best) return;
    *rights = rank == *best ? *rights | more : more;
    *best = rank;
}

/* The most specific identifier decides, grants and denials apart. */
static uint32_t most_specific(pxl_listing *listing, const pxl_subject *subject)
{
    uint32_t granted = 0, denied = 0;
    int best_grant = -1, best_denial = -1;
    const bool owned = pxl_name_own_as_read(listing->view, subject->key, subject->key_len);

    for (size_t i = 0, n = listing->pool_len; i < n; i++) {
        const pxl_cursor *list = listing->pool[i], *row;
        if ((list->number & PXL_PROBE) || !(list->role == PXL_ROLE_LOOKUP || list->role == PXL_ROLE_QUIET)) continue;
        if ((of_owners(listing->view, list) && !owned) || !(row = row_of(listing, list, subject))) continue;
        take_higher(&granted, &best_grant, row->granted, listing->view->ranks[list->number]);
        take_higher(&denied, &best_denial, row->denied, listing->view->ranks[list->number]);
    }
    return granted & ~denied;
}

uint32_t pxl_listing_rights(pxl_listing *listing, const pxl_subject *subject)
{
    uint32_t granted = subject->granted, denied = subject->denied;

    if (listing->view->ranks) return most_specific(listing, subject);
    /* The pool grows while this runs; probes made here are marked and so not taken for lists. */
    for (size_t i = 0, n = listing->pool_len; i < n; i++) {
        const pxl_cursor *list = listing->pool[i], *row;
        bool quiet = list->role == PXL_ROLE_QUIET, lookup = list->role == PXL_ROLE_LOOKUP;
        if ((list->number & PXL_PROBE) || !(quiet || (lookup && !subject->rights_known))) continue;
        if (!(row = row_of(listing, list, subject))) continue;
        granted |= row->granted;
        denied |= row->denied;
    }
    if (granted & PXL_RIGHT_A) granted |= listing->view->with_a;
    return granted & ~denied;
}
