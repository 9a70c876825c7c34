/* skiplist.h - one skiplist record, for the reader of whole files and for followers of a live one. */
#ifndef PXL_SKIPLIST_H
#define PXL_SKIPLIST_H

#include "pxl.h"

enum {
    PXL_SKIPLIST_HEADER = 48,            /* octets of the file header */
    PXL_SKIPLIST_INORDER = 1,
    PXL_SKIPLIST_ADD = 2,
    PXL_SKIPLIST_DELETE = 4,
    PXL_SKIPLIST_COMMIT = 255,
    PXL_SKIPLIST_DUMMY = 257
};

typedef struct {
    uint32_t type;
    uint32_t target;         /* of a delete: the offset of the record that goes */
    pxl_slice key, value;    /* of an inorder or add record */
    uint64_t size;           /* octets of the whole record */
} pxl_skiplist_record;

/* Decode the record at `at`, with `room` octets from there on.  PXL_E_SHORT when it passes them,
 * which at the end of a file is no damage; PXL_E_CORRUPT for what is no record.  `offset` is for
 * the error. */
int pxl_skiplist_record_read(const uint8_t *at, uint64_t room, uint64_t offset, pxl_skiplist_record *record,
                             pxl_error *error);

#endif
