/* flat.c - a flat database image -> records in octet order.
 *
 * Grammar:
 *
 *     file  = *( key TAB value LF )
 *     key, value = octets, of which TAB, CR, LF, NUL and 0xFF are written 0xFF and the octet with
 *                  its top bit set (0xFF itself as 0xFF 0xFF)
 *
 * Worked example, a legacy value "0 default anyone<TAB>lrs<TAB>":
 *     4e 70 75 62 09 30 20 64 65 66 61 75 6c 74 20 61 6e 79 6f 6e 65 ff 89 6c 72 73 ff 89 0a
 *     N  p  u  b  TAB 0    d  e  f  a  u  l  t     a  n  y  o  n  e  [TAB ] l  r  s  [TAB ] LF
 *
 * The file is sorted for Cyrus' own bsearch, which puts '.' below every other octet; readers promise
 * octet order, so the lines are sorted again.  There is no checksum: a line without TAB, a last
 * line without LF and an unfinished escape are all that can be noticed.
 *
 * Source: observed files of Cyrus 3.6.1; cyrusdb_flat.c encode, decode.
 */
#include <stdlib.h>

#include "bytes.h"
#include "pxl.h"

#define ESCAPE 0xff

typedef struct {
    pxl_slice key, value;
    uint64_t offset;
} line;

typedef struct {
    line *lines;
    size_t count, next;
} state;

/* No magic, so: the first line must have a TAB and no octet that a text dump begins with. */
static int recognise(const uint8_t *image, uint64_t len)
{
    const uint8_t *end, *tab;

    if (!len || *image == '{' || *image == '[' || *image == '\t' || *image == '\n') return 0;
    end = memchr(image, '\n', len);
    if (!end) return 0;
    tab = memchr(image, '\t', (size_t)(end - image));
    if (!tab || memchr(image, 0, (size_t)(end - image))) return 0;
    return !memchr(tab + 1, '\t', (size_t)(end - tab - 1));
}

/* Decode in place; the decoded text is never longer. */
static bool decode(uint8_t *text, size_t *len)
{
    uint8_t *out = memchr(text, ESCAPE, *len), *in, *end = text + *len;

    if (!out) return true;
    for (in = out; in < end; in++) {
        if (*in != ESCAPE) {
            *out++ = *in;
            continue;
        }
        if (++in == end) return false;
        *out++ = *in == ESCAPE ? ESCAPE : *in & 0x7f;
    }
    *len = (size_t)(out - text);
    return true;
}

/* One line at `at`; PXL_OK with its end in `*next`. */
static int read_line(pxl_reader *reader, uint64_t at, line *l, uint64_t *next, pxl_error *error)
{
    uint8_t *start = reader->image + at;
    uint8_t *end = memchr(start, '\n', reader->source.end - at);
    uint8_t *tab = end ? memchr(start, '\t', (size_t)(end - start)) : NULL;
    size_t key_len, value_len;

    if (!end) return pxl_fail(error, PXL_E_SHORT, "last line of a flat database has no end", at, 0, 0);
    *next = (uint64_t)(end + 1 - reader->image);
    if (!tab) return pxl_fail(error, PXL_E_CORRUPT, "line of a flat database without TAB", at, 0, 0);
    key_len = (size_t)(tab - start);
    value_len = (size_t)(end - tab - 1);
    if (!decode(start, &key_len) || !decode(tab + 1, &value_len))
        return pxl_fail(error, PXL_E_CORRUPT, "unfinished escape in a flat database", at, 0, 0);
    *l = (line){{start, key_len}, {tab + 1, value_len}, at};
    return PXL_OK;
}

static int compare_lines(const void *a, const void *b)
{
    const line *x = a, *y = b;

    return pxl_compare(x->key.data, x->key.len, y->key.data, y->key.len);
}

static size_t count_lines(const uint8_t *image, uint64_t len)
{
    size_t count = 0;
    const uint8_t *p = image, *end = image + len;

    while (p < end && (p = memchr(p, '\n', (size_t)(end - p)))) {
        count++;
        p++;
    }
    return count + 1;
}

static int open_flat(pxl_reader *reader, pxl_error *error)
{
    state *s = calloc(1, sizeof *s);
    uint64_t at = 0, next = 0;
    int result;

    if (!s) return pxl_fail(error, PXL_E_MEMORY, "out of memory", 0, 0, 0);
    reader->state = s;
    reader->source.end = reader->len;
    s->lines = malloc(count_lines(reader->image, reader->len) * sizeof *s->lines);
    if (!s->lines) return pxl_fail(error, PXL_E_MEMORY, "out of memory", 0, 0, 0);
    for (; at < reader->source.end; at = next) {
        result = read_line(reader, at, &s->lines[s->count], &next, error);
        if (result == PXL_OK) {
            s->count++;
            continue;
        }
        if (!(reader->options & PXL_SALVAGE)) return result;
        reader->source.lost++;
        if (result == PXL_E_SHORT) break;
    }
    qsort(s->lines, s->count, sizeof *s->lines, compare_lines);
    reader->source.records = s->count;
    return PXL_OK;
}

static int next_record(pxl_reader *reader, pxl_record *record, pxl_error *error)
{
    state *s = reader->state;
    const line *l;

    (void)error;
    if (s->next == s->count) {
        reader->at = reader->source.end;
        return PXL_END;
    }
    l = &s->lines[s->next++];
    *record = (pxl_record){l->key, l->value, l->offset};
    reader->at = reader->source.end / s->count * s->next;
    return PXL_OK;
}

static void close_flat(pxl_reader *reader)
{
    state *s = reader->state;

    if (s) free(s->lines);
    free(s);
}

const pxl_format pxl_flat_format = {PXL_FLAT, recognise, open_flat, next_record, close_flat};
