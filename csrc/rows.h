/* rows.h - inside the core: walking rows without allocation, and bytes that grow. */
#ifndef PXL_ROWS_H
#define PXL_ROWS_H

#include <stdbool.h>
#include <string.h>

#include "pxl.h"

typedef struct {
    const uint8_t *at, *end; /* the rows still to come */
    pxl_slice payload;       /* of the current row */
    size_t keylen, shared;   /* of the current key; how much of it the row before had */
    int more;                /* the block says another follows */
    uint8_t key[PXL_KEY_MAX];
} pxl_row;

void pxl_row_start(pxl_row *row, pxl_slice block);
/* PXL_OK, PXL_END or PXL_E_BLOCK. */
int pxl_row_next(pxl_row *row);

typedef struct {
    uint8_t *data;
    size_t len, cap;
} pxl_bytes;

/* Make room for `n` more octets; false when there is no memory. */
bool pxl_bytes_room(pxl_bytes *bytes, size_t n);
bool pxl_bytes_add(pxl_bytes *bytes, const void *data, size_t n);
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

#endif
