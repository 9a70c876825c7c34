/* rows.h - inside the core: walking rows without allocation, and bytes that grow. */
#ifndef PXL_ROWS_H
#define PXL_ROWS_H

#include <stdbool.h>
#include <string.h>

#include "bytes.h"
#include "pxl.h"

#define PXL_ROW_SLACK 16     /* octets after a key that may be written to, so that short ones are moved whole */

typedef struct {
    const uint8_t *at, *end; /* the rows still to come */
    pxl_slice payload;       /* of the current row */
    size_t keylen, shared;   /* of the current key; how much of it the row before had */
    int more;                /* the block says another follows */
    uint8_t key[PXL_KEY_MAX + PXL_ROW_SLACK];
} pxl_row;

void pxl_row_start(pxl_row *row, pxl_slice block);
/* PXL_OK, PXL_END or PXL_E_BLOCK.  Inline: it is the innermost loop of every answer. */
static inline int pxl_row_next(pxl_row *row)
{
    const uint8_t *p = row->at;
    uint32_t shared, rest, payload;
    size_t left;

    if (p == row->end) return PXL_END;
    if (!pxl_varint_get(&p, row->end, &shared) || !pxl_varint_get(&p, row->end, &rest)
        || !pxl_varint_get(&p, row->end, &payload))
        return PXL_E_BLOCK;
    left = (size_t)(row->end - p);
    if (shared > row->keylen || rest > PXL_KEY_MAX - shared || rest > left || payload > left - rest) return PXL_E_BLOCK;
    if (rest <= PXL_ROW_SLACK && left >= PXL_ROW_SLACK)
        memcpy(row->key + shared, p, PXL_ROW_SLACK);
    else
        memcpy(row->key + shared, p, rest);
    row->keylen = shared + rest;
    row->shared = shared;
    row->payload = (pxl_slice){p + rest, payload};
    row->at = p + rest + payload;
    return PXL_OK;
}

typedef struct {
    uint8_t *data;
    size_t len, cap;
} pxl_bytes;

/* Make room for `n` more octets; false when there is no memory. */
bool pxl_bytes_room(pxl_bytes *bytes, size_t n);
static inline bool pxl_bytes_add(pxl_bytes *bytes, const void *data, size_t n)
{
    if (n > bytes->cap - bytes->len && !pxl_bytes_room(bytes, n)) return false;
    if (n) memcpy(bytes->data + bytes->len, data, n);
    bytes->len += n;
    return true;
}
/* Replace what is there. */
static inline bool pxl_bytes_set(pxl_bytes *bytes, const void *data, size_t n)
{
    bytes->len = 0;
    if (n > bytes->cap && !pxl_bytes_room(bytes, n)) return false;
    if (n) memcpy(bytes->data, data, n);
    bytes->len = n;
    return true;
}
void pxl_bytes_free(pxl_bytes *bytes);

/* Whether the row added last began a block, and that block's separator. */
bool pxl_cutter_began(const pxl_cutter *cutter, pxl_slice *separator);

#endif
