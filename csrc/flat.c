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
 * octet order, so the lines are sorted again unless PXL_AS_STORED asks for them as they stand.  There
 * is no checksum: a line without TAB, a last line without LF and an unfinished escape are all that can
 * be noticed.
 *
 * Source: observed files of Cyrus 3.6.1; cyrusdb_flat.c encode, decode.
 */
#include <stdlib.h>

#include "bytes.h"
#include "order.h"
#include "pxl.h"
#include "reader.h"

#define ESCAPE 0xff

typedef struct {
    uint64_t offset;
    uint32_t keylen, vallen; /* decoded; the value stands one octet behind the key */
} line;

typedef struct {
    line *lines;
    size_t count, cap;
    uint32_t *order;         /* numbers of lines by key, `kept` of them; NULL where they stand in order */
    size_t kept;
    uint64_t searched;       /* no end of the line at reader->at lies before this offset */
    bool sorted;
} state;

/* No magic, so: the first line must have a TAB and no octet that a text dump begins with. */
static bool recognise(const uint8_t *image, uint64_t len)
{
    const uint8_t *end, *tab;

    if (!len) return true; /* no line, no record: so does Cyrus take it */
    if (*image == '{' || *image == '[' || *image == '\t' || *image == '\n') return 0;
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

static pxl_slice key_of(const pxl_reader *reader, const line *l)
{
    return (pxl_slice){reader->image + l->offset, l->keylen};
}

/* The line [at, end), where an LF stands at `end`. */
static int read_line(pxl_reader *reader, uint64_t at, uint64_t end, line *l, pxl_error *error)
{
    uint8_t *start = reader->image + at, *tab = memchr(start, '\t', end - at);
    size_t keylen, vallen, raw;

    if (!tab) return pxl_fail(error, PXL_E_CORRUPT, "line of a flat database without TAB", at, 0, 0);
    if (end - at > UINT32_MAX) return pxl_fail(error, PXL_E_CORRUPT, "line of a flat database", at, UINT32_MAX, end - at);
    if (memchr(start, 0, end - at)) return pxl_fail(error, PXL_E_CORRUPT, "NUL in a line of a flat database", at, 0, 0);
    keylen = raw = (size_t)(tab - start);
    vallen = (size_t)(end - at) - keylen - 1;
    if (!decode(start, &keylen) || !decode(tab + 1, &vallen))
        return pxl_fail(error, PXL_E_CORRUPT, "unfinished escape in a flat database", at, 0, 0);
    if (keylen < raw) memmove(start + keylen + 1, tab + 1, vallen);
    *l = (line){at, (uint32_t)keylen, (uint32_t)vallen};
    return PXL_OK;
}

static int add_line(pxl_reader *reader, const line *l, pxl_error *error)
{
    state *s = reader->state;

    if (s->count == s->cap) {
        size_t cap = s->cap ? s->cap + s->cap / 2 : 1024;
        line *grown = realloc(s->lines, cap * sizeof *grown);
        if (!grown) return pxl_fail(error, PXL_E_MEMORY, "out of memory", l->offset, 0, 0);
        s->lines = grown;
        s->cap = cap;
    }
    if (s->count && s->sorted) {
        pxl_slice last = key_of(reader, &s->lines[s->count - 1]), key = key_of(reader, l);
        s->sorted = pxl_compare(last.data, last.len, key.data, key.len) < 0;
    }
    s->lines[s->count++] = *l;
    reader->source.sound = s->count;
    return PXL_OK;
}

static int compare_lines(const void *of, uint32_t a, uint32_t b)
{
    const pxl_reader *reader = of;
    const state *s = reader->state;
    pxl_slice x = key_of(reader, &s->lines[a]), y = key_of(reader, &s->lines[b]);

    return pxl_compare(x.data, x.len, y.data, y.len);
}

/* The numbers 0 to n - 1 by key, then by number; NULL without memory. */
static uint32_t *sorted_order(const pxl_reader *reader, size_t n)
{
    uint32_t *from = malloc(n * sizeof *from), *spare = malloc(n * sizeof *spare), *order = NULL;

    if (from && spare) {
        for (size_t i = 0; i < n; i++) from[i] = (uint32_t)i;
        order = pxl_numbers_sort(compare_lines, reader, from, spare, n);
    }
    if (order != from) free(from);
    if (order != spare) free(spare);
    return order;
}

static int compare_numbers(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

/* Bring the lines into octet order, or with PXL_AS_STORED leave them in theirs; of two with one key the
 * later stays, with PXL_SALVAGE. */
static int sort_lines(pxl_reader *reader, pxl_error *error)
{
    state *s = reader->state;
    int result = PXL_OK;

    s->kept = s->count;
    if (s->sorted) return PXL_OK;
    if (s->count > UINT32_MAX || !(s->order = sorted_order(reader, s->count)))
        return pxl_fail(error, PXL_E_MEMORY, "out of memory", 0, 0, 0);
    s->kept = 0;
    for (size_t i = 0; i < s->count && result == PXL_OK; i++) {
        uint32_t number = s->order[i];
        if (s->kept && !compare_lines(reader, s->order[s->kept - 1], number)) {
            uint64_t before = s->lines[s->order[--s->kept]].offset;
            pxl_fail(error, PXL_E_CORRUPT, "a key that stands in two lines", s->lines[number].offset, 0, 0);
            result = pxl_reader_lose(reader, PXL_E_CORRUPT, "a key that stands in two lines", before, 0);
        }
        s->order[s->kept++] = number;
    }
    if (reader->options & PXL_AS_STORED) qsort(s->order, s->kept, sizeof *s->order, compare_numbers);
    return result;
}

static int open_flat(pxl_reader *reader, pxl_error *error)
{
    state *s = calloc(1, sizeof *s);

    if (!s) return pxl_fail(error, PXL_E_MEMORY, "out of memory", 0, 0, 0);
    s->sorted = true;
    reader->state = s;
    reader->source.end = reader->len;
    return PXL_OK;
}

/* The LF that ends the line at reader->at, looked for where nobody has looked yet; `have` if there is none. */
static uint64_t find_end(const pxl_reader *reader, uint64_t have)
{
    const state *s = reader->state;
    uint64_t from = s->searched > reader->at ? s->searched : reader->at;
    const uint8_t *found = from < have ? memchr(reader->image + from, '\n', have - from) : NULL;

    return found ? (uint64_t)(found - reader->image) : have;
}

static int load(pxl_reader *reader, uint64_t have, pxl_error *error)
{
    state *s = reader->state;
    pxl_error local;
    int result;

    if (!error) error = &local;
    while (reader->at < reader->len) {
        uint64_t at = reader->at, end = find_end(reader, have);
        line l;
        if (end == have && have < reader->len) {
            if (have - at > PXL_SNIFFED && memchr(reader->image + at, 0, PXL_SNIFFED))
                return pxl_fail(error, PXL_E_CORRUPT, "NUL in a line of a flat database", at, 0, 0);
            s->searched = have;
            return PXL_MORE;
        }
        if (end == have)
            result = pxl_fail(error, PXL_E_SHORT, "last line of a flat database has no end", at, 0, 0);
        else
            result = read_line(reader, at, end, &l, error);
        reader->at = end == have ? end : end + 1;
        if (result == PXL_OK)
            result = add_line(reader, &l, error);
        else
            result = pxl_reader_lose(reader, result, error->message, at, reader->at - at);
        if (result < 0) return result;
    }
    result = sort_lines(reader, error);
    reader->source.records = s->kept;
    return result;
}

static void drop_lines(state *s)
{
    free(s->lines);
    free(s->order);
    *s = (state){0};
}

static int next_record(pxl_reader *reader, pxl_record *record, pxl_error *error)
{
    state *s = reader->state;
    const line *l;

    (void)error;
    if (reader->next >= s->kept) {
        drop_lines(s);
        return PXL_END;
    }
    l = &s->lines[s->order ? s->order[reader->next] : reader->next];
    reader->next++;
    *record = (pxl_record){key_of(reader, l), {reader->image + l->offset + l->keylen + 1, l->vallen}, l->offset};
    return PXL_OK;
}

static void close_flat(pxl_reader *reader)
{
    state *s = reader->state;

    if (s) drop_lines(s);
    free(s);
}

const pxl_format pxl_flat_format = {PXL_FLAT, recognise, open_flat, next_record, close_flat, load};
