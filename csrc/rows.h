/* rows.h - inside the core: walking rows without allocation, and bytes that grow. */
#ifndef PXL_ROWS_H
#define PXL_ROWS_H

#include <stdbool.h>
#include <string.h>

#include "bytes.h"
#include "pxl.h"

typedef struct {
    const uint8_t *at, *end; /* the rows still to come */
    pxl_slice payload;       /* of the current row */
    size_t keylen, shared;   /* of the current key; how much of it the row before had */
    int more;                /* the block says another follows */
    uint8_t key[PXL_KEY_MAX + PXL_SLACK];
} pxl_row;

void pxl_row_start(pxl_row *row, pxl_slice block);
/* Take the three numbers that a row begins with; false where they do not end. */
static inline bool pxl_row_numbers(const uint8_t **p, const uint8_t *end, uint32_t numbers[3])
{
    const uint8_t *q = *p;

    if (end - q < 3 || (q[0] | q[1] | q[2]) & 0x80)
        return pxl_varint_get(p, end, &numbers[0]) && pxl_varint_get(p, end, &numbers[1])
               && pxl_varint_get(p, end, &numbers[2]);
    numbers[0] = q[0]; /* nearly always */
    numbers[1] = q[1];
    numbers[2] = q[2];
    *p = q + 3;
    return true;
}

/* PXL_OK, PXL_END or PXL_E_BLOCK.  Inline: it is the innermost loop of every answer. */
static inline int pxl_row_next(pxl_row *row)
{
    const uint8_t *p = row->at;
    uint32_t numbers[3];
    size_t shared, rest, payload, left;

    if (p == row->end) return PXL_END;
    if (!pxl_row_numbers(&p, row->end, numbers)) return PXL_E_BLOCK;
    shared = numbers[0];
    rest = numbers[1];
    payload = numbers[2];
    left = (size_t)(row->end - p);
    if (shared > row->keylen || rest > PXL_KEY_MAX - shared || rest > left || payload > left - rest) return PXL_E_BLOCK;
    if (left - rest >= PXL_SLACK)
        pxl_move(row->key + shared, p, rest);
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
    return pxl_bytes_add(bytes, data, n);
}
/* The same for data that PXL_SLACK octets may be read behind. */
static inline bool pxl_bytes_move(pxl_bytes *bytes, const uint8_t *data, size_t n)
{
    bytes->len = 0;
    if (n + PXL_SLACK > bytes->cap && !pxl_bytes_room(bytes, n + PXL_SLACK)) return false;
    pxl_move(bytes->data, data, n);
    bytes->len = n;
    return true;
}
void pxl_bytes_free(pxl_bytes *bytes);

/* Whether the row added last began a block, and that block's separator. */
bool pxl_cutter_began(const pxl_cutter *cutter, pxl_slice *separator);

#endif
