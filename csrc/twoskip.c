/* twoskip.c - a twoskip image -> live records in key order.
 *
 * Grammar (all integers big-endian, every offset a multiple of 8):
 *
 *     file    = header(64) dummy record*
 *     header  = 0  magic[20] "\xa1\x02\x8b\x0dtwoskip file\0\0\0\0"    20 u32 version (1)
 *               24 u64 generation   32 u64 num_records   40 u64 repack_size
 *               48 u64 current_size 56 u32 flags (1 = a transaction is open)   60 u32 crc32(0..59)
 *     record  = u8 type  u8 level  u16 keylen  u32 vallen
 *               [u64 keylen, if the u16 is 0xFFFF]  [u64 vallen, if the u32 is 0xFFFFFFFF]
 *               (level + 1) x u64 pointer   u32 crc32(all before)   u32 crc32(tail)
 *               tail = key value, zero padded to 8
 *     type    = '=' dummy (at 64, level 31)  '+' add or replace  '-' delete  '$' commit
 *
 * pointer[0] and pointer[1] are both links of level 0: the server overwrites the older one, so
 * whichever is higher and still below current_size is the link that was committed.  Following
 * those from the dummy meets each live key once, in order; the one exception is a delete, which
 * has no key and whose pointer[0] leads on to the record after the deleted one.  Between records
 * lie filler words (" BLANK\x07\xa0"), dead records and commits, none of which is ever linked.
 *
 * Nothing at or beyond current_size is believed, whatever the file's length: a copy taken in the
 * middle of a transaction still reads as the state before it.
 *
 * Worked example, the first record of a file with one mailbox "Npub" at 0x148 (level 1):
 *     148: 2b 01 0004 00000023                 '+', level 1, keylen 4, vallen 35
 *     150: 0 0                                 pointer[0], pointer[1]: the end of the list
 *     160: <crc of 148..15f> <crc of 168..18f> 168: "Npub%(T e I ...)" and padding
 *
 * Source: observed files of Cyrus 3.6.1; the format is described in cyrusdb_twoskip.c.
 */
#include "bytes.h"
#include "pxl.h"

#define HEADER_LEN 64u
#define MAX_LEVEL 31u
#define FLAG_DIRTY 1u

static const uint8_t MAGIC[20] = "\xa1\x02\x8b\x0dtwoskip file\0\0\0";

typedef struct {
    uint8_t type, level;
    uint64_t keylen, vallen;
    uint64_t pointers;       /* offset of pointer[0] */
    uint64_t tail;           /* offset of the key */
} head;

static int recognise(const uint8_t *image, uint64_t len)
{
    return len >= sizeof MAGIC && !memcmp(image, MAGIC, sizeof MAGIC);
}

/* Decode and check the head at `off`; lengths are bounded before any is added to another. */
static int read_head(const pxl_reader *reader, uint64_t off, head *h, pxl_error *error)
{
    const uint8_t *image = reader->image;
    uint64_t end = reader->source.end, at = off + 8, links, long_lengths;

    if (off % 8 || off < HEADER_LEN || !pxl_has(end, off, 8))
        return pxl_fail(error, PXL_E_CORRUPT, "a link leads outside the file", off, end, off);
    h->type = image[off];
    h->level = image[off + 1];
    h->keylen = pxl_be16(image + off + 2);
    h->vallen = pxl_be32(image + off + 4);
    if (h->level > MAX_LEVEL)
        return pxl_fail(error, PXL_E_CORRUPT, "record level too high", off + 1, MAX_LEVEL, h->level);
    links = 8 * ((uint64_t)h->level + 1);
    long_lengths = (h->keylen == 0xFFFF ? 8u : 0u) + (h->vallen == 0xFFFFFFFF ? 8u : 0u);
    if (!pxl_has(end, at, long_lengths + links + 8))
        return pxl_fail(error, PXL_E_CORRUPT, "record head passes the end", off, long_lengths + links + 8, end - at);
    if (h->keylen == 0xFFFF) {
        h->keylen = pxl_be64(image + at);
        at += 8;
    }
    if (h->vallen == 0xFFFFFFFF) {
        h->vallen = pxl_be64(image + at);
        at += 8;
    }
    h->pointers = at;
    at += links;
    h->tail = at + 8;
    if (h->keylen > end - h->tail || h->vallen > end - h->tail - h->keylen)
        return pxl_fail(error, PXL_E_CORRUPT, "record passes the end", off, end - h->tail, h->keylen);
    uint32_t sum = pxl_crc32(image + off, at - off), stored = pxl_be32(image + at);
    if (sum != stored) return pxl_fail(error, PXL_E_CORRUPT, "checksum of a record head", off, stored, sum);
    return PXL_OK;
}

static int check_tail(const pxl_reader *reader, uint64_t off, const head *h, pxl_error *error)
{
    uint64_t padded = (h->keylen + h->vallen + 7) & ~(uint64_t)7;
    uint32_t sum, stored = pxl_be32(reader->image + h->tail - 4);

    if (!pxl_has(reader->source.end, h->tail, padded))
        return pxl_fail(error, PXL_E_CORRUPT, "record passes the end", off, padded, reader->source.end - h->tail);
    sum = pxl_crc32(reader->image + h->tail, padded);
    if (sum != stored) return pxl_fail(error, PXL_E_CORRUPT, "checksum of a record", off, stored, sum);
    return PXL_OK;
}

/* The committed level-0 link of a record: see the head of this file. */
static uint64_t next_of(const pxl_reader *reader, const head *h)
{
    uint64_t end = reader->source.end, a = pxl_be64(reader->image + h->pointers), b;

    if (h->type == '-' || h->level == 0) return a;
    b = pxl_be64(reader->image + h->pointers + 8);
    if (a >= end) return b >= end ? 0 : b;
    return b >= end || a > b ? a : b;
}

static int open_twoskip(pxl_reader *reader, pxl_error *error)
{
    const uint8_t *image = reader->image;
    head dummy = {0};
    uint32_t sum, stored;
    int result;

    if (reader->len < HEADER_LEN)
        return pxl_fail(error, PXL_E_SHORT, "twoskip header is cut off", 0, HEADER_LEN, reader->len);
    reader->source.version = pxl_be32(image + 20);
    reader->source.generation = pxl_be64(image + 24);
    reader->source.records = pxl_be64(image + 32);
    reader->source.end = pxl_be64(image + 48);
    reader->source.flags = pxl_be32(image + 56);
    sum = pxl_crc32(image, 60);
    stored = pxl_be32(image + 60);
    if (sum != stored) return pxl_fail(error, PXL_E_CORRUPT, "checksum of the twoskip header", 60, stored, sum);
    if (reader->source.version != 1)
        return pxl_fail(error, PXL_E_VERSION, "twoskip version", 20, 1, reader->source.version);
    if (reader->source.end > reader->len)
        return pxl_fail(error, PXL_E_SHORT, "twoskip file is shorter than its header says", 48, reader->source.end,
                        reader->len);
    result = read_head(reader, HEADER_LEN, &dummy, error);
    if (result < 0) return result;
    if (dummy.type != '=' || dummy.level != MAX_LEVEL)
        return pxl_fail(error, PXL_E_CORRUPT, "first twoskip record is not the dummy", HEADER_LEN, '=', dummy.type);
    reader->at = next_of(reader, &dummy);
    return PXL_OK;
}

static int next_record(pxl_reader *reader, pxl_record *record, pxl_error *error)
{
    head h = {0};
    uint64_t off;
    int result;

    /* A delete leads to one live record, never to another delete, so one detour is the bound. */
    for (int detour = 0; detour < 2; detour++) {
        off = reader->at;
        if (!off) return PXL_END;
        if ((result = read_head(reader, off, &h, error)) < 0) return result;
        reader->at = next_of(reader, &h);
        if (h.type == '+') {
            if ((result = check_tail(reader, off, &h, error)) < 0) return result;
            record->offset = off;
            record->key = (pxl_slice){reader->image + h.tail, h.keylen};
            record->value = (pxl_slice){reader->image + h.tail + h.keylen, h.vallen};
            return PXL_OK;
        }
        if (h.type != '-') break;
    }
    return pxl_fail(error, PXL_E_CORRUPT, "a link leads to a record of the wrong type", off, '+', h.type);
}

const pxl_format pxl_twoskip_format = {PXL_TWOSKIP, recognise, open_twoskip, next_record, NULL};
