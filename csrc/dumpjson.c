/* dumpjson.c - the JSON that `ctl_mboxlist -d` of Cyrus 3.5 and later prints -> records.
 *
 * Grammar (RFC 8259, with these members; others are skipped whatever they hold):
 *
 *     dump    = "{" [ mailbox *( "," mailbox ) ] "}"
 *     mailbox = internal-name ":" "{" *( "mbtype" | "uniqueid" | "partition" | "server" : string
 *                                      | "uidvalidity" | "createdmodseq" | "foldermodseq" | "mtime" : digits
 *                                      | "acl" : "{" *( identifier : rights ) "}" ) "}"
 *
 * Worked example:
 *     {"user.bob": {"name": "user.bob", "mtime": "1", "mbtype": "e", "acl": {"bob": "lrs"}}}
 *     -> key user.bob, value %(M 1 T e A %(bob lrs))
 *
 * The outer name counts, as for `ctl_mboxlist -u`.  Numbers are strings in Cyrus' dumps; bare ones are
 * taken too, and null is the same as nothing.  A record's value is written as the dlist that
 * mailboxes.db would hold, over the text of the mailbox's own object, which is longer but for contrived
 * input: then it goes to an arena.  Strings are decoded in place.  Octets that are not UTF-8 travel
 * through pyxlist's own dumps as lone surrogates U+DC80 to U+DCFF and come back as what they were.
 *
 * A dump lacks intermediates unless -y asked for them, former names, and mailboxes whose names are not
 * UTF-8, which leave a hole: those are counted as lost.
 *
 * Salvage goes on at the next mailbox that says its name twice, as all in Cyrus' dumps and ours do:
 * `"user.bob": {"name": "user.bob"`.  Nothing inside a mailbox looks like that.
 *
 * Source: imap/ctl_mboxlist.c, dump_cb and do_undump; observed dumps of Cyrus 3.6.1.
 */
#include <stdlib.h>

#include "arena.h"
#include "bytes.h"
#include "octets.h"
#include "pxl.h"
#include "reader.h"
#include "rows.h"

#define MAX_DEPTH 64
#define MAX_REREADS 16   /* how many times its length a dump may be gone over to salvage it */

typedef struct {
    pxl_bytes value, acl;    /* scratch of the mailbox being read */
    pxl_arena kept;          /* values that did not fit over their own text */
    uint64_t resume;         /* behind the name of the mailbox being read: where salvage looks for the next */
    uint64_t reread;         /* octets that salvage has gone over again */
    bool begun, ended;
    bool found;              /* salvage stands at a mailbox's name: no comma comes before it */
} state;

typedef struct {
    uint8_t *p, *start, *end;
} scanner;

static inline bool is_space(uint8_t octet)
{
    if (octet > ' ') return false; /* nearly every one */
    return octet == ' ' || octet == '\t' || octet == '\r' || octet == '\n';
}

static inline void skip_spaces(scanner *s)
{
    while (s->p < s->end && is_space(*s->p)) s->p++;
}

/* What is wrong, where the scanner stands; the end of the image is its own kind of wrong. */
static int malformed(const scanner *s, const char *message, pxl_error *error)
{
    uint64_t offset = (uint64_t)(s->p - s->start);

    if (s->p == s->end) return pxl_fail(error, PXL_E_SHORT, "dump ends early", offset, 0, 0);
    return pxl_fail(error, PXL_E_CORRUPT, message, offset, 0, 0);
}

/* After spaces, is the next octet this one?  Then it is stepped over. */
static inline bool take(scanner *s, uint8_t octet)
{
    skip_spaces(s);
    if (s->p == s->end || *s->p != octet) return false;
    s->p++;
    return true;
}

/* ---- strings ----------------------------------------------------------------------------------- */

static bool scan_hex(scanner *s, uint32_t *unit)
{
    *unit = 0;
    if (s->end - s->p < 4) return false;
    for (int i = 0; i < 4; i++) {
        uint8_t c = *s->p++;
        bool letter = (c | 0x20) >= 'a' && (c | 0x20) <= 'f';
        if (!letter && (c < '0' || c > '9')) return false;
        *unit = *unit << 4 | (uint32_t)(letter ? (c | 0x20) - 'a' + 10 : c - '0');
    }
    return true;
}

/* `code` as UTF-8 at `out`, never longer than the escape it stood for; the octet after it, NULL for none. */
static uint8_t *put_utf8(uint8_t *out, uint32_t code)
{
    if (code >= 0xdc80 && code <= 0xdcff) {
        *out++ = (uint8_t)code;
    } else if (!code || (code >= 0xd800 && code <= 0xdfff)) {
        return NULL;
    } else if (code < 0x80) {
        *out++ = (uint8_t)code;
    } else if (code < 0x800) {
        *out++ = (uint8_t)(0xc0 | code >> 6);
        *out++ = (uint8_t)(0x80 | (code & 0x3f));
    } else {
        if (code < 0x10000) {
            *out++ = (uint8_t)(0xe0 | code >> 12);
        } else {
            *out++ = (uint8_t)(0xf0 | code >> 18);
            *out++ = (uint8_t)(0x80 | (code >> 12 & 0x3f));
        }
        *out++ = (uint8_t)(0x80 | (code >> 6 & 0x3f));
        *out++ = (uint8_t)(0x80 | (code & 0x3f));
    }
    return out;
}

/* After a backslash and u: one or two escapes, as UTF-8 at `out`. */
static uint8_t *unescape_unicode(scanner *s, uint8_t *out)
{
    uint32_t code, low;
    scanner ahead;

    if (!scan_hex(s, &code)) return NULL;
    if (code >= 0xd800 && code < 0xdc00) {
        ahead = *s;
        if (ahead.end - ahead.p < 6 || ahead.p[0] != '\\' || ahead.p[1] != 'u') return NULL;
        ahead.p += 2;
        if (!scan_hex(&ahead, &low) || low < 0xdc00 || low > 0xdfff) return NULL;
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        *s = ahead;
    }
    return put_utf8(out, code);
}

static uint8_t *unescape(scanner *s, uint8_t *out)
{
    static const char FROM[] = "\"\\/bfnrt", TO[] = "\"\\/\b\f\n\r\t";
    const char *found;

    if (s->p == s->end) return NULL;
    if (*s->p == 'u') {
        s->p++;
        return unescape_unicode(s, out);
    }
    found = *s->p ? strchr(FROM, *s->p) : NULL;
    if (!found) return NULL;
    s->p++;
    *out = (uint8_t)TO[found - FROM];
    return out + 1;
}

/* How many of sixteen octets stand before the first that is no plain part of a string: a quote, a backslash, a
 * control octet. */
static inline size_t before_odd(const uint8_t *p)
{
    const pxl_octets16 v = pxl_octets16_load(p);
    const pxl_octets16 odd = (pxl_octets16)(v == '"') | (pxl_octets16)(v == '\\') | (pxl_octets16)(v < 0x20);
    uint8_t found[16];
    uint64_t first, second;

    memcpy(found, &odd, sizeof odd);
    first = pxl_le64(found);
    second = pxl_le64(found + 8);
    if (first) return (size_t)__builtin_ctzll(first) / 8;
    return second ? (size_t)__builtin_ctzll(second) / 8 + 8 : 16;
}

/* Step over octets that stand for themselves. */
static inline void skip_plain(scanner *s)
{
    uint8_t *p = s->p, *end = s->end;
    size_t step = 16;

    for (; step == 16 && end - p >= 16; p += step) step = before_odd(p);
    while (step == 16 && p < end && *p != '"' && *p != '\\' && *p >= 0x20) p++;
    s->p = p;
}

/* A string, decoded in place. */
static int scan_string(scanner *s, pxl_slice *text, pxl_error *error)
{
    uint8_t *start, *out;

    if (!take(s, '"')) return malformed(s, "expected a string", error);
    start = out = s->p;
    for (;;) {
        uint8_t *plain = s->p;
        skip_plain(s);
        if (out < plain) memmove(out, plain, (size_t)(s->p - plain));
        out += s->p - plain;
        if (s->p == s->end || *s->p != '\\') break;
        s->p++;
        out = unescape(s, out);
        if (!out) return malformed(s, "bad escape in a string", error);
    }
    if (s->p == s->end || *s->p != '"') return malformed(s, "control octet in a string", error);
    s->p++;
    *text = (pxl_slice){start, (size_t)(out - start)};
    return PXL_OK;
}

/* ---- values ------------------------------------------------------------------------------------ */

static void skip_word(scanner *s)
{
    while (s->p < s->end && !is_space(*s->p) && !memchr(",:]}[{\"", *s->p, 7)) s->p++;
}

/* Step over a string, and leave it as it is: salvage may have to read it. */
static int skip_string(scanner *s, pxl_error *error)
{
    for (s->p++, skip_plain(s); s->p < s->end && *s->p == '\\'; skip_plain(s)) s->p += s->end - s->p > 1 ? 2 : 1;
    if (s->p == s->end || *s->p != '"') return malformed(s, "control octet in a string", error);
    s->p++;
    return PXL_OK;
}

/* Step over a value of any kind; brackets are counted, not matched by kind. */
static int skip_value(scanner *s, pxl_error *error)
{
    int depth = 0, result;

    do {
        skip_spaces(s);
        if (s->p == s->end) return malformed(s, "", error);
        if (*s->p == '"') {
            if ((result = skip_string(s, error)) < 0) return result;
        } else if (*s->p == '{' || *s->p == '[') {
            if (++depth > MAX_DEPTH) return malformed(s, "nested too deeply", error);
            s->p++;
        } else if (*s->p == '}' || *s->p == ']') {
            if (!depth--) return malformed(s, "expected a value", error);
            s->p++;
        } else if (depth && (*s->p == ',' || *s->p == ':')) {
            s->p++;
        } else {
            uint8_t *start = s->p;
            skip_word(s);
            if (s->p == start) return malformed(s, "expected a value", error);
        }
    } while (depth);
    return PXL_OK;
}

/* A string, a bare number, or null (which leaves `text` without data). */
static int scan_text(scanner *s, pxl_slice *text, pxl_error *error)
{
    uint8_t *start;

    skip_spaces(s);
    if (s->p < s->end && *s->p == '"') return scan_string(s, text, error);
    start = s->p;
    skip_word(s);
    *text = (pxl_slice){start, (size_t)(s->p - start)};
    if (pxl_same(text->data, text->len, (const uint8_t *)"null", 4)) {
        *text = (pxl_slice){NULL, 0};
        return PXL_OK;
    }
    while (start < s->p && *start >= '0' && *start <= '9') start++;
    if (text->len && start == s->p) return PXL_OK;
    s->p = start;
    return malformed(s, "expected a string or a number", error);
}

enum {                       /* what an octet asks of the dlist string that holds it */
    QUOTES = 1,
    LITERAL = 2
};

static const uint8_t SPELLING[256] = {
    3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3,
    [' '] = 1, ['"'] = 3, ['%'] = 1, ['('] = 1, [')'] = 1, ['\\'] = 3, ['{'] = 1,
    [0x7f] = 1,
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
};

/* {n+}CRLF; the octet after it. */
static uint8_t *put_literal_head(uint8_t *p, size_t len)
{
    uint8_t digits[20];
    size_t n = 0;

    for (; len; len /= 10) digits[n++] = (uint8_t)('0' + len % 10);
    *p++ = '{';
    while (n) *p++ = digits[--n];
    memcpy(p, "+}\r\n", 4);
    return p + 4;
}

/* Are the first `len` of sixteen octets bare ones? */
static inline bool are_bare(const uint8_t *p, size_t len)
{
    const pxl_octets16 v = pxl_octets16_load(p);
    const pxl_octets16 odd = (pxl_octets16)(v - '!' > '~' - '!') | (pxl_octets16)(v == '"') | (pxl_octets16)(v == '%')
                             | (pxl_octets16)(v == '(') | (pxl_octets16)(v == ')') | (pxl_octets16)(v == '\\')
                             | (pxl_octets16)(v == '{');

    return !pxl_octets16_any(pxl_octets16_first(odd, len));
}

/* A dlist string and a space: bare where nothing in it means anything, else quoted, else a literal.  The text stands
 * before `end`, in memory that may be read up to there. */
static bool put_string(pxl_bytes *out, pxl_slice text, const uint8_t *end)
{
    enum { AROUND = 32, SHORT = 16 };
    uint8_t spelling = text.len ? 0 : QUOTES, *p;

    if (text.len > SIZE_MAX - AROUND || !pxl_bytes_room(out, text.len + AROUND)) return false;
    p = out->data + out->len;
    if (text.len && text.len <= SHORT && end - text.data >= SHORT && are_bare(text.data, text.len)) { /* nearly every one */
        memcpy(p, text.data, SHORT);
        p[text.len] = ' ';
        out->len += text.len + 1;
        return true;
    }
    for (size_t i = 0; i < text.len; i++) spelling |= SPELLING[text.data[i]];
    if (spelling & LITERAL)
        p = put_literal_head(p, text.len);
    else if (spelling)
        *p++ = '"';
    if (text.len) memcpy(p, text.data, text.len);
    p += text.len;
    if (spelling == QUOTES) *p++ = '"';
    *p++ = ' ';
    out->len = (size_t)(p - out->data);
    return true;
}

static int no_memory(pxl_error *error)
{
    return pxl_fail(error, PXL_E_MEMORY, "out of memory", 0, 0, 0);
}

/* Members of an object one by one: PXL_OK before each value, PXL_END after the brace. */
static int next_member(scanner *s, bool *begun, pxl_slice *name, pxl_error *error)
{
    int result;

    if (!*begun) {
        if (!take(s, '{')) return malformed(s, "expected {", error);
        if (take(s, '}')) return PXL_END;
    } else {
        if (take(s, '}')) return PXL_END;
        if (!take(s, ',')) return malformed(s, "expected , or }", error);
    }
    *begun = true;
    if ((result = scan_string(s, name, error)) < 0) return result;
    return take(s, ':') ? PXL_OK : malformed(s, "expected :", error);
}

static int read_acl(scanner *s, pxl_bytes *acl, pxl_error *error)
{
    pxl_slice identifier, rights;
    bool begun = false;
    int result;

    while ((result = next_member(s, &begun, &identifier, error)) == PXL_OK) {
        if ((result = scan_text(s, &rights, error)) < 0) return result;
        if (!put_string(acl, identifier, s->end) || !put_string(acl, rights, s->end)) return no_memory(error);
    }
    return result == PXL_END ? PXL_OK : result;
}

/* The dlist letter of a member, 0 for one that is skipped. */
static char letter_of(pxl_slice name)
{
#define IS(text) (!memcmp(name.data, text, sizeof text - 1))
    switch (name.len) {
    case 3: return IS("acl") ? 'A' : 0;
    case 5: return IS("mtime") ? 'M' : 0;
    case 6: return IS("mbtype") ? 'T' : IS("server") ? 'S' : 0;
    case 8: return IS("uniqueid") ? 'I' : 0;
    case 9: return IS("partition") ? 'P' : 0;
    case 11: return IS("uidvalidity") ? 'V' : 0;
    case 12: return IS("foldermodseq") ? 'F' : 0;
    case 13: return IS("createdmodseq") ? 'C' : 0;
    default: return 0;
    }
#undef IS
}

static int read_field(scanner *s, state *st, char letter, pxl_error *error)
{
    uint8_t head[2] = {(uint8_t)letter, ' '};
    pxl_slice text;
    int result;

    skip_spaces(s);
    if (letter == 'A' && s->p < s->end && *s->p == '{') return read_acl(s, &st->acl, error);
    if ((result = scan_text(s, &text, error)) < 0) return result;
    if (!text.data) return PXL_OK;
    return pxl_bytes_add(&st->value, head, 2) && put_string(&st->value, text, s->end) ? PXL_OK : no_memory(error);
}

/* One mailbox's object -> st->value. */
static int read_mailbox(scanner *s, state *st, pxl_error *error)
{
    pxl_slice name;
    bool begun = false, done;
    int result;

    st->acl.len = 0;
    if (!pxl_bytes_set(&st->value, "%(", 2)) return no_memory(error);
    while ((result = next_member(s, &begun, &name, error)) == PXL_OK) {
        char letter = letter_of(name);
        result = letter ? read_field(s, st, letter, error) : skip_value(s, error);
        if (result < 0) return result;
    }
    if (result < 0) return result;
    done = pxl_bytes_add(&st->value, "A %(", 4) && pxl_bytes_add(&st->value, st->acl.data, st->acl.len)
           && pxl_bytes_add(&st->value, "))", 2);
    return done ? PXL_OK : no_memory(error);
}

/* ---- the reader -------------------------------------------------------------------------------- */

static bool recognise(const uint8_t *image, uint64_t len)
{
    uint64_t at = 0;

    while (at < len && is_space(image[at])) at++;
    if (at == len || image[at++] != '{') return 0;
    while (at < len && is_space(image[at])) at++;
    return at == len || memchr("\"},", image[at], 3) != NULL;
}

static int open_json(pxl_reader *reader, pxl_error *error)
{
    reader->state = calloc(1, sizeof(state));
    reader->source.end = reader->len;
    reader->source.keys = PXL_KEYS_PLAIN;
    return reader->state ? PXL_OK : no_memory(error);
}

/* After the last mailbox: nothing but spaces may follow. */
static int finish(pxl_reader *reader, scanner *s, pxl_error *error)
{
    skip_spaces(s);
    reader->at = (uint64_t)(s->p - s->start);
    ((state *)reader->state)->ended = true;
    return s->p == s->end ? PXL_END : malformed(s, "text after the end of the dump", error);
}

/* The next mailbox's name.  Where Cyrus cannot say one in JSON (8-bit octets that are not UTF-8) it prints
 * its comma alone, so there may be several. */
static int next_name(pxl_reader *reader, scanner *s, pxl_slice *name, pxl_error *error)
{
    state *st = reader->state;
    uint64_t commas = 0, due;
    int result;

    if (!st->begun && !take(s, '{')) return malformed(s, "expected {", error);
    if (!st->begun || st->found) commas = 1;
    st->begun = true;
    st->found = false;
    for (due = commas; take(s, ','); commas++) continue;
    if (take(s, '}')) {
        reader->source.lost += commas - due;
        return PXL_END;
    }
    if (!commas) return malformed(s, "expected , or }", error);
    reader->source.lost += commas - 1;
    if ((result = scan_string(s, name, error)) < 0) return result;
    return take(s, ':') ? PXL_OK : malformed(s, "expected :", error);
}

static int next_mailbox(pxl_reader *reader, pxl_record *record, pxl_error *error)
{
    scanner s = {reader->image + reader->at, reader->image, reader->image + reader->len};
    state *st = reader->state;
    uint8_t *object;
    int result = next_name(reader, &s, &record->key, error);

    st->resume = (uint64_t)(s.p - s.start);
    if (result == PXL_END) return finish(reader, &s, error);
    if (result < 0) return result;
    skip_spaces(&s);
    object = s.p;
    if ((result = read_mailbox(&s, st, error)) < 0) return result;
    record->offset = (uint64_t)(record->key.data - s.start) - 1;
    if (st->value.len <= (size_t)(s.p - object)) {
        memcpy(object, st->value.data, st->value.len);
        record->value = (pxl_slice){object, st->value.len};
    } else {
        record->value = (pxl_slice){st->value.data, st->value.len};
        record->value.data = pxl_arena_keep(&st->kept, record->value);
        if (!record->value.data) return no_memory(error);
    }
    reader->at = (uint64_t)(s.p - s.start);
    return PXL_OK;
}

/* The quote that begins the name before the `{` at `brace`, if a mailbox begins there and says its name twice;
 * both are compared as they are spelt.  Nothing before `from` is looked at. */
static uint8_t *name_before(const scanner *text, uint8_t *from, uint8_t *brace)
{
    static const uint8_t NAME[] = {'"', 'n', 'a', 'm', 'e', '"'};
    scanner s = {brace + 1, text->start, text->end};
    uint8_t *inner, *p = brace;
    size_t len;

    skip_spaces(&s);
    if (!pxl_has((uint64_t)(s.end - s.p), 0, sizeof NAME) || memcmp(s.p, NAME, sizeof NAME)) return NULL;
    s.p += sizeof NAME;
    if (!take(&s, ':')) return NULL;
    skip_spaces(&s);
    inner = s.p;
    if (s.p == s.end || *s.p != '"' || skip_string(&s, NULL) < 0) return NULL;
    len = (size_t)(s.p - inner);
    while (p > from && is_space(p[-1])) p--;
    if (p == from || *--p != ':') return NULL;
    while (p > from && is_space(p[-1])) p--;
    return (size_t)(p - from) >= len && !memcmp(p - len, inner, len) ? p - len : NULL;
}

/* Where from `from` on a mailbox begins, or the end. */
static uint8_t *find_mailbox(const scanner *text, uint8_t *from)
{
    uint8_t *name;

    for (uint8_t *p = from; p < text->end && (p = memchr(p, '{', (size_t)(text->end - p))); p++)
        if ((name = name_before(text, from, p))) return name;
    return text->end;
}

/* Lose what stands from reader->at to the next mailbox after it, or, when that has cost too much, to the end. */
static int step_over(pxl_reader *reader, uint64_t reached, pxl_error *error)
{
    state *st = reader->state;
    scanner text = {reader->image, reader->image, reader->image + reader->len};
    uint64_t from = reader->at, to = reader->len;

    if (st->begun && st->reread / MAX_REREADS <= reader->len)
        to = (uint64_t)(find_mailbox(&text, reader->image + st->resume) - reader->image);
    st->reread += reached > to ? reached - to : 0;
    st->found = to < reader->len;
    st->ended = !st->found;
    reader->at = to;
    return pxl_reader_lose(reader, error->code, error->message, from, to - from);
}

static int next_record(pxl_reader *reader, pxl_record *record, pxl_error *error)
{
    state *st = reader->state;
    pxl_error local;
    int result;

    if (!error) error = &local;
    while (!st->ended) {
        result = next_mailbox(reader, record, error);
        if (result >= 0 || result == PXL_E_MEMORY) return result;
        if ((result = step_over(reader, error->offset, error)) < 0) return result;
    }
    return PXL_END;
}

static void close_json(pxl_reader *reader)
{
    state *st = reader->state;

    if (!st) return;
    pxl_bytes_free(&st->value);
    pxl_bytes_free(&st->acl);
    pxl_arena_free(&st->kept);
    free(st);
}

const pxl_format pxl_dump_json_format = {PXL_DUMP_JSON, recognise, open_json, next_record, close_json, NULL};
