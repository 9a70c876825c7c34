/* twoskip.h - one twoskip record, for the reader of whole files and for followers of a live one. */
#ifndef PXL_TWOSKIP_H
#define PXL_TWOSKIP_H

#include <stdbool.h>

#include "pxl.h"

enum {
    PXL_TWOSKIP_HEADER = 64,             /* octets of the file header */
    PXL_TWOSKIP_HEAD_MAX = 24 + 32 * 8 + 8,  /* a record head is never longer */
    PXL_TWOSKIP_BLANK = 8                /* octets of a filler word */
};

typedef struct {
    uint8_t type, level;     /* '=' '+' '-' '$' */
    uint64_t keylen, vallen;
    uint64_t link;           /* pointer[0]: of a delete the record behind the deleted, of a commit its beginning */
    uint64_t tail;           /* octets from the record's start to its key; the value follows the key */
    uint64_t size;           /* octets of the whole record with its padding */
} pxl_twoskip_head;

typedef struct {
    uint32_t version, flags; /* flags 1: a transaction is open */
    uint64_t generation, records, repack_size, end;
} pxl_twoskip_header;

/* Read a file header of at least PXL_TWOSKIP_HEADER octets and check its sum. */
int pxl_twoskip_header_read(const uint8_t *image, pxl_twoskip_header *header, pxl_error *error);
bool pxl_twoskip_is_blank(const uint8_t *at, uint64_t room);
/* Decode the record at `at`, with `room` committed octets from there on, of which the first
 * PXL_TWOSKIP_HEAD_MAX (or all, if fewer) are looked at.  Checks every length and the head's sum.
 * `offset` is for the error. */
int pxl_twoskip_head_read(const uint8_t *at, uint64_t room, uint64_t offset, pxl_twoskip_head *head, pxl_error *error);
/* Check the sum of key, value and padding; all head->size octets must be there. */
int pxl_twoskip_tail_check(const uint8_t *at, uint64_t offset, const pxl_twoskip_head *head, pxl_error *error);

#endif
