/* twoskip.c - a twoskip image -> live records in key order.
 *
 * Grammar (all integers big-endian, every offset a multiple of 8):
 *
 *     file    = header(64) dummy (record / filler)*
 *     header  = 0  magic[20] "\xa1\x02\x8b\x0dtwoskip file\0\0\0\0"    20 u32 version (1)
 *               24 u64 generation   32 u64 num_records   40 u64 repack_size
 *               48 u64 current_size 56 u32 flags (1 = a transaction is open)   60 u32 crc32(0..59)
 *     record  = u8 type  u8 level  u16 keylen  u32 vallen
 *               [u64 keylen, if the u16 is 0xFFFF]  [u64 vallen, if the u32 is 0xFFFFFFFF]
 *               (level + 1) x u64 pointer   u32 crc32(all before)   u32 crc32(tail)
 *               tail = key value, zero padded to 8
 *     type    = '=' dummy (at 64, level 31)  '+' add or replace  '-' delete  '$' commit
 *     filler  = " BLANK\x07\xa0"               keeps a head off a boundary of 512
 *
 * Read as a log: from the dummy to current_size each '+' sets its key, and each '-' removes one.
 * A '-' has no key: its pointer[0] is the record behind the deleted one (0 at the end), so what goes
 * is the live predecessor of that record's key.  The other pointers are links of a skip list that
 * the server rewrites in place, two on the lowest level by turns.  They are not followed: after
 * two more commits neither of a pair may lead where current_size, read earlier, says the list ended,
 * and what a copy of a busy file then seems to lack would go unnoticed.  Below current_size nothing
 * but pointers and the sums of heads ever changes, so the log of any copy taken after its header
 * is the state of that header, whatever the writer did meanwhile.  A head caught in the middle of a
 * rewrite has a wrong sum; reading the file again cures that.
 *
 * Worked example, the first record of a file with one mailbox "Npub" at 0x148 (level 1):
 *     148: 2b 01 0004 00000023                 '+', level 1, keylen 4, vallen 35
 *     150: 0 0                                 pointer[0], pointer[1]: the end of the list
 *     160: <crc of 148..15f> <crc of 168..18f> 168: "Npub%(T e I ...)" and padding
 *
 * Source: observed files of Cyrus 3.6.1; the format is described in cyrusdb_twoskip.c.
 */
#include "twoskip.h"

#include "bytes.h"
#include "log.h"
#include "pxl.h"
#include "reader.h"

#define MAX_LEVEL 31u
#define FLAG_OPEN 1u

static const uint8_t MAGIC[20] = "\xa1\x02\x8b\x0dtwoskip file\0\0\0";

static bool recognise(const uint8_t *image, uint64_t len)
{
    return len >= sizeof MAGIC && !memcmp(image, MAGIC, sizeof MAGIC);
}

int pxl_twoskip_header_read(const uint8_t *image, pxl_twoskip_header *header, pxl_error *error)
{
    uint32_t sum = pxl_crc32(image, 60), stored = pxl_be32(image + 60);

    *header = (pxl_twoskip_header){
        .version = pxl_be32(image + 20),
        .generation = pxl_be64(image + 24),
        .records = pxl_be64(image + 32),
        .repack_size = pxl_be64(image + 40),
        .end = pxl_be64(image + 48),
        .flags = pxl_be32(image + 56),
    };
    if (sum != stored) return pxl_fail(error, PXL_E_CORRUPT, "checksum of the twoskip header", 60, stored, sum);
    if (header->version != 1) return pxl_fail(error, PXL_E_VERSION, "twoskip version", 20, 1, header->version);
    return PXL_OK;
}

bool pxl_twoskip_is_blank(const uint8_t *at, uint64_t room)
{
    return room >= PXL_TWOSKIP_BLANK && !memcmp(at, " BLANK\x07\xa0", PXL_TWOSKIP_BLANK);
}

/* Lengths longer than their short fields; moves `*p` over them. */
static void read_long_lengths(pxl_twoskip_head *h, const uint8_t **p)
{
    if (h->keylen == 0xFFFF) {
        h->keylen = pxl_be64(*p);
        *p += 8;
    }
    if (h->vallen == 0xFFFFFFFF) {
        h->vallen = pxl_be64(*p);
        *p += 8;
    }
}

/* Lengths and places of a record that was checked before. */
static void locate(const uint8_t *at, pxl_twoskip_head *h)
{
    const uint8_t *p = at + 8;

    h->keylen = pxl_be16(at + 2);
    h->vallen = pxl_be32(at + 4);
    read_long_lengths(h, &p);
    h->tail = (uint64_t)(p - at) + 8 * ((uint64_t)at[1] + 1) + 8;
}

int pxl_twoskip_head_read(const uint8_t *at, uint64_t room, uint64_t off, pxl_twoskip_head *h, pxl_error *error)
{
    const uint8_t *p = at + 8;
    uint64_t links, long_lengths, padded;

    if (room < 8) return pxl_fail(error, PXL_E_CORRUPT, "record head passes the end", off, 8, room);
    *h = (pxl_twoskip_head){.type = at[0], .level = at[1], .keylen = pxl_be16(at + 2), .vallen = pxl_be32(at + 4)};
    if (h->type != '+' && h->type != '-' && h->type != '$' && h->type != '=')
        return pxl_fail(error, PXL_E_CORRUPT, "not a twoskip record", off, '+', h->type);
    if (h->level > MAX_LEVEL)
        return pxl_fail(error, PXL_E_CORRUPT, "record level too high", off + 1, MAX_LEVEL, h->level);
    links = 8 * ((uint64_t)h->level + 1);
    long_lengths = (h->keylen == 0xFFFF ? 8u : 0u) + (h->vallen == 0xFFFFFFFF ? 8u : 0u);
    if (room - 8 < long_lengths + links + 8)
        return pxl_fail(error, PXL_E_CORRUPT, "record head passes the end", off, long_lengths + links + 16, room);
    read_long_lengths(h, &p);
    h->link = pxl_be64(p);
    p += links;
    h->tail = (uint64_t)(p - at) + 8;
    uint32_t sum = pxl_crc32(at, h->tail - 8), stored = pxl_be32(p);
    if (sum != stored) return pxl_fail(error, PXL_E_CORRUPT, "checksum of a record head", off, stored, sum);
    if (h->keylen > room - h->tail || h->vallen > room - h->tail - h->keylen)
        return pxl_fail(error, PXL_E_CORRUPT, "record passes the end", off, room - h->tail,
                        h->keylen > room - h->tail ? h->keylen : h->vallen);
    padded = (h->keylen + h->vallen + 7) & ~(uint64_t)7;
    if (padded > room - h->tail)
        return pxl_fail(error, PXL_E_CORRUPT, "record passes the end", off, room - h->tail, padded);
    h->size = h->tail + padded;
    return PXL_OK;
}

int pxl_twoskip_tail_check(const uint8_t *at, uint64_t off, const pxl_twoskip_head *h, pxl_error *error)
{
    uint32_t sum = pxl_crc32(at + h->tail, h->size - h->tail), stored = pxl_be32(at + h->tail - 4);

    if (sum != stored) return pxl_fail(error, PXL_E_CORRUPT, "checksum of a record", off, stored, sum);
    return PXL_OK;
}

/* Is the committed size credible?  With PXL_SALVAGE a bad header gives all of the image. */
static int believe_end(pxl_reader *reader, int result, pxl_error *error)
{
    pxl_source *source = &reader->source;

    if (result == PXL_OK && source->end > reader->len)
        result = pxl_fail(error, PXL_E_SHORT, "twoskip file is shorter than its header says", 48, source->end, reader->len);
    if (result == PXL_OK && source->end < PXL_TWOSKIP_HEADER)
        result = pxl_fail(error, PXL_E_CORRUPT, "committed size of the twoskip header", 48, PXL_TWOSKIP_HEADER, source->end);
    reader->trusted = result == PXL_OK;
    if (reader->trusted || result == PXL_E_VERSION) return result;
    if (result == PXL_E_SHORT) {
        result = pxl_reader_lose(reader, result, "the file ends early", reader->len, source->end - reader->len);
    } else {
        result = pxl_reader_lose(reader, result, "damaged header", 0, PXL_TWOSKIP_HEADER);
        source->generation = source->records = 0;
    }
    source->end = reader->len;
    return result;
}

static int open_twoskip(pxl_reader *reader, pxl_error *error)
{
    pxl_twoskip_header header;
    int result;

    if (reader->len < PXL_TWOSKIP_HEADER)
        return pxl_fail(error, PXL_E_SHORT, "twoskip header is cut off", 0, PXL_TWOSKIP_HEADER, reader->len);
    result = pxl_twoskip_header_read(reader->image, &header, error);
    reader->source.version = header.version;
    reader->source.generation = header.generation;
    reader->source.records = header.records;
    reader->source.end = header.end;
    reader->source.flags = header.flags;
    if (result == PXL_OK) reader->repacked = header.repack_size;
    reader->at = PXL_TWOSKIP_HEADER;
    return believe_end(reader, result, error);
}

/* Note a checked record. */
static int take(pxl_reader *reader, uint64_t off, const pxl_twoskip_head *h, pxl_error *error)
{
    int result = PXL_OK;

    if ((off == PXL_TWOSKIP_HEADER) != (h->type == '='))
        return pxl_fail(error, PXL_E_CORRUPT, "the dummy record is not the first, or another is", off, '=', h->type);
    if (h->type == '+')
        result = pxl_log_put(&reader->log, off, (pxl_slice){reader->image + off + h->tail, h->keylen});
    else if (h->type == '-')
        result = pxl_log_delete(&reader->log, off, h->link);
    else if (h->type == '$')
        pxl_log_commit(&reader->log);
    return result < 0 ? pxl_fail(error, result, "out of memory", off, 0, 0) : PXL_OK;
}

static pxl_slice key_at(const pxl_reader *reader, uint64_t off)
{
    pxl_twoskip_head h;

    locate(reader->image + off, &h);
    return (pxl_slice){reader->image + off + h.tail, h.keylen};
}

/* Where a damaged record may end: behind it when its head is sound, else one word on. */
static int step_over(pxl_reader *reader, uint64_t off, int result, const pxl_twoskip_head *h, const pxl_error *error)
{
    uint64_t left = reader->source.end - off, size = h->size ? h->size : left < 8 ? left : 8;

    reader->at = off + size;
    return pxl_reader_lose(reader, result, error->message, off, size);
}

static int finish(pxl_reader *reader, pxl_error *error)
{
    int result;

    if (!reader->trusted) pxl_log_rollback(&reader->log);
    result = pxl_log_resolve(reader, key_at, PXL_TARGET_FOLLOWS, error);
    /* In an open transaction the header may already count without the record that is being replaced. */
    if (result == PXL_OK && !pxl_reader_salvages(reader) && !(reader->source.flags & FLAG_OPEN)
        && reader->log.puts_len != reader->source.records)
        return pxl_fail(error, PXL_E_CORRUPT, "number of live records", 32, reader->source.records, reader->log.puts_len);
    reader->source.records = reader->log.puts_len;
    return result;
}

static int load(pxl_reader *reader, uint64_t have, pxl_error *error)
{
    pxl_error local;
    int result;

    if (!error) error = &local;
    while (reader->at < reader->source.end) {
        uint64_t off = reader->at, room = reader->source.end - off;
        const uint8_t *at = reader->image + off;
        pxl_twoskip_head h = {0};
        if (pxl_reader_waits(reader, have, off, PXL_TWOSKIP_HEAD_MAX)) return PXL_MORE;
        if (pxl_twoskip_is_blank(at, room)) {
            reader->at += PXL_TWOSKIP_BLANK;
            continue;
        }
        result = pxl_twoskip_head_read(at, room, off, &h, error);
        if (result == PXL_OK) {
            if (pxl_reader_waits(reader, have, off, h.size)) return PXL_MORE;
            result = pxl_twoskip_tail_check(at, off, &h, error);
            if (result == PXL_OK) result = take(reader, off, &h, error);
        }
        if (off < reader->repacked) pxl_log_commit(&reader->log);
        if (result == PXL_OK)
            reader->at += h.size;
        else if (result == PXL_E_MEMORY || (result = step_over(reader, off, result, &h, error)) < 0)
            return result;
    }
    return finish(reader, error);
}

static int next_record(pxl_reader *reader, pxl_record *record, pxl_error *error)
{
    pxl_twoskip_head h;
    uint64_t off;

    (void)error;
    if (!pxl_log_next(&reader->log, reader->image, &reader->next, &off)) return PXL_END;
    locate(reader->image + off, &h);
    record->offset = off;
    record->key = (pxl_slice){reader->image + off + h.tail, h.keylen};
    record->value = (pxl_slice){reader->image + off + h.tail + h.keylen, h.vallen};
    return PXL_OK;
}

const pxl_format pxl_twoskip_format = {PXL_TWOSKIP, recognise, open_twoskip, next_record, NULL, load};
