/* mbentry.c - one mailboxes.db value -> its fields, and its ACL -> (identifier, rights) pairs.
 *
 * Two generations of values exist:
 *
 *     dlist    %(T e I <uniqueid> P default V 1 C 1 F 4 M 1795465296 A %(anyone lrs bob lrswi))
 *     legacy   [(uniqueid X specialuse Y)SP]type SP [server!]partition SP id TAB rights TAB id TAB rights TAB
 *
 * The type of a legacy value is a number by the numbering of the releases that wrote such values, up to
 * 3.4; that of 3.6 differs (1 is remote there, netnews here), and 3.6 itself reads them by its own.
 *
 * A dlist string is a bare atom, "quoted" when it holds a space, brace or bracket, or a literal
 * {n+}CRLF followed by n octets when it holds a quote or backslash, so a value may hold CRLF.
 * Keys of the ACL are written by the same rule as its values.  Fields nobody knows are skipped,
 * whatever they hold.
 *
 * Source: observed values of Cyrus 3.6.1; mboxlist.c mboxlist_parse_entry, dlist.c.
 */
#include "bytes.h"
#include "pxl.h"

#define MAX_DEPTH 32

typedef struct {
    const uint8_t *p, *end;
} scanner;

static int malformed(pxl_error *error, const char *message)
{
    return pxl_fail(error, PXL_E_CORRUPT, message, 0, 0, 0);
}

static void skip_spaces(scanner *s)
{
    while (s->p < s->end && *s->p == ' ') s->p++;
}

/* {n}CRLF or {n+}CRLF and n octets. */
static bool scan_literal(scanner *s, pxl_slice *out)
{
    uint64_t n = 0;
    const uint8_t *p = s->p + 1;

    if (p == s->end || *p < '0' || *p > '9') return false;
    for (; p < s->end && *p >= '0' && *p <= '9'; p++)
        if ((n = n * 10 + (uint64_t)(*p - '0')) > UINT32_MAX) return false;
    if (p < s->end && *p == '+') p++;
    if (s->end - p < 3 || p[0] != '}' || p[1] != '\r' || p[2] != '\n') return false;
    p += 3;
    if (n > (uint64_t)(s->end - p)) return false;
    *out = (pxl_slice){p, (size_t)n};
    s->p = p + n;
    return true;
}

/* Cyrus would take a backslash for an escape, but writes a literal wherever one would be needed: a
 * quoted string with a backslash is nobody's, and is refused rather than misread. */
static bool scan_quoted(scanner *s, pxl_slice *out)
{
    const uint8_t *close = memchr(s->p + 1, '"', (size_t)(s->end - s->p - 1));

    if (!close || memchr(s->p + 1, '\\', (size_t)(close - s->p - 1))) return false;
    *out = (pxl_slice){s->p + 1, (size_t)(close - s->p - 1)};
    s->p = close + 1;
    return true;
}

/* How many of eight octets stand before the first that ends a bare atom: a space or a bracket.  A borrow
 * can mark an octet wrongly only behind one that is marked rightly. */
static size_t before_end(uint64_t octets)
{
    const uint64_t ones = UINT64_MAX / 0xff;
    uint64_t spaces = octets ^ (ones * ' '), brackets = (octets | ones) ^ (ones * ')');
    uint64_t ends = (((spaces - ones) & ~spaces) | ((brackets - ones) & ~brackets)) & (ones << 7);

    return ends ? (size_t)__builtin_ctzll(ends) / 8 : 8;
}

/* One dlist string in any of its three forms. */
static inline bool scan_string(scanner *s, pxl_slice *out)
{
    const uint8_t *start = s->p, *p = start, *end = s->end;
    size_t step = 8;

    if (p == end) return false;
    if (*p == '"') return scan_quoted(s, out);
    if (*p == '{') return scan_literal(s, out);
    for (; step == 8 && end - p >= 8; p += step) step = before_end(pxl_le64(p));
    while (step == 8 && p < end && *p != ' ' && *p != '(' && *p != ')') p++;
    *out = (pxl_slice){start, (size_t)(p - start)};
    s->p = p;
    return p > start;
}

/* At "(" or "%(": the octets between the brackets, brackets in strings not counted. */
static bool scan_list(scanner *s, pxl_slice *out)
{
    const uint8_t *start;
    pxl_slice ignored;
    int depth = 0; /* below the list that is the value */

    if (s->p < s->end && *s->p == '%') s->p++;
    if (s->p == s->end || *s->p != '(') return false;
    start = s->p + 1;
    do {
        skip_spaces(s);
        if (s->p == s->end) return false;
        if (*s->p == '%' && s->p + 1 < s->end && s->p[1] == '(') s->p++;
        if (*s->p == '(') {
            if (++depth >= MAX_DEPTH) return false;
            s->p++;
        } else if (*s->p == ')') {
            depth--;
            s->p++;
        } else if (!scan_string(s, &ignored)) {
            return false;
        }
    } while (depth);
    *out = (pxl_slice){start, (size_t)(s->p - 1 - start)};
    return true;
}

static bool at_list(const scanner *s)
{
    if (s->p == s->end) return false;
    return *s->p == '(' || (*s->p == '%' && s->p + 1 < s->end && s->p[1] == '(');
}

/* Leading digits as a number; Cyrus reads these with atoi and forgives what follows. */
static uint64_t number(pxl_slice text)
{
    uint64_t n = 0;

    for (size_t i = 0; i < text.len && text.data[i] >= '0' && text.data[i] <= '9'; i++) {
        if (n > (UINT64_MAX - 9) / 10) return UINT64_MAX;
        n = n * 10 + (uint64_t)(text.data[i] - '0');
    }
    return n;
}

uint32_t pxl_mbtype_parse(pxl_slice letters)
{
    uint32_t mbtype = 0;

    for (size_t i = 0; i < letters.len; i++) {
        switch (letters.data[i]) {
        case 'n': mbtype |= PXL_NETNEWS; break;
        case 's': mbtype |= PXL_JMAPSUBMIT; break;
        case 'p': mbtype |= PXL_JMAPPUSHSUB; break;
        case 'f': mbtype |= PXL_SIEVE; break;
        case 'b': mbtype |= PXL_COLLECTION; break;
        case 'c': mbtype |= PXL_CALENDAR; break;
        case 'a': mbtype |= PXL_ADDRESSBOOK; break;
        case 'r': mbtype |= PXL_REMOTE; break;
        case 'z': mbtype |= PXL_RESERVED; break;
        case 'm': mbtype |= PXL_MOVING; break;
        case 'd': mbtype |= PXL_TOMBSTONE; break;
        case 'i': mbtype |= PXL_INTERMEDIATE; break;
        case 'l': mbtype |= PXL_LEGACY_DIRS; break;
        default: break; /* 'e', mail, is zero; letters of later versions say nothing here */
        }
    }
    return mbtype;
}

static void set_string(pxl_mbentry *entry, uint8_t field, pxl_slice text)
{
    switch (field) {
    case 'T': entry->mbtype = pxl_mbtype_parse(text); break;
    case 'I': entry->uniqueid = text; break;
    case 'N': entry->name = text; break;
    case 'P': entry->partition = text; break;
    case 'S': entry->server = text; break;
    case 'V': entry->uidvalidity = number(text); break;
    case 'C': entry->createdmodseq = number(text); break;
    case 'F': entry->foldermodseq = number(text); break;
    case 'M': entry->mtime = number(text); break;
    default: break;
    }
}

static int parse_dlist(pxl_slice value, pxl_mbentry *entry, pxl_error *error)
{
    scanner s = {value.data + 1, value.data + value.len};
    pxl_slice key, text;

    if (s.p == s.end || *s.p++ != '(') return malformed(error, "dlist value does not begin");
    for (skip_spaces(&s); s.p == s.end || *s.p != ')'; skip_spaces(&s)) {
        if (s.p == s.end) return malformed(error, "dlist value does not end");
        if (!scan_string(&s, &key)) return malformed(error, "dlist key expected");
        skip_spaces(&s);
        if (at_list(&s)) {
            if (!scan_list(&s, &text)) return malformed(error, "dlist list does not end");
            if (key.len == 1 && *key.data == 'A') entry->acl = text;
        } else {
            if (!scan_string(&s, &text)) return malformed(error, "dlist value expected");
            if (key.len == 1) set_string(entry, *key.data, text);
        }
    }
    return PXL_OK;
}

/* Up to the next stop octet (or the end), which is stepped over. */
static pxl_slice word(scanner *s, uint8_t stop)
{
    const uint8_t *start = s->p;

    while (s->p < s->end && *s->p != stop) s->p++;
    pxl_slice found = {start, (size_t)(s->p - start)};
    if (s->p < s->end) s->p++;
    return found;
}

/* Source: imap/mailbox.h of 2.4.17 and 3.4.9, MBTYPE_*. */
static uint32_t legacy_mbtype(uint64_t number)
{
    static const uint32_t BITS[] = {
        PXL_REMOTE, PXL_RESERVED, PXL_NETNEWS, PXL_MOVING, PXL_TOMBSTONE, PXL_CALENDAR,
        PXL_ADDRESSBOOK, PXL_COLLECTION, PXL_INTERMEDIATE, PXL_JMAPSUBMIT, PXL_JMAPPUSHSUB,
    };
    uint32_t mbtype = 0;

    for (size_t i = 0; i < sizeof BITS / sizeof *BITS; i++)
        if (number >> i & 1 && !(mbtype & PXL_CLASS && BITS[i] & PXL_CLASS)) mbtype |= BITS[i];
    return mbtype;
}

/* What (uniqueid X specialuse Y) says; of these only the uniqueid matters. */
static void parse_extension(pxl_slice inside, pxl_mbentry *entry)
{
    scanner s = {inside.data, inside.data + inside.len};

    while (s.p < s.end) {
        pxl_slice key = word(&s, ' '), text = word(&s, ' ');
        if (pxl_same(key.data, key.len, (const uint8_t *)"uniqueid", 8)) entry->uniqueid = text;
    }
}

/* [server!]partition, "(null)" where a text dump had none. */
static void parse_location(pxl_slice location, pxl_mbentry *entry)
{
    const uint8_t *bang = location.len ? memchr(location.data, '!', location.len) : NULL;

    if (bang) {
        entry->server = (pxl_slice){location.data, (size_t)(bang - location.data)};
        location.len -= entry->server.len + 1;
        location.data = bang + 1;
    }
    if (!pxl_same(location.data, location.len, (const uint8_t *)"(null)", 6)) entry->partition = location;
}

static int parse_legacy(pxl_slice value, pxl_mbentry *entry, pxl_error *error)
{
    scanner s = {value.data, value.data + value.len};

    if (*s.p == '(') {
        s.p++;
        parse_extension(word(&s, ')'), entry);
        skip_spaces(&s);
    }
    if (s.p == s.end || *s.p < '0' || *s.p > '9') return malformed(error, "neither a dlist nor a legacy value");
    entry->mbtype = legacy_mbtype(number(word(&s, ' ')));
    parse_location(word(&s, ' '), entry);
    entry->acl = (pxl_slice){s.p, (size_t)(s.end - s.p)};
    entry->acl_tabs = 1;
    return PXL_OK;
}

int pxl_mbentry_parse(pxl_slice value, pxl_mbentry *entry, pxl_error *error)
{
    memset(entry, 0, sizeof *entry);
    if (!value.len) return malformed(error, "empty mailboxes.db value");
    if (*value.data == '%') return parse_dlist(value, entry, error);
    return parse_legacy(value, entry, error);
}

int pxl_acl_next(pxl_slice *rest, int tabs, pxl_slice *identifier, pxl_slice *rights)
{
    scanner s;

    if (!rest->len) return PXL_END;
    s = (scanner){rest->data, rest->data + rest->len};
    if (tabs) {
        /* A pair without its last TAB does not count, as Cyrus has it. */
        *identifier = word(&s, '\t');
        *rights = word(&s, '\t');
        if (s.end - rights->data <= (ptrdiff_t)rights->len) return PXL_END;
    } else {
        skip_spaces(&s);
        if (s.p == s.end) return PXL_END;
        if (!scan_string(&s, identifier)) return PXL_E_CORRUPT;
        skip_spaces(&s);
        if (!scan_string(&s, rights)) return PXL_E_CORRUPT;
    }
    *rest = (pxl_slice){s.p, (size_t)(s.end - s.p)};
    return PXL_OK;
}

/* Letter -> its right; the macros c and d have none of their own. */
static const uint32_t RIGHTS[256] = {
    ['l'] = PXL_RIGHT_L, ['r'] = 1u << 1, ['s'] = 1u << 2, ['w'] = 1u << 3, ['i'] = 1u << 4, ['p'] = 1u << 5,
    ['k'] = PXL_RIGHT_K, ['x'] = PXL_RIGHT_X, ['t'] = PXL_RIGHT_T, ['e'] = PXL_RIGHT_E, ['a'] = PXL_RIGHT_A,
    ['n'] = 1u << 11, ['0'] = 1u << 12, ['1'] = 1u << 13, ['2'] = 1u << 14, ['3'] = 1u << 15, ['4'] = 1u << 16,
    ['5'] = 1u << 17, ['6'] = 1u << 18, ['7'] = 1u << 19, ['8'] = 1u << 20, ['9'] = 1u << 21,
};

uint32_t pxl_rights_parse(pxl_slice text)
{
    uint32_t rights = 0;
    bool create = false, delete = false;

    for (size_t i = 0; i < text.len; i++) {
        rights |= RIGHTS[text.data[i]];
        create |= text.data[i] == 'c';
        delete |= text.data[i] == 'd';
    }
    /* The old macros count only where none of their members is written out. */
    if (create && !(rights & (PXL_RIGHT_K | PXL_RIGHT_X))) rights |= PXL_RIGHT_K | PXL_RIGHT_X;
    if (delete && !(rights & (PXL_RIGHT_T | PXL_RIGHT_E))) rights |= PXL_RIGHT_T | PXL_RIGHT_E;
    return rights;
}

size_t pxl_rights_print(uint32_t rights, uint8_t *out)
{
    static const struct {
        char letter;
        uint32_t any;
    } ORDER[] = {
        {'l', PXL_RIGHT_L}, {'r', 1u << 1}, {'s', 1u << 2}, {'w', 1u << 3}, {'i', 1u << 4}, {'p', 1u << 5},
        {'k', PXL_RIGHT_K}, {'x', PXL_RIGHT_X}, {'t', PXL_RIGHT_T}, {'e', PXL_RIGHT_E},
        {'c', PXL_RIGHT_K | PXL_RIGHT_X}, {'d', PXL_RIGHT_T | PXL_RIGHT_E}, {'a', PXL_RIGHT_A}, {'n', 1u << 11},
    };
    size_t n = 0;

    for (size_t i = 0; i < sizeof ORDER / sizeof *ORDER; i++)
        if (rights & ORDER[i].any) out[n++] = (uint8_t)ORDER[i].letter;
    for (unsigned digit = 0; digit < 10; digit++)
        if (rights & (1u << (12 + digit))) out[n++] = (uint8_t)('0' + digit);
    return n;
}
