/* generation.h - inside the core: the mailboxes of a source, whatever generation its keys are of. */
#ifndef PXL_GENERATION_H
#define PXL_GENERATION_H

#include <stdbool.h>

#include "pxl.h"

typedef struct {
    const uint8_t *key, *value;
    uint32_t value_len;
    uint16_t key_len;
} pxl_held;

/* Starts zeroed. */
typedef struct {
    int keys;                /* PXL_KEYS_..., as far as it is known */
    bool whole;              /* a plain source has been read to its end, translated and sorted */
    pxl_held *held;          /* records read and not yet given */
    size_t held_len, held_cap, given;
} pxl_generation;

/* The next mailbox: record->key is its key name, ascending.  Records that are no mailboxes are counted and
 * stepped over.  PXL_OK, PXL_END, an error; or PXL_MORE when `limit` records were read and none can be
 * given yet (a plain source must be read whole first). */
int pxl_generation_next(pxl_generation *generation, pxl_reader *reader, uint64_t limit, pxl_record *record,
                        pxl_counts *counts, pxl_error *error);
void pxl_generation_free(pxl_generation *generation);

#endif
