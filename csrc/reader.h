/* reader.h - what the formats share with reader.c; others include it only to report values that
 * cannot be understood.
 */
#ifndef PXL_READER_H
#define PXL_READER_H

#include "log.h"
#include "pxl.h"

/* One cyrusdb format. */
typedef struct {
    int format;
    bool (*recognise)(const uint8_t *image, uint64_t len);
    /* Read the header: fill source, place `at` at the first record.  May allocate `state`. */
    int (*open)(pxl_reader *reader, pxl_error *error);
    /* The record number `next`, keys strictly ascending; or the one at `at` where there is no load. */
    int (*next)(pxl_reader *reader, pxl_record *record, pxl_error *error);
    void (*close)(pxl_reader *reader);
    /* Check records from `at` on, of which the first `have` octets of the image are there; PXL_MORE
     * or PXL_OK, when all are noted and in order. */
    int (*load)(pxl_reader *reader, uint64_t have, pxl_error *error);
} pxl_format;

struct pxl_reader {
    const pxl_format *format;
    uint8_t *image;          /* the caller's */
    uint64_t len;
    int options;
    pxl_source source;
    uint64_t at;             /* offset of the next record to check, in a dump to read */
    bool loaded;
    bool trusted;            /* the header's committed size is believed and lies in the image */
    uint64_t repacked;       /* below it a repack wrote live records only: each stands for itself */
    uint64_t torn_from;      /* skiplist: from here on nothing was committed; valid if torn_known */
    bool torn_known;
    pxl_log log;
    size_t next;             /* number of the next record to hand out */
    void *state;             /* what a format keeps beside; freed by its close */
    pxl_loss *losses;
    size_t losses_len;
};

extern const pxl_format pxl_twoskip_format, pxl_skiplist_format, pxl_flat_format, pxl_twom_format,
    pxl_dump_json_format, pxl_dump_text_format;

/* Damage at `offset`: with PXL_SALVAGE it is counted and PXL_OK, else the result is `code`.
 * Places that touch are one. */
int pxl_reader_lose(pxl_reader *reader, int code, const char *message, uint64_t offset, uint64_t len);
bool pxl_reader_salvages(const pxl_reader *reader);
/* Do the first `have` octets of the image fall short of [off, off + n), and are more to come? */
static inline bool pxl_reader_waits(const pxl_reader *reader, uint64_t have, uint64_t off, uint64_t n)
{
    return have < reader->len && !pxl_has(have, off, n);
}

#endif
