/* skiplist.c - a skiplist image -> live records in key order.
 *
 * Grammar (all integers u32 big-endian, every offset a multiple of 4):
 *
 *     file    = header(48) dummy inorder* (transaction)*
 *     header  = 0  magic[20] "\xa1\x02\x8b\x0dskiplist file\0\0\0"   20 version (1)   24 minor version
 *               28 maxlevel   32 curlevel   36 listsize   40 logstart   44 last_recovery
 *     transaction = (add / delete)* commit
 *     dummy, inorder, add = type  keylen key  vallen value  pointer*  ffffffff
 *                  key and value zero padded to 4 each; one pointer a level, at most 20
 *     delete  = 4  offset of the record that goes
 *     commit  = 255
 *     type    = 1 inorder   2 add   257 dummy
 *
 * Read as a log: an inorder or add sets its key, a delete removes the record at its offset.  What
 * stands below logstart was written by a checkpoint and is committed as it is; behind that only
 * what a commit follows is.  There are no checksums, and the header does not know the file's end:
 * a file cut off after a commit cannot be told from an older one.
 *
 * Worked example, "a" = "1" added, then deleted, in one transaction of a file that ends at 0xc4:
 *     c4: 00000002  00000001 61000000  00000001 31000000  00000000  ffffffff    (level 1, end of list)
 *     e0: 00000004  000000c4
 *     e8: 000000ff
 *
 * Source: observed files of Cyrus 3.6.1; cyrusdb_skiplist.c.
 */
#include "skiplist.h"

#include "bytes.h"
#include "log.h"
#include "pxl.h"
#include "reader.h"

#define MAX_POINTERS 20u
#define END_OF_POINTERS 0xFFFFFFFFu
#define LOGSTART 40u

static const uint8_t MAGIC[20] = "\xa1\x02\x8b\x0dskiplist file\0\0";

static bool recognise(const uint8_t *image, uint64_t len)
{
    return len >= sizeof MAGIC && !memcmp(image, MAGIC, sizeof MAGIC);
}

static int cut_off(pxl_error *error, uint64_t off, uint64_t expected, uint64_t room)
{
    return pxl_fail(error, PXL_E_SHORT, "a skiplist record passes the end of the file", off, expected, room);
}

/* A counted string at `*used` octets from `at`; moves `*used` over its padding. */
static int read_string(const uint8_t *at, uint64_t room, uint64_t off, uint64_t *used, pxl_slice *out, pxl_error *error)
{
    uint64_t len, padded;

    if (!pxl_has(room, *used, 4)) return cut_off(error, off, *used + 4, room);
    len = pxl_be32(at + *used);
    padded = (len + 3) & ~(uint64_t)3;
    if (!pxl_has(room, *used + 4, padded)) return cut_off(error, off, *used + 4 + padded, room);
    *out = (pxl_slice){at + *used + 4, (size_t)len};
    for (uint64_t i = len; i < padded; i++)
        if (out->data[i]) return pxl_fail(error, PXL_E_CORRUPT, "padding of a skiplist record", off, 0, out->data[i]);
    *used += 4 + padded;
    return PXL_OK;
}

static int read_pointers(const uint8_t *at, uint64_t room, uint64_t off, uint64_t *used, pxl_error *error)
{
    for (unsigned n = 0; n <= MAX_POINTERS; n++) {
        if (!pxl_has(room, *used, 4)) return cut_off(error, off, *used + 4, room);
        *used += 4;
        if (pxl_be32(at + *used - 4) == END_OF_POINTERS) return PXL_OK;
    }
    return pxl_fail(error, PXL_E_CORRUPT, "too many pointers in a skiplist record", off, MAX_POINTERS, MAX_POINTERS + 1);
}

int pxl_skiplist_record_read(const uint8_t *at, uint64_t room, uint64_t off, pxl_skiplist_record *record,
                             pxl_error *error)
{
    uint64_t used = 4;
    int result;

    if (room < 4) return cut_off(error, off, 4, room);
    *record = (pxl_skiplist_record){.type = pxl_be32(at)};
    switch (record->type) {
    case PXL_SKIPLIST_COMMIT:
        break;
    case PXL_SKIPLIST_DELETE:
        if (room < 8) return cut_off(error, off, 8, room);
        record->target = pxl_be32(at + 4);
        used = 8;
        break;
    case PXL_SKIPLIST_INORDER:
    case PXL_SKIPLIST_ADD:
    case PXL_SKIPLIST_DUMMY:
        result = read_string(at, room, off, &used, &record->key, error);
        if (result == PXL_OK) result = read_string(at, room, off, &used, &record->value, error);
        if (result == PXL_OK) result = read_pointers(at, room, off, &used, error);
        if (result < 0) return result;
        break;
    default:
        return pxl_fail(error, PXL_E_CORRUPT, "not a skiplist record", off, PXL_SKIPLIST_ADD, record->type);
    }
    record->size = used;
    return PXL_OK;
}

static int open_skiplist(pxl_reader *reader, pxl_error *error)
{
    const uint8_t *image = reader->image;

    if (reader->len < PXL_SKIPLIST_HEADER)
        return pxl_fail(error, PXL_E_SHORT, "skiplist header is cut off", 0, PXL_SKIPLIST_HEADER, reader->len);
    reader->source.version = pxl_be32(image + 20);
    if (reader->source.version != 1)
        return pxl_fail(error, PXL_E_VERSION, "skiplist version", 20, 1, reader->source.version);
    if (reader->len > UINT32_MAX)
        return pxl_fail(error, PXL_E_CORRUPT, "skiplist file longer than its offsets reach", 0, UINT32_MAX, reader->len);
    reader->repacked = pxl_be32(image + LOGSTART);
    reader->source.end = reader->len;
    reader->at = PXL_SKIPLIST_HEADER;
    reader->trusted = reader->repacked <= reader->len;
    if (reader->trusted) return PXL_OK;
    pxl_fail(error, PXL_E_SHORT, "skiplist file is shorter than its header says", LOGSTART, reader->repacked, reader->len);
    return pxl_reader_lose(reader, PXL_E_SHORT, "the file ends early", reader->len, reader->repacked - reader->len);
}

static int take(pxl_reader *reader, uint64_t off, const pxl_skiplist_record *record, pxl_error *error)
{
    int result = PXL_OK;

    if ((off == PXL_SKIPLIST_HEADER) != (record->type == PXL_SKIPLIST_DUMMY))
        return pxl_fail(error, PXL_E_CORRUPT, "the dummy record is not the first, or another is", off, PXL_SKIPLIST_DUMMY,
                        record->type);
    if (record->type == PXL_SKIPLIST_INORDER || record->type == PXL_SKIPLIST_ADD)
        result = pxl_log_put(&reader->log, off, record->key);
    else if (record->type == PXL_SKIPLIST_DELETE)
        result = pxl_log_delete(&reader->log, off, record->target);
    if (result < 0) return pxl_fail(error, result, "out of memory", off, 0, 0);
    if (record->type == PXL_SKIPLIST_COMMIT || off < reader->repacked) {
        pxl_log_commit(&reader->log);
        reader->source.end = off + record->size;
    }
    return PXL_OK;
}

static pxl_slice key_at(const pxl_reader *reader, uint64_t off)
{
    const uint8_t *at = reader->image + off;

    return (pxl_slice){at + 8, pxl_be32(at + 4)};
}

/* The offset behind the last word that could be a commit. */
static uint64_t last_commit(const pxl_reader *reader)
{
    uint64_t end = reader->len & ~(uint64_t)3;

    while (end > reader->repacked && pxl_be32(reader->image + end - 4) != PXL_SKIPLIST_COMMIT) end -= 4;
    return end;
}

/* Nothing behind the last commit is damage: a writer died there, or was just writing. */
static bool is_torn_tail(pxl_reader *reader, uint64_t off)
{
    if (!reader->torn_known) {
        reader->torn_from = last_commit(reader);
        reader->torn_known = true;
    }
    return off >= reader->repacked && off >= reader->torn_from;
}

static int finish(pxl_reader *reader, pxl_error *error)
{
    int result;

    pxl_log_rollback(&reader->log);
    result = pxl_log_resolve(reader, key_at, PXL_TARGET_IS_DELETED, error);
    reader->source.records = reader->log.puts_len;
    reader->at = reader->source.end;
    return result;
}

static int load(pxl_reader *reader, uint64_t have, pxl_error *error)
{
    pxl_error local;
    int result;

    if (!error) error = &local;
    while (reader->at < reader->len) {
        uint64_t off = reader->at, left = have > off ? have - off : 0;
        pxl_skiplist_record record;
        result = pxl_skiplist_record_read(reader->image + off, left, off, &record, error);
        if (result == PXL_OK) result = take(reader, off, &record, error);
        if (result == PXL_OK) {
            reader->at += record.size;
            continue;
        }
        if (result == PXL_E_MEMORY) return result;
        if (have < reader->len) return PXL_MORE; /* cut off, or torn: that shows at the end */
        if (is_torn_tail(reader, off)) break;
        reader->at += left < 4 ? left : 4;
        if ((result = pxl_reader_lose(reader, result, error->message, off, reader->at - off)) < 0) return result;
    }
    return finish(reader, error);
}

static int next_record(pxl_reader *reader, pxl_record *record, pxl_error *error)
{
    const uint8_t *at;
    uint32_t keylen;

    (void)error;
    if (!pxl_log_next(&reader->log, reader->image, &reader->next, &record->offset)) return PXL_END;
    at = reader->image + record->offset;
    keylen = pxl_be32(at + 4);
    record->key = (pxl_slice){at + 8, keylen};
    at += 8 + ((keylen + (size_t)3) & ~(size_t)3);
    record->value = (pxl_slice){at + 4, pxl_be32(at)};
    return PXL_OK;
}

const pxl_format pxl_skiplist_format = {PXL_SKIPLIST, recognise, open_skiplist, next_record, NULL, load};
