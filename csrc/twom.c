/* twom.c - a twom image -> live records in key order.
 *
 * Grammar (all integers little-endian, every offset from the file's start and a multiple of 8):
 *
 *     file    = header(96) dummy(272) transaction*      up to current_size; then anything
 *     transaction = (add / replace / delete)+ commit
 *     header  = 0 magic[16] "\xa1\x02\x8b\x0dtwomfile\0\0\0\0"   16 uuid[16]   32 u32 version (1)
 *               36 u32 flags         40 u64 generation     48 u64 num_records   56 u64 num_commits
 *               64 u64 dirty_size    72 u64 repack_size    80 u64 current_size  88 u32 maxlevel
 *               92 u32 sum(0..91)
 *     flags   = 1 a transaction is open   1<<27 all sums are 0   1<<28 sums are XXH3
 *               1<<29 sums of a foreign kind   1<<30 foreign key order
 *     record  = u8 type  u8 level  ...  links  u32 sum(head)  u32 sum(tail)  tail
 *     tail    = key NUL value NUL, zero padded to 8
 *
 *     type            octets 2..7                then                                   links
 *     1 dummy         0                                                                 32
 *     2 add           u16 keylen, u32 vallen                                            1 + level
 *     3 fat add       0                          u64 keylen, u64 vallen                 1 + level
 *     4 replace       u16 keylen, u32 vallen     u64 ancestor                           1 + level
 *     5 fat replace   0                          u64 keylen, u64 vallen, u64 ancestor   1 + level
 *     6 delete        0                          u64 ancestor                           none
 *     7 commit        0                          u64 start of the transaction           none
 *
 * A sum is the low half of XXH3-64 of its octets; links belong to the head, and of no octets it is 0.
 * Deletes and commits have no tail.
 *
 * Read as a log from 368 to current_size: an add or replace sets its key, a delete removes the
 * record that is its ancestor.  Lists are not walked: a writer rewrites links below current_size
 * while we read, and a copy whose body is younger than its header reads right only this way.  For
 * the same reason the heads' sums of adds and replaces are not judged; of all else every sum is.
 *
 * Worked example, "put b=22, delete a" over a file with b at 0x170 and a at 0x198:
 *     208: 04 01 0100 02000000   replace, level 1, keylen 1, vallen 2
 *     210: 7001000000000000      ancestor: the b before
 *     218: a002000000000000 c801000000000000   links
 *     228: 44d6875f b5c56364     sums of 208..227 and 230..237
 *     230: 62 00 32 32 00 000000 "b" NUL "22" NUL, padding
 *     238: 06 00 000000000000    delete
 *     240: 9801000000000000      ancestor: a
 *     248: c04fd7f1 00000000     sums
 *     250: 07 00 000000000000 0802000000000000 0f7923bc 00000000   commit of 0x208; size is 0x268
 *
 * Source: files written by Cyrus' twom.c, whose head describes the format.
 */
#include "twom.h"

#include <stdlib.h>

#include "bytes.h"
#include "log.h"
#include "pxl.h"
#include "reader.h"

#define MAX_LEVEL 31u
#define SALVAGED_ON_TRUST 4096u
#define FLAG_NO_SUMS (1u << 27)
#define FLAG_FOREIGN_SUMS (1u << 29)
#define FLAG_FOREIGN_ORDER (1u << 30)

static const uint8_t MAGIC[16] = "\xa1\x02\x8b\x0dtwomfile\0\0\0";

static bool recognise(const uint8_t *image, uint64_t len)
{
    return len >= sizeof MAGIC && !memcmp(image, MAGIC, sizeof MAGIC);
}

static uint32_t sum_of(const uint8_t *data, uint64_t len)
{
    return len ? (uint32_t)pxl_xxh3(data, len) : 0;
}

int pxl_twom_header_read(const uint8_t *image, pxl_twom_header *header, pxl_error *error)
{
    uint32_t sum = sum_of(image, 92), stored = pxl_le32(image + 92);

    *header = (pxl_twom_header){
        .version = pxl_le32(image + 32),
        .flags = pxl_le32(image + 36),
        .generation = pxl_le64(image + 40),
        .records = pxl_le64(image + 48),
        .commits = pxl_le64(image + 56),
        .repack_size = pxl_le64(image + 72),
        .end = pxl_le64(image + 80),
    };
    memcpy(header->uuid, image + 16, sizeof header->uuid);
    header->summed = !(header->flags & (FLAG_NO_SUMS | FLAG_FOREIGN_SUMS));
    if (header->summed && sum != stored)
        return pxl_fail(error, PXL_E_CORRUPT, "checksum of the twom header", 92, stored, sum);
    if (header->version != 1) return pxl_fail(error, PXL_E_VERSION, "twom version", 32, 1, header->version);
    if (header->flags & FLAG_FOREIGN_ORDER)
        return pxl_fail(error, PXL_E_VERSION, "twom file in a foreign key order, flags", 36, header->flags & 1,
                        header->flags);
    return PXL_OK;
}

/* Where the fields of each type are; octets from the record's start. */
static const struct {
    uint8_t long_lengths, link, links;   /* 0: has none */
    uint8_t has_tail;
} SHAPES[] = {
    [PXL_TWOM_ADD] = {0, 0, 8, 1},
    [PXL_TWOM_FAT_ADD] = {8, 0, 24, 1},
    [PXL_TWOM_REPLACE] = {0, 8, 16, 1},
    [PXL_TWOM_FAT_REPLACE] = {8, 24, 32, 1},
    [PXL_TWOM_DELETE] = {0, 8, 0, 0},
    [PXL_TWOM_COMMIT] = {0, 8, 0, 0},
};

/* Lengths and places of a record whose head is all there. */
static void locate(const uint8_t *at, pxl_twom_head *h)
{
    uint8_t fat = SHAPES[h->type].long_lengths, link = SHAPES[h->type].link, links = SHAPES[h->type].links;

    if (SHAPES[h->type].has_tail) {
        h->keylen = fat ? pxl_le64(at + fat) : pxl_le16(at + 2);
        h->vallen = fat ? pxl_le64(at + fat + 8) : pxl_le32(at + 4);
    }
    h->link = link ? pxl_le64(at + link) : 0;
    h->tail = (links ? links + 8 * ((uint64_t)h->level + 1) : 16u) + 8;
}

int pxl_twom_head_read(const uint8_t *at, uint64_t room, uint64_t off, bool summed, pxl_twom_head *h, pxl_error *error)
{
    uint64_t left, used;

    *h = (pxl_twom_head){0};
    if (room < 24) return pxl_fail(error, PXL_E_CORRUPT, "record head passes the end", off, 24, room);
    h->type = at[0];
    h->level = at[1];
    if (h->type < PXL_TWOM_ADD || h->type > PXL_TWOM_COMMIT)
        return pxl_fail(error, PXL_E_CORRUPT, "not a twom record", off, PXL_TWOM_ADD, h->type);
    if (h->level > MAX_LEVEL || (h->level == 0) != !SHAPES[h->type].has_tail)
        return pxl_fail(error, PXL_E_CORRUPT, "level of a record", off + 1, MAX_LEVEL, h->level);
    if (room < PXL_TWOM_HEAD_MAX && room < (uint64_t)SHAPES[h->type].links + 8 * ((uint64_t)h->level + 1) + 8)
        return pxl_fail(error, PXL_E_CORRUPT, "record head passes the end", off, PXL_TWOM_HEAD_MAX, room);
    locate(at, h);
    if (!SHAPES[h->type].has_tail) {
        uint32_t sum = summed ? sum_of(at, 16) : 0, stored = pxl_le32(at + 16);
        if (summed && sum != stored) return pxl_fail(error, PXL_E_CORRUPT, "checksum of a record head", off, stored, sum);
        h->size = h->tail;
        return PXL_OK;
    }
    left = room - h->tail;
    if (h->keylen > left || h->vallen > left - h->keylen || left - h->keylen - h->vallen < 2)
        return pxl_fail(error, PXL_E_CORRUPT, "record passes the end", off, left,
                        h->keylen > left ? h->keylen : h->vallen);
    used = (h->keylen + h->vallen + 2 + 7) & ~(uint64_t)7;
    if (used > left) return pxl_fail(error, PXL_E_CORRUPT, "record passes the end", off, left, used);
    h->size = h->tail + used;
    return PXL_OK;
}

int pxl_twom_tail_check(const uint8_t *at, uint64_t off, bool summed, const pxl_twom_head *h, pxl_error *error)
{
    uint32_t sum, stored = pxl_le32(at + h->tail - 4);
    uint64_t value_end = h->tail + h->keylen + 1 + h->vallen;

    sum = summed ? sum_of(at + h->tail, h->size - h->tail) : 0;
    if (summed && sum != stored) return pxl_fail(error, PXL_E_CORRUPT, "checksum of a record", off, stored, sum);
    if (!SHAPES[h->type].has_tail) return PXL_OK;
    if (at[h->tail + h->keylen])
        return pxl_fail(error, PXL_E_CORRUPT, "octet after a key", off + h->tail + h->keylen, 0, at[h->tail + h->keylen]);
    for (uint64_t i = value_end; i < h->size; i++)
        if (at[i]) return pxl_fail(error, PXL_E_CORRUPT, "octet after a value", off + i, 0, at[i]);
    return PXL_OK;
}

/* ---- the whole file ---------------------------------------------------------------------------- */

typedef struct {
    bool summed;
    uint64_t start;          /* of the transaction being read */
} state;

/* Is the committed size credible?  With PXL_SALVAGE a bad header gives all of the image. */
static int believe_end(pxl_reader *reader, int result, pxl_error *error)
{
    pxl_source *source = &reader->source;

    if (result == PXL_OK && source->end > reader->len)
        result = pxl_fail(error, PXL_E_SHORT, "twom file is shorter than its header says", 80, source->end, reader->len);
    if (result == PXL_OK && (source->end < PXL_TWOM_LOG || source->end % 8))
        result = pxl_fail(error, PXL_E_CORRUPT, "committed size of the twom header", 80, PXL_TWOM_LOG, source->end);
    reader->trusted = result == PXL_OK;
    if (reader->trusted || result == PXL_E_VERSION) return result;
    if (result == PXL_E_SHORT) {
        result = pxl_reader_lose(reader, result, "the file ends early", reader->len, source->end - reader->len);
    } else {
        result = pxl_reader_lose(reader, result, "damaged header", 0, PXL_TWOM_HEADER);
        source->generation = source->records = 0;
    }
    source->end = reader->len;
    return result;
}

static int open_twom(pxl_reader *reader, pxl_error *error)
{
    pxl_twom_header header;
    state *s;
    int result;

    if (reader->len < PXL_TWOM_HEADER)
        return pxl_fail(error, PXL_E_SHORT, "twom header is cut off", 0, PXL_TWOM_HEADER, reader->len);
    reader->state = s = calloc(1, sizeof *s);
    if (!s) return pxl_fail(error, PXL_E_MEMORY, "out of memory", 0, 0, 0);
    result = pxl_twom_header_read(reader->image, &header, error);
    reader->source.version = header.version;
    reader->source.flags = header.flags;
    reader->source.generation = header.generation;
    reader->source.records = header.records;
    reader->source.end = header.end;
    if (result == PXL_OK) reader->repacked = header.repack_size;
    s->summed = header.summed;
    s->start = reader->at = PXL_TWOM_LOG;
    return believe_end(reader, result, error);
}

static int take_commit(pxl_reader *reader, uint64_t off, const pxl_twom_head *h, pxl_error *error)
{
    state *s = reader->state;

    if (h->link != s->start || off == s->start) {
        pxl_fail(error, PXL_E_CORRUPT, "a commit names another start of its transaction", off, s->start, h->link);
        if (!pxl_reader_salvages(reader)) return PXL_E_CORRUPT;
    }
    pxl_log_commit(&reader->log);
    s->start = off + h->size;
    return PXL_OK;
}

/* Note a checked record. */
static int take(pxl_reader *reader, uint64_t off, const pxl_twom_head *h, pxl_error *error)
{
    int result = PXL_OK;

    if (h->type == PXL_TWOM_COMMIT) return take_commit(reader, off, h, error);
    if (SHAPES[h->type].link && (h->link < PXL_TWOM_LOG || h->link >= off))
        return pxl_fail(error, PXL_E_CORRUPT, "ancestor of a record", off, PXL_TWOM_LOG, h->link);
    if (h->type == PXL_TWOM_DELETE)
        result = pxl_log_delete(&reader->log, off, h->link);
    else
        result = pxl_log_put(&reader->log, off, (pxl_slice){reader->image + off + h->tail, h->keylen});
    return result < 0 ? pxl_fail(error, result, "out of memory", off, 0, 0) : PXL_OK;
}

static pxl_twom_head located(const pxl_reader *reader, uint64_t off)
{
    const uint8_t *at = reader->image + off;
    pxl_twom_head h = {.type = at[0], .level = at[1]};

    locate(at, &h);
    return h;
}

static pxl_slice key_at(const pxl_reader *reader, uint64_t off)
{
    pxl_twom_head h = located(reader, off);

    return (pxl_slice){reader->image + off + h.tail, h.keylen};
}

static int finish(pxl_reader *reader, pxl_error *error)
{
    const state *s = reader->state;
    int result;

    if (s->start != reader->source.end && reader->trusted && !pxl_reader_salvages(reader))
        return pxl_fail(error, PXL_E_CORRUPT, "no commit at the end of the log", s->start, reader->source.end, s->start);
    if (!reader->trusted) pxl_log_rollback(&reader->log);
    result = pxl_log_resolve(reader, key_at, PXL_TARGET_IS_DELETED, error);
    if (result == PXL_OK && !pxl_reader_salvages(reader) && reader->log.puts_len != reader->source.records)
        return pxl_fail(error, PXL_E_CORRUPT, "number of live records", 48, reader->source.records, reader->log.puts_len);
    reader->source.records = reader->log.puts_len;
    return result;
}

static bool has_sound_head(const uint8_t *at, const pxl_twom_head *h)
{
    return h->size && sum_of(at, h->tail - 8) == pxl_le32(at + h->tail - 8);
}

/* The record at `off` is damaged: step behind it when its head is sound, else one word on. */
static int step_over(pxl_reader *reader, uint64_t off, int result, const pxl_twom_head *h, const pxl_error *error)
{
    const state *s = reader->state;
    uint64_t room = reader->source.end - off, size = room < 8 ? room : 8;

    if (pxl_reader_salvages(reader) && s->summed && has_sound_head(reader->image + off, h)) size = h->size;
    reader->at = off + size;
    return pxl_reader_lose(reader, result, error->message, off, size);
}

/* With PXL_SALVAGE one octet may belong to many things that look like records; to hash what a head
 * without its sum claims would cost the square of the file, so that is done for short records only. */
static bool is_worth_a_look(const pxl_reader *reader, const uint8_t *at, const pxl_twom_head *h)
{
    const state *s = reader->state;

    return !pxl_reader_salvages(reader) || !s->summed || h->size <= SALVAGED_ON_TRUST || has_sound_head(at, h);
}

static int load(pxl_reader *reader, uint64_t have, pxl_error *error)
{
    const state *s = reader->state;
    pxl_error local;
    int result;

    if (!error) error = &local;
    while (reader->at < reader->source.end) {
        uint64_t off = reader->at, room = reader->source.end - off;
        const uint8_t *at = reader->image + off;
        pxl_twom_head h;
        if (pxl_reader_waits(reader, have, off, PXL_TWOM_HEAD_MAX)) return PXL_MORE;
        result = pxl_twom_head_read(at, room, off, s->summed, &h, error);
        if (result == PXL_OK && !is_worth_a_look(reader, at, &h))
            result = pxl_fail(error, PXL_E_CORRUPT, "checksum of a record head", off, 0, 0);
        if (result == PXL_OK) {
            if (pxl_reader_waits(reader, have, off, h.size)) return PXL_MORE;
            result = pxl_twom_tail_check(at, off, s->summed, &h, error);
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
    pxl_twom_head h;
    uint64_t off;

    (void)error;
    if (!pxl_log_next(&reader->log, reader->image, &reader->next, &off)) return PXL_END;
    h = located(reader, off);
    record->offset = off;
    record->key = (pxl_slice){reader->image + off + h.tail, h.keylen};
    record->value = (pxl_slice){reader->image + off + h.tail + h.keylen + 1, h.vallen};
    return PXL_OK;
}

static void close_twom(pxl_reader *reader)
{
    free(reader->state);
}

const pxl_format pxl_twom_format = {PXL_TWOM, recognise, open_twom, next_record, close_twom, load};
