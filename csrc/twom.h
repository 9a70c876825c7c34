/* twom.h - one twom record, for the reader of whole files and for followers of a live one. */
#ifndef PXL_TWOM_H
#define PXL_TWOM_H

#include <stdbool.h>

#include "pxl.h"

enum {
    PXL_TWOM_HEADER = 96,                /* octets of the file header */
    PXL_TWOM_LOG = 368,                  /* where the first transaction begins: header and dummy before it */
    PXL_TWOM_HEAD_MAX = 48 + 8 * 31,     /* a record head with its sums is never longer */
    PXL_TWOM_DUMMY = 1,
    PXL_TWOM_ADD = 2,
    PXL_TWOM_FAT_ADD = 3,
    PXL_TWOM_REPLACE = 4,
    PXL_TWOM_FAT_REPLACE = 5,
    PXL_TWOM_DELETE = 6,
    PXL_TWOM_COMMIT = 7
};

typedef struct {
    uint8_t uuid[16];
    uint32_t version, flags;
    uint64_t generation, records, commits, repack_size, end;
    bool summed;             /* the file's checksums can be checked */
} pxl_twom_header;

typedef struct {
    uint8_t type, level;
    uint64_t keylen, vallen;
    uint64_t link;           /* the ancestor; of a commit the start of its transaction; 0 for an add */
    uint64_t tail;           /* octets from the record's start to its key; key NUL value NUL follow */
    uint64_t size;           /* octets of the whole record with its padding */
} pxl_twom_head;

/* Read a file header of at least PXL_TWOM_HEADER octets and check its sum. */
int pxl_twom_header_read(const uint8_t *image, pxl_twom_header *header, pxl_error *error);
/* Decode the record at `at`, with `room` committed octets from there on, of which the first
 * PXL_TWOM_HEAD_MAX (or all, if fewer) are looked at.  Checks every length, and the head's sum of
 * a delete or commit: other heads hold links, which a writer changes.  `offset` is for the error. */
int pxl_twom_head_read(const uint8_t *at, uint64_t room, uint64_t offset, bool summed, pxl_twom_head *head,
                       pxl_error *error);
/* Check the octets around key and value and their sum; all head->size octets must be there. */
int pxl_twom_tail_check(const uint8_t *at, uint64_t offset, bool summed, const pxl_twom_head *head, pxl_error *error);

#endif
