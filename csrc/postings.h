/* postings.h - inside the core: the rows of one mailbox in the posting lists, by its directory row before and after. */
#ifndef PXL_POSTINGS_H
#define PXL_POSTINGS_H

#include <stdbool.h>

#include "bytes.h"
#include "entry.h"

enum {
    PXL_BEFORE = 0,
    PXL_AFTER = 1
};

typedef struct {             /* an identifier whose rows may differ, its entries united; [PXL_BEFORE] and [PXL_AFTER] */
    pxl_slice identifier;    /* borrowed from a row, or from the pxl_change it is of */
    uint32_t granted[2], denied[2];
} pxl_concern;

typedef struct {
    pxl_concern *concerns;   /* by identifier, ascending */
    size_t len;
    uint32_t mbtype[2];      /* PXL_TOMBSTONE where there is no row */
    bool shown;              /* what answers show besides the ACL differs, or one of the rows is not there */
    size_t owner_len;        /* 0 where nobody owns it */
    uint8_t owner[PXL_NAME_MAX];
} pxl_change;

/* Compare the directory rows of a mailbox; an empty one is none.  The key and the rows must outlive `change`.
 * PXL_E_CORRUPT for octets that are no row, PXL_E_MEMORY; then there is nothing to free. */
int pxl_change_read(pxl_change *change, pxl_slice key, pxl_slice before, pxl_slice after);
/* The payload of a concern's row in a list (PXL_LIST_...), at most 15 octets; its length, 0 where it has none there. */
size_t pxl_change_payload(const pxl_change *change, const pxl_concern *concern, int when, int list, uint8_t *out);
void pxl_change_free(pxl_change *change);
/* A postings row's payload, at most 15 octets; its length.  Inline: a bulk build writes millions. */
static inline size_t pxl_posting_encode(uint32_t mbtype, uint32_t granted, uint32_t denied, uint8_t *out)
{
    uint8_t *p = pxl_varint_put(pxl_varint_put(out, mbtype), granted);

    if (denied) p = pxl_varint_put(p, denied);
    return (size_t)(p - out);
}

struct pxl_store_calls {
    int (*find)(const uint8_t *, size_t, const uint8_t *, size_t, pxl_slice *);
    int64_t (*edit)(const uint8_t *, size_t, const uint8_t *, size_t, const uint8_t *, size_t, uint8_t *, size_t);
    int (*read)(pxl_change *, pxl_slice, pxl_slice, pxl_slice);
    size_t (*payload)(const pxl_change *, const pxl_concern *, int, int, uint8_t *);
    void (*free)(pxl_change *);
};

#endif
