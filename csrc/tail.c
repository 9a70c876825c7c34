/* tail.c - part of a database file, read as the log it is: records in the order they were written.
 *
 * Between two repacks twoskip, twom and skiplist files only grow, by whole transactions.  The caller
 * reads the header (pxl_log_read_header), then the octets between two offsets, and gets puts,
 * deletes and commits back.  A delete has no key: its link tells which record to ask, and how
 * depends on the format (pxl.h).
 *
 * What is read never changes below the committed end; links of older records do, and with them, in
 * twoskip, the checksum of a head.  A read that meets such a change in the middle gets
 * PXL_E_CORRUPT, and is simply done again.
 */
#include <stdbool.h>
#include <stdlib.h>

#include "bytes.h"
#include "pxl.h"
#include "skiplist.h"
#include "tail.h"
#include "twom.h"
#include "twoskip.h"

/* ---- twoskip ----------------------------------------------------------------------------------- */

#define TWOSKIP_DUMMY (8u + 8 * 32 + 8)

static int twoskip_header(const uint8_t *octets, pxl_log_header *header, pxl_error *error)
{
    pxl_twoskip_header h;
    int result = pxl_twoskip_header_read(octets, &h, error);

    header->source.version = h.version;
    header->source.flags = h.flags;
    header->source.generation = h.generation;
    header->source.records = h.records;
    header->source.end = h.end;
    header->first = header->log = PXL_TWOSKIP_HEADER + TWOSKIP_DUMMY;
    header->summed = 1;
    return result;
}

static int twoskip_record(const pxl_tail *tail, const uint8_t *at, uint64_t room, pxl_logged *record, uint64_t *size,
                          pxl_error *error)
{
    pxl_twoskip_head h;
    int result;

    if (pxl_twoskip_is_blank(at, room)) {
        *size = PXL_TWOSKIP_BLANK;
        return PXL_OK;
    }
    if ((result = pxl_twoskip_head_read(at, room, tail->at, &h, error)) < 0) return result;
    if ((result = pxl_twoskip_tail_check(at, tail->at, &h, error)) < 0) return result;
    if (h.type == '=') return pxl_fail(error, PXL_E_CORRUPT, "another dummy record", tail->at, '+', h.type);
    record->kind = h.type == '+' ? PXL_LOG_PUT : h.type == '-' ? PXL_LOG_DELETE : PXL_LOG_COMMIT;
    record->key = (pxl_slice){at + h.tail, h.keylen};
    record->value = (pxl_slice){at + h.tail + h.keylen, h.vallen};
    record->link = h.link;
    *size = h.size;
    return PXL_OK;
}

/* ---- twom -------------------------------------------------------------------------------------- */

static int twom_header(const uint8_t *octets, pxl_log_header *header, pxl_error *error)
{
    pxl_twom_header h;
    int result = pxl_twom_header_read(octets, &h, error);

    header->source.version = h.version;
    header->source.flags = h.flags;
    header->source.generation = h.generation;
    header->source.records = h.records;
    header->source.end = h.end;
    header->first = header->log = PXL_TWOM_LOG;
    header->summed = h.summed;
    memcpy(header->identity, h.uuid, sizeof header->identity);
    return result;
}

static int twom_record(const pxl_tail *tail, const uint8_t *at, uint64_t room, pxl_logged *record, uint64_t *size,
                       pxl_error *error)
{
    pxl_twom_head h;
    int result;

    if ((result = pxl_twom_head_read(at, room, tail->at, tail->summed, &h, error)) < 0) return result;
    if ((result = pxl_twom_tail_check(at, tail->at, tail->summed, &h, error)) < 0) return result;
    record->kind = h.type == PXL_TWOM_DELETE ? PXL_LOG_DELETE : h.type == PXL_TWOM_COMMIT ? PXL_LOG_COMMIT : PXL_LOG_PUT;
    record->link = h.link;
    *size = h.size;
    if (record->kind == PXL_LOG_PUT) {
        record->key = (pxl_slice){at + h.tail, h.keylen};
        record->value = (pxl_slice){at + h.tail + h.keylen + 1, h.vallen};
    }
    return PXL_OK;
}

/* ---- skiplist ---------------------------------------------------------------------------------- */

#define SKIPLIST_LOGSTART 40u

/* The header does not know where the file ends: source.end is 0. */
static int skiplist_header(const uint8_t *octets, pxl_log_header *header, pxl_error *error)
{
    header->source.version = pxl_be32(octets + 20);
    header->first = PXL_SKIPLIST_HEADER;
    header->log = pxl_be32(octets + SKIPLIST_LOGSTART);
    memcpy(header->identity, octets + SKIPLIST_LOGSTART, 8);  /* and the time of the last recovery */
    if (header->source.version != 1)
        return pxl_fail(error, PXL_E_VERSION, "skiplist version", 20, 1, header->source.version);
    return PXL_OK;
}

static int skiplist_record(const pxl_tail *tail, const uint8_t *at, uint64_t room, pxl_logged *record, uint64_t *size,
                           pxl_error *error)
{
    pxl_skiplist_record r;
    int result = pxl_skiplist_record_read(at, room, tail->at, &r, error);

    if (result < 0) return result;
    if (r.type == PXL_SKIPLIST_DUMMY)
        return pxl_fail(error, PXL_E_CORRUPT, "another dummy record", tail->at, PXL_SKIPLIST_ADD, r.type);
    record->kind = r.type == PXL_SKIPLIST_DELETE   ? PXL_LOG_DELETE
                   : r.type == PXL_SKIPLIST_COMMIT ? PXL_LOG_COMMIT
                                                   : PXL_LOG_PUT;
    record->key = r.key;
    record->value = r.value;
    record->link = r.target;
    *size = r.size;
    return PXL_OK;
}

/* ---- any of them ------------------------------------------------------------------------------- */

static const pxl_log_format FORMATS[] = {
    {PXL_TWOSKIP, PXL_TWOSKIP_HEADER, "\xa1\x02\x8b\x0dtwoskip file", twoskip_header, twoskip_record},
    {PXL_TWOM, PXL_TWOM_HEADER, "\xa1\x02\x8b\x0dtwomfile\0\0\0", twom_header, twom_record},
    {PXL_SKIPLIST, PXL_SKIPLIST_HEADER, "\xa1\x02\x8b\x0dskiplist fil", skiplist_header, skiplist_record},
};

int pxl_log_read_header(const uint8_t *octets, uint64_t len, pxl_log_header *header, pxl_error *error)
{
    *header = (pxl_log_header){0};
    for (size_t i = 0; i < sizeof FORMATS / sizeof *FORMATS; i++) {
        const pxl_log_format *format = &FORMATS[i];
        if (len < sizeof format->magic || memcmp(octets, format->magic, sizeof format->magic)) continue;
        header->source.format = format->format;
        if (len < format->header_len)
            return pxl_fail(error, PXL_E_SHORT, "the header is cut off", 0, format->header_len, len);
        return format->header(octets, header, error);
    }
    return pxl_fail(error, PXL_E_FORMAT, "not a database that is written as a log", 0, 0, 0);
}

pxl_tail *pxl_tail_new(const pxl_log_header *header)
{
    pxl_tail *tail = calloc(1, sizeof *tail);

    if (!tail) return NULL;
    tail->summed = header->summed;
    for (size_t i = 0; i < sizeof FORMATS / sizeof *FORMATS; i++)
        if (FORMATS[i].format == header->source.format) tail->format = &FORMATS[i];
    if (tail->format) return tail;
    free(tail);
    return NULL;
}

void pxl_tail_free(pxl_tail *tail)
{
    free(tail);
}

int pxl_tail_start(pxl_tail *tail, const uint8_t *data, uint64_t base, uint64_t len)
{
    if (len > UINT64_MAX - base) return PXL_E_ARGUMENT;
    tail->data = data;
    tail->base = tail->at = base;
    tail->end = base + len;
    return PXL_OK;
}

int pxl_tail_next(pxl_tail *tail, pxl_logged *record, pxl_error *error)
{
    uint64_t size = 0;
    int result = PXL_OK;

    *record = (pxl_logged){0};
    while (!record->kind) {
        if (tail->at == tail->end) return PXL_END;
        record->offset = tail->at;
        result = tail->format->record(tail, tail->data + (tail->at - tail->base), tail->end - tail->at, record, &size,
                                      error);
        if (result < 0) return result;
        tail->at += size;
    }
    return PXL_OK;
}

uint64_t pxl_tail_at(const pxl_tail *tail)
{
    return tail->at;
}

/* ---- the mark ---------------------------------------------------------------------------------- */

#define LAST_COMMIT 24u

uint64_t pxl_log_mark_from(const pxl_log_header *header, const uint8_t *last)
{
    uint64_t end = header->source.end;
    pxl_tail *tail = end >= header->log + LAST_COMMIT ? pxl_tail_new(header) : NULL;
    pxl_logged record;
    uint64_t from = header->log;

    if (tail && pxl_tail_start(tail, last, end - LAST_COMMIT, LAST_COMMIT) == PXL_OK
        && pxl_tail_next(tail, &record, NULL) == PXL_OK && record.kind == PXL_LOG_COMMIT && record.link >= header->log
        && record.link < end)
        from = record.link;
    pxl_tail_free(tail);
    return from < end ? from : end;
}

uint64_t pxl_log_mark(const pxl_log_header *header, const uint8_t *octets, uint64_t base, uint64_t len)
{
    pxl_tail *tail = pxl_tail_new(header);
    pxl_logged record;
    uint64_t mark[5] = {0};

    if (tail && pxl_tail_start(tail, octets, base, len) == PXL_OK)
        while (pxl_tail_next(tail, &record, NULL) == PXL_OK) {
            mark[1] = record.offset;
            mark[2] = (uint64_t)record.kind;
            mark[3] = pxl_xxh3(record.key.data, record.key.len);
            mark[4] = pxl_xxh3(record.value.data, record.value.len);
            mark[0] = pxl_xxh3((const uint8_t *)mark, sizeof mark);
        }
    pxl_tail_free(tail);
    return mark[0];
}
