/* tail.h - what a cyrusdb format provides to be read as a log (tail.c); inside the core only. */
#ifndef PXL_TAIL_H
#define PXL_TAIL_H

#include <stdbool.h>

#include "pxl.h"

struct pxl_tail {
    const struct pxl_log_format *format;
    const uint8_t *data;     /* the caller's: octets `base` to `end` of the file */
    uint64_t base, end;
    uint64_t at;             /* offset in the file of the next record */
    bool summed;             /* as in the header */
};

typedef struct pxl_log_format {
    int format;
    uint64_t header_len;
    uint8_t magic[16];
    int (*header)(const uint8_t *octets, pxl_log_header *header, pxl_error *error);
    /* Decode the record at tail->at, of which `room` octets are there, checksums first; its length in
     * `size`. */
    int (*record)(const pxl_tail *tail, const uint8_t *at, uint64_t room, pxl_logged *record, uint64_t *size,
                  pxl_error *error);
} pxl_log_format;

#endif
