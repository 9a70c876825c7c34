/* rows.c - the row block: many short rows, sorted by key and prefix-compressed, in one LMDB value.
 *
 * Grammar (numbers are LEB128 varints of at most 32 bits):
 *
 *     block = u8 flags  row*                       flags: PXL_BLOCK_MORE
 *     row   = shared  rest_len  payload_len  rest[rest_len]  payload[payload_len]
 *     key   = the first `shared` octets of the key before it, then `rest`
 *
 * Worked example, two postings rows "user\x1fbob" (payload 00 ff 1f) and "user\x1fbob\x1fSent":
 *     01                                  more blocks follow
 *     00 08 03 "user\x1fbob" 00 ff 1f     nothing shared, eight octets, three of payload
 *     08 05 03 "\x1fSent"    00 ff 1f     eight shared
 *
 * A list of rows is one or more blocks under keys owner + separator; see pxl_cutter in pxl.h.
 * There are no restart points: blocks are a page at most, and a scan of one costs less than the
 * space that an index inside it would.
 */
#include <stdlib.h>

#include "bytes.h"
#include "entry.h"
#include "pxl.h"
#include "rows.h"

void pxl_row_start(pxl_row *row, pxl_slice block)
{
    row->keylen = row->shared = 0;
    row->payload = (pxl_slice){NULL, 0};
    row->more = block.len && (block.data[0] & PXL_BLOCK_MORE);
    row->at = block.len ? block.data + 1 : block.data;
    row->end = block.data + block.len;
}

struct pxl_rows {
    pxl_row row;
};

pxl_rows *pxl_rows_new(void)
{
    return calloc(1, sizeof(pxl_rows));
}

void pxl_rows_free(pxl_rows *rows)
{
    free(rows);
}

void pxl_rows_start(pxl_rows *rows, pxl_slice block)
{
    pxl_row_start(&rows->row, block);
}

int pxl_rows_next(pxl_rows *rows, pxl_slice *key, pxl_slice *payload)
{
    int result = pxl_row_next(&rows->row);

    *key = (pxl_slice){rows->row.key, rows->row.keylen};
    *payload = rows->row.payload;
    return result;
}

/* Walk to the first row whose key is not below `key`: PXL_OK, or PXL_END; `*order` is 0 if it is that key's.  `*from`
 * is where that row begins, `*shared` how much of `key` the row before it has. */
static int seek_row(pxl_row *row, pxl_slice key, const uint8_t **from, size_t *shared, int *order)
{
    int result;

    *shared = 0;
    for (*from = row->at; (result = pxl_row_next(row)) == PXL_OK; *from = row->at) {
        *order = pxl_compare(row->key, row->keylen, key.data, key.len);
        if (*order >= 0) return PXL_OK;
        *shared = pxl_shared(row->key, row->keylen, key.data, key.len);
    }
    *order = 1;
    return result;
}

int pxl_rows_find(const uint8_t *block, size_t block_len, const uint8_t *key, size_t key_len, pxl_slice *payload)
{
    const uint8_t *from;
    size_t shared;
    int order, result;
    pxl_row row;

    pxl_row_start(&row, (pxl_slice){block, block_len});
    result = seek_row(&row, (pxl_slice){key, key_len}, &from, &shared, &order);
    *payload = row.payload;
    return result < 0 ? result : order ? PXL_ABSENT : PXL_OK;
}

static uint8_t *put_row(uint8_t *p, size_t shared, pxl_slice key, pxl_slice payload)
{
    p = pxl_varint_put(p, (uint32_t)shared);
    p = pxl_varint_put(p, (uint32_t)(key.len - shared));
    p = pxl_varint_put(p, (uint32_t)payload.len);
    pxl_copy(p, key.data + shared, key.len - shared);
    p += key.len - shared;
    if (payload.len) memcpy(p, payload.data, payload.len);
    return p + payload.len;
}

int64_t pxl_rows_edit(const uint8_t *block, size_t block_len, const uint8_t *key, size_t key_len,
                      const uint8_t *payload, size_t payload_len, uint8_t *out, size_t cap)
{
    const uint8_t *from;
    size_t shared, ahead;
    uint8_t *p = out;
    int order, result;
    pxl_row row;

    if (!block_len || key_len > PXL_KEY_MAX || !pxl_has(cap, PXL_EDIT_ROOM, block_len)
        || !pxl_has(cap, PXL_EDIT_ROOM + block_len, key_len)
        || !pxl_has(cap, PXL_EDIT_ROOM + block_len + key_len, payload_len))
        return PXL_E_ARGUMENT;
    pxl_row_start(&row, (pxl_slice){block, block_len});
    result = seek_row(&row, (pxl_slice){key, key_len}, &from, &shared, &order);
    if (result < 0) return result;
    if (order ? !payload : payload && pxl_same(row.payload.data, row.payload.len, payload, payload_len)) return 0;
    if (!order && (result = pxl_row_next(&row)) < 0) return result;
    memcpy(p, block, (size_t)(from - block));
    p += from - block;
    if (payload) p = put_row(p, shared, (pxl_slice){key, key_len}, (pxl_slice){payload, payload_len});
    if (result == PXL_END) return p - out;
    /* What a row shares with the one before last is what both share with the one between, or more. */
    ahead = pxl_shared(row.key, row.keylen, key, key_len);
    if (!payload && shared < ahead) ahead = shared;
    p = put_row(p, ahead, (pxl_slice){row.key, row.keylen}, row.payload);
    memcpy(p, row.at, (size_t)(row.end - row.at));
    return p + (row.end - row.at) - out;
}

/* ---- bytes that grow --------------------------------------------------------------------------- */

bool pxl_bytes_room(pxl_bytes *bytes, size_t n)
{
    size_t cap = bytes->cap ? bytes->cap : 1024;
    uint8_t *grown;

    if (n <= bytes->cap - bytes->len) return true;
    if (n > SIZE_MAX / 4 - bytes->len) return false;
    while (cap - bytes->len < n) cap *= 2;
    grown = realloc(bytes->data, cap);
    if (!grown) return false;
    bytes->data = grown;
    bytes->cap = cap;
    return true;
}

void pxl_bytes_free(pxl_bytes *bytes)
{
    free(bytes->data);
    *bytes = (pxl_bytes){NULL, 0, 0};
}

#define SHORT 8              /* how many of the blocks that begin after a large tree would fill another one */

/* ---- cutting ----------------------------------------------------------------------------------- */

struct pxl_cutter {
    size_t target, keymax;
    pxl_bytes owner;         /* prefix of every block's key */
    pxl_bytes block;         /* under construction: flags, rows */
    pxl_bytes done;          /* finished items since the last take */
    pxl_bytes given;         /* what the last take gave */
    uint8_t separator[PXL_KEY_MAX];
    size_t separator_len;
    uint8_t last[PXL_KEY_MAX];
    size_t last_len;
    size_t rows;             /* in the block under construction */
    bool inside;             /* it began inside a tree that filled the block before */
    bool leading;            /* it began where such a tree ended */
    uint8_t flags;           /* of the last block; the others have PXL_BLOCK_MORE as well */
};

pxl_cutter *pxl_cutter_new(size_t target, size_t keymax)
{
    pxl_cutter *cutter = calloc(1, sizeof *cutter);

    if (!cutter) return NULL;
    cutter->target = target;
    cutter->keymax = keymax;
    return cutter;
}

void pxl_cutter_free(pxl_cutter *cutter)
{
    if (!cutter) return;
    pxl_bytes_free(&cutter->owner);
    pxl_bytes_free(&cutter->block);
    pxl_bytes_free(&cutter->done);
    pxl_bytes_free(&cutter->given);
    free(cutter);
}

static bool fresh_block(pxl_cutter *cutter)
{
    uint8_t flags = 0;

    cutter->block.len = cutter->rows = cutter->last_len = 0;
    return pxl_bytes_add(&cutter->block, &flags, 1);
}

int pxl_cutter_start(pxl_cutter *cutter, pxl_slice owner, pxl_slice first, int flags)
{
    if (first.len > PXL_KEY_MAX) return PXL_E_ARGUMENT;
    cutter->owner.len = 0;
    if (!pxl_bytes_add(&cutter->owner, owner.data, owner.len)) return PXL_E_MEMORY;
    if (first.len) memcpy(cutter->separator, first.data, first.len);
    cutter->separator_len = first.len;
    cutter->flags = (uint8_t)flags;
    cutter->inside = cutter->leading = false;
    return fresh_block(cutter) ? PXL_OK : PXL_E_MEMORY;
}

static int close_block(pxl_cutter *cutter, bool more)
{
    size_t keylen = cutter->owner.len + cutter->separator_len;
    uint8_t lengths[6] = {(uint8_t)keylen, (uint8_t)(keylen >> 8)};

    if (cutter->block.len > UINT32_MAX || keylen > UINT16_MAX) return PXL_E_ARGUMENT;
    for (int i = 0; i < 4; i++) lengths[2 + i] = (uint8_t)(cutter->block.len >> (8 * i));
    cutter->block.data[0] = (uint8_t)(cutter->flags | (more ? PXL_BLOCK_MORE : 0));
    if (!pxl_bytes_add(&cutter->done, lengths, sizeof lengths)
        || !pxl_bytes_add(&cutter->done, cutter->owner.data, cutter->owner.len)
        || !pxl_bytes_add(&cutter->done, cutter->separator, cutter->separator_len)
        || !pxl_bytes_add(&cutter->done, cutter->block.data, cutter->block.len) || !fresh_block(cutter))
        return PXL_E_MEMORY;
    return PXL_OK;
}

/* The length of the name whose tree ends between the last row and one that shares so much with it; 0: none does. */
static size_t ended_tree(const pxl_cutter *cutter, size_t shared)
{
    const uint8_t *end = memchr(cutter->last + shared, PXL_SEPARATOR, cutter->last_len - shared);

    return end ? (size_t)(end - cutter->last) : 0;
}

/* Before a row that would overfill the block, close it, if the next block's key may be that short; also
 * where a tree of several blocks ends at the top.
 *
 * A "%" that has read a name leaps to the first key that cannot be below it.  Where that is the very key
 * of a block which begins with what follows, neither the block before nor a row is read in vain; and that
 * block is a short one, since the next leap may well begin at its first row. */
static int maybe_cut(pxl_cutter *cutter, pxl_slice key, size_t shared, size_t row_len)
{
    const bool full = cutter->block.len + row_len > (cutter->leading ? cutter->target / SHORT : cutter->target);
    size_t tree, len;
    int result;

    if (!cutter->rows || !(full || cutter->inside)) return PXL_OK;
    tree = ended_tree(cutter, shared);
    if (!full && (!tree || memchr(key.data, PXL_SEPARATOR, shared))) return PXL_OK;
    len = (tree ? tree : shared) + 1;
    if (cutter->owner.len + len > cutter->keymax) return PXL_OK;
    if ((result = close_block(cutter, true)) < 0) return result;
    memcpy(cutter->separator, tree ? cutter->last : key.data, len);
    if (tree) cutter->separator[tree] = PXL_SEPARATOR + 1;
    cutter->separator_len = len;
    cutter->inside = !cutter->leading && memchr(key.data, PXL_SEPARATOR, shared + 1);
    cutter->leading = !full;
    return PXL_OK;
}

int pxl_cutter_add(pxl_cutter *cutter, pxl_slice key, pxl_slice payload)
{
    size_t shared;
    const uint8_t *p;
    int result;

    if (key.len > PXL_KEY_MAX || payload.len > UINT32_MAX / 2) return PXL_E_ARGUMENT;
    if (cutter->rows && pxl_compare(cutter->last, cutter->last_len, key.data, key.len) >= 0) return PXL_E_ARGUMENT;
    shared = pxl_shared(cutter->last, cutter->last_len, key.data, key.len);
    if ((result = maybe_cut(cutter, key, shared, 4 + key.len - shared + payload.len)) < 0) return result;
    if (!cutter->rows) shared = 0;
    if (!pxl_bytes_room(&cutter->block, 15 + key.len + payload.len)) return PXL_E_MEMORY;
    p = put_row(cutter->block.data + cutter->block.len, shared, key, payload);
    cutter->block.len = (size_t)(p - cutter->block.data);
    pxl_copy(cutter->last + shared, key.data + shared, key.len - shared);
    cutter->last_len = key.len;
    cutter->rows++;
    return PXL_OK;
}

bool pxl_cutter_began(const pxl_cutter *cutter, pxl_slice *separator)
{
    *separator = (pxl_slice){cutter->separator, cutter->separator_len};
    return cutter->rows == 1;
}

int pxl_cutter_finish(pxl_cutter *cutter)
{
    return cutter->rows ? close_block(cutter, false) : PXL_OK;
}

pxl_slice pxl_cutter_take(pxl_cutter *cutter)
{
    pxl_bytes given = cutter->done;

    cutter->done = cutter->given;
    cutter->done.len = 0;
    cutter->given = given;
    return (pxl_slice){given.data, given.len};
}

size_t pxl_cutter_waiting(const pxl_cutter *cutter)
{
    return cutter->done.len;
}

/* ---- merging changes into a block -------------------------------------------------------------- */

#define REMOVED UINT32_MAX

typedef struct {
    pxl_slice key, payload;
    bool removed;
} change;

/* The change at the head of `rest`: PXL_OK and taken off, PXL_END, or PXL_E_ARGUMENT. */
static int take_change(pxl_slice *rest, change *c)
{
    uint32_t keylen, payload;

    if (!rest->len) return PXL_END;
    if (rest->len < 6) return PXL_E_ARGUMENT;
    keylen = pxl_le16(rest->data);
    payload = pxl_le32(rest->data + 2);
    c->removed = payload == REMOVED;
    if (c->removed) payload = 0;
    if (!pxl_has(rest->len, 6, keylen) || !pxl_has(rest->len, 6 + (uint64_t)keylen, payload)) return PXL_E_ARGUMENT;
    c->key = (pxl_slice){rest->data + 6, keylen};
    c->payload = (pxl_slice){rest->data + 6 + keylen, payload};
    rest->data += 6 + (size_t)keylen + payload;
    rest->len -= 6 + (size_t)keylen + payload;
    return PXL_OK;
}

int pxl_cutter_merge(pxl_cutter *cutter, pxl_slice block, pxl_slice changes)
{
    pxl_row row;
    change c;
    int have_row, have_change, result = PXL_OK;

    pxl_row_start(&row, block);
    have_row = pxl_row_next(&row);
    have_change = take_change(&changes, &c);
    while (have_row == PXL_OK || have_change == PXL_OK) {
        int order = have_row != PXL_OK      ? 1
                    : have_change != PXL_OK ? -1
                                            : pxl_compare(row.key, row.keylen, c.key.data, c.key.len);
        if (order < 0)
            result = pxl_cutter_add(cutter, (pxl_slice){row.key, row.keylen}, row.payload);
        else if (!c.removed)
            result = pxl_cutter_add(cutter, c.key, c.payload);
        if (result < 0) return result;
        if (order <= 0) have_row = pxl_row_next(&row);
        if (order >= 0) have_change = take_change(&changes, &c);
    }
    if (have_row < 0) return have_row;
    return have_change < 0 ? have_change : PXL_OK;
}

int pxl_cutter_rewrite(pxl_cutter *cutter, size_t target, const uint8_t *key, size_t key_len, size_t owner_len, const uint8_t *block,
                       size_t block_len, const uint8_t *changes, size_t changes_len, const uint8_t *following,
                       size_t following_len, pxl_slice *done)
{
    int result, last;

    if (owner_len > key_len || !block_len) return PXL_E_ARGUMENT;
    last = following_len ? *following : *block;
    cutter->target = target;
    cutter->done.len = 0;
    result = pxl_cutter_start(cutter, (pxl_slice){key, owner_len}, (pxl_slice){key + owner_len, key_len - owner_len},
                              (*block & ~PXL_BLOCK_MORE) | (last & PXL_BLOCK_MORE));
    if (result == PXL_OK)
        result = pxl_cutter_merge(cutter, (pxl_slice){block, block_len}, (pxl_slice){changes, changes_len});
    if (result == PXL_OK && following_len)
        result = pxl_cutter_merge(cutter, (pxl_slice){following, following_len}, (pxl_slice){NULL, 0});
    if (result == PXL_OK) result = pxl_cutter_finish(cutter);
    if (result == PXL_OK) *done = pxl_cutter_take(cutter);
    return result;
}
