/* naming.c - key names and what one view calls them.
 *
 *     key name       [domain 0x1D] component *(0x1F component)
 *     own            "user" 0x1F localpart [0x1F ...]      -> INBOX..., or without the prefix under altnamespace
 *     other users'   the same of somebody else             -> user.localpart..., Other Users/localpart/...
 *     shared         anything else                         -> as it is, Shared Folders/...
 *     deleted        DELETED 0x1F ... 0x1F hex stamp       -> never under altnamespace
 *
 * Octets map one to one but for the separator and, where that is '.', a literal dot ('^').  So the
 * end of an external name is the end of its key in other letters, and pxl_extname says from where:
 * that is how a pattern that can match no further becomes a key to leap to.
 *
 * Source: mboxname.c mbname_category, mbname_extname; every branch is seen in recorded answers.
 */
#include <strings.h>

#include "bytes.h"
#include "entry.h"
#include "listing.h"
#include "octets.h"

static bool is(const uint8_t *text, size_t len, pxl_slice wanted)
{
    return pxl_same(text, len, wanted.data, wanted.len);
}

static bool is_inbox(const uint8_t *text, size_t len)
{
    return len == 5 && !strncasecmp((const char *)text, "INBOX", 5);
}

/* End of the component that begins at `at`. */
static size_t component_end(const uint8_t *key, size_t at, size_t end)
{
    const uint8_t *stop = at < end ? memchr(key + at, PXL_SEPARATOR, end - at) : NULL;

    return stop ? (size_t)(stop - key) : end;
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9') return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

uint64_t pxl_name_stamp(const uint8_t *text, size_t len)
{
    uint64_t value = 0;
    bool negative;
    size_t i = 0;

    while (i < len && (text[i] == ' ' || (text[i] >= '\t' && text[i] <= '\r'))) i++;
    negative = i < len && text[i] == '-';
    if (i < len && (text[i] == '-' || text[i] == '+')) i++;
    if (len - i > 2 && text[i] == '0' && (text[i + 1] | 0x20) == 'x' && hex_digit(text[i + 2]) >= 0) i += 2;
    for (; i < len && hex_digit(text[i]) >= 0; i++) {
        if (value >> 60) return UINT64_MAX;
        value = value << 4 | (uint64_t)hex_digit(text[i]);
    }
    return negative ? 0 - value : value;
}

/* DELETED <1F> something <1F> stamp: step over the first and last component.  One that is no number
 * is stepped over as well, and then nothing is left that tells that the mailbox was deleted. */
static void parse_deleted(const pxl_view *view, pxl_name *name)
{
    const uint8_t *key = name->key;
    size_t first, last = name->boxes_end;

    if (name->boxes_at == last || !view->deleted_prefix.len || key[name->boxes_at] != *view->deleted_prefix.data)
        return; /* nearly always */
    first = component_end(key, name->boxes_at, name->boxes_end);
    if (!is(key + name->boxes_at, first - name->boxes_at, view->deleted_prefix) || first == name->boxes_end) return;
    while (last > first + 1 && key[last - 1] != PXL_SEPARATOR) last--;
    if (last <= first + 2) return;
    name->stamp = pxl_name_stamp(key + last, name->boxes_end - last);
    name->stepped = true;
    name->boxes_at = first + 1;
    name->boxes_end = last - 1;
}

static pxl_category category_of(const pxl_view *view, const pxl_name *name)
{
    const uint8_t *top = name->key + name->boxes_at;
    size_t top_len;
    bool own;

    if (!name->local_len) return CATEGORY_SHARED;
    own = pxl_name_owned(view, name);
    if (name->stamp) return own ? CATEGORY_OWNER_DELETED : CATEGORY_OTHER_DELETED;
    if (!own) return CATEGORY_OTHER_USER;
    if (name->boxes_at >= name->boxes_end) return CATEGORY_INBOX;
    if (!view->alt) return CATEGORY_OWNER;
    top_len = component_end(name->key, name->boxes_at, name->boxes_end) - name->boxes_at;
    if (is(top, top_len, (pxl_slice){(const uint8_t *)"INBOX", 5}))
        return name->boxes_at + top_len == name->boxes_end ? CATEGORY_ALT_INBOX : CATEGORY_INBOX_SUB;
    if (is_inbox(top, top_len) || is(top, top_len, view->user_prefix) || is(top, top_len, view->shared_prefix)
        || is(top, top_len, view->alt_prefix))
        return CATEGORY_ALT_PREFIX;
    return CATEGORY_OWNER;
}

bool pxl_name_owned(const pxl_view *view, const pxl_name *name)
{
    return name->local_len && is(name->key + name->local_at, name->local_len, view->local)
           && is(name->key, name->domain_len, view->domain);
}

void pxl_name_parse(const pxl_view *view, const uint8_t *key, size_t len, pxl_name *name)
{
    const uint8_t *mark = memchr(key, PXL_DOMAIN_SEPARATOR, len);
    size_t end;

    *name = (pxl_name){.key = key, .len = len, .boxes_end = len, .settled = SIZE_MAX};
    if (mark) {
        name->domain_len = (size_t)(mark - key);
        name->boxes_at = name->domain_len + 1;
    }
    parse_deleted(view, name);
    if (name->boxes_end - name->boxes_at >= 5 && !memcmp(key + name->boxes_at, "user\x1f", 5)) {
        name->local_at = name->boxes_at + 5;
        end = component_end(key, name->local_at, name->boxes_end);
        name->local_len = end - name->local_at;
        name->boxes_at = end < name->boxes_end ? end + 1 : end;
    }
    name->category = category_of(view, name);
}

/* ---- writing ----------------------------------------------------------------------------------- */

static void put(pxl_extname *out, const uint8_t *text, size_t len)
{
    if (len > PXL_EXTNAME_MAX - out->len) len = PXL_EXTNAME_MAX - out->len;
    pxl_copy(out->text + out->len, text, len);
    out->len += len;
}

static void put_octet(pxl_extname *out, uint8_t c)
{
    if (out->len < PXL_EXTNAME_MAX) out->text[out->len++] = c;
}

static void put_prefix(const pxl_view *view, pxl_extname *out, pxl_slice prefix)
{
    put(out, prefix.data, prefix.len);
    put_octet(out, view->separator);
}

/* Octets of a key in the view's letters, a vector at a time; the last one overlaps those before. */
#define TRANSLATE(octets, p, in, n)                                                  \
    for (size_t i = 0; i < (n); i += sizeof(octets)) {                               \
        octets v;                                                                    \
        if (i > (n) - sizeof v) i = (n) - sizeof v;                                  \
        memcpy(&v, (in) + i, sizeof v);                                              \
        v ^= ((octets)(v == PXL_SEPARATOR) & to_separator) | ((octets)(v == '.') & to_dot); \
        memcpy((p) + i, &v, sizeof v);                                               \
    }

static void put_key(const pxl_view *view, pxl_extname *out, const uint8_t *key, size_t from, size_t to)
{
    const uint8_t to_separator = PXL_SEPARATOR ^ view->separator, to_dot = view->separator == '.' ? '.' ^ '^' : 0;
    size_t n = to - from, room = PXL_EXTNAME_MAX - out->len;
    const uint8_t *in = key + from;
    uint8_t *p = out->text + out->len;

    if (n > room) n = room;
    out->len += n;
    if (n >= 16) {
        TRANSLATE(pxl_octets16, p, in, n)
    } else if (n >= 8) {
        TRANSLATE(pxl_octets8, p, in, n)
    } else {
        for (size_t i = 0; i < n; i++) p[i] = in[i] ^ (in[i] == PXL_SEPARATOR ? to_separator : in[i] == '.' ? to_dot : 0);
    }
}

/* Start of the stretch that maps one to one, which the components from `key_at` on begin. */
static void mark_tail(pxl_extname *out, size_t key_at)
{
    out->tail = out->len;
    out->tail_key = key_at;
}

static void put_boxes(const pxl_view *view, const pxl_name *name, pxl_extname *out)
{
    out->boxes = out->len;
    put_key(view, out, name->key, name->boxes_at, name->boxes_end);
}

/* As Cyrus prints what it understood of a stamp: upper case, no zeros in front, the last 32 bits. */
static size_t print_stamp(uint64_t stamp, uint8_t *digits)
{
    static const char HEX[] = "0123456789ABCDEF";
    uint32_t low = (uint32_t)stamp;
    int shift = 28;
    size_t n = 0;

    while (shift > 0 && !(low >> shift)) shift -= 4;
    for (; shift >= 0; shift -= 4) digits[n++] = (uint8_t)HEX[low >> shift & 15];
    return n;
}

static void put_stamp(pxl_extname *out, uint64_t stamp)
{
    uint8_t digits[8];

    put(out, digits, print_stamp(stamp, digits));
}

bool pxl_name_shows_domain(const pxl_view *view, const pxl_name *name)
{
    return view->crossdomains && !(view->crossdomains_onlyother && is(name->key, name->domain_len, view->domain));
}

static void put_domain(const pxl_view *view, const pxl_name *name, pxl_extname *out)
{
    out->tail_end = out->len;
    put_octet(out, '@');
    if (name->domain_len)
        put_key(view, out, name->key, 0, name->domain_len);
    else if (view->default_domain.len)
        put_key(view, out, view->default_domain.data, 0, view->default_domain.len);
}

static void put_user(const pxl_view *view, const pxl_name *name, pxl_extname *out)
{
    mark_tail(out, name->local_at);
    put_key(view, out, name->key, name->local_at, name->local_at + name->local_len);
    if (pxl_name_shows_domain(view, name)) put_domain(view, name, out);
    if (name->boxes_at >= name->boxes_end) return;
    put_octet(out, view->separator);
    put_boxes(view, name, out);
}

static bool alt_shared(const pxl_view *view, const pxl_name *name, pxl_extname *out)
{
    size_t top;

    if (name->boxes_at >= name->boxes_end) return false;
    if (pxl_same(name->key + name->boxes_at, name->boxes_end - name->boxes_at, (const uint8_t *)"user", 4)) {
        put(out, view->user_prefix.data, view->user_prefix.len);
        return true;
    }
    put_prefix(view, out, view->shared_prefix);
    mark_tail(out, name->boxes_at);
    if (!pxl_name_shows_domain(view, name)) {
        put_boxes(view, name, out);
        return true;
    }
    top = component_end(name->key, name->boxes_at, name->boxes_end);
    out->boxes = out->len;
    put_key(view, out, name->key, name->boxes_at, top);
    put_domain(view, name, out);
    put_key(view, out, name->key, top, name->boxes_end);
    return true;
}

static bool alt_external(const pxl_view *view, const pxl_name *name, pxl_extname *out)
{
    switch (name->category) {
    case CATEGORY_SHARED:
        return !name->stamp && alt_shared(view, name, out);
    case CATEGORY_OTHER_USER:
        put_prefix(view, out, view->user_prefix);
        put_user(view, name, out);
        return true;
    case CATEGORY_INBOX:
        put(out, (const uint8_t *)"INBOX", 5);
        return true;
    case CATEGORY_OWNER:
    case CATEGORY_INBOX_SUB:
    case CATEGORY_ALT_INBOX:
    case CATEGORY_ALT_PREFIX:
        if (name->category == CATEGORY_ALT_INBOX || name->category == CATEGORY_ALT_PREFIX)
            put_prefix(view, out, view->alt_prefix);
        mark_tail(out, name->boxes_at);
        put_boxes(view, name, out);
        return true;
    default:
        return false; /* nothing deleted has a name here */
    }
}

static bool plain_external(const pxl_view *view, const pxl_name *name, pxl_extname *out)
{
    bool foreign = !view->admin_domains && !is(name->key, name->domain_len, view->domain);

    if (name->stamp) put_prefix(view, out, view->deleted_prefix);
    if (!name->local_len) {
        if (foreign || name->boxes_at >= name->boxes_end) return false;
        if (is_inbox(name->key + name->boxes_at, component_end(name->key, name->boxes_at, name->boxes_end) - name->boxes_at))
            return false;
        mark_tail(out, name->boxes_at);
        put_boxes(view, name, out);
    } else if (name->stamp || name->category == CATEGORY_OTHER_USER) {
        if (foreign && !view->crossdomains) return false;
        put(out, (const uint8_t *)"user", 4);
        put_octet(out, view->separator);
        put_user(view, name, out);
    } else {
        put(out, (const uint8_t *)"INBOX", 5);
        if (name->category == CATEGORY_INBOX) return true;
        put_octet(out, view->separator);
        mark_tail(out, name->boxes_at);
        put_boxes(view, name, out);
    }
    return true;
}

bool pxl_name_external(const pxl_view *view, const pxl_name *name, pxl_extname *out)
{
    out->len = out->tail_key = 0;
    out->boxes = out->tail = out->tail_end = SIZE_MAX;
    if (!(view->alt ? alt_external(view, name, out) : plain_external(view, name, out))) return false;
    if (out->tail_end == SIZE_MAX) out->tail_end = out->len;
    if (out->boxes == SIZE_MAX) out->boxes = out->len;
    if (name->stamp) {
        put_octet(out, view->separator);
        put_stamp(out, name->stamp);
    }
    if (view->admin_domains && name->domain_len) {
        put_octet(out, '@');
        put(out, name->key, name->domain_len);
    }
    return true;
}

/* ---- one name after the other ------------------------------------------------------------------- */

/* Octets of a vector that read otherwise in Cyrus' text form of a name ('^', '!', the domain's separator),
 * or where a client types one: '/' never is an octet of a component, and '.' is '^' where it separates. */
static inline pxl_octets16 odd_octets(pxl_octets16 v, bool dots)
{
    const pxl_octets16 odd = (pxl_octets16)(v == PXL_DOMAIN_SEPARATOR) | (pxl_octets16)(v == '!')
                             | (pxl_octets16)(v == '^') | (pxl_octets16)(v == '/');

    return dots ? odd | (pxl_octets16)(v == '.') : odd;
}

static bool has_odd(const pxl_view *view, const uint8_t *text, size_t len)
{
    pxl_octets16 odd = {0}, v = {0};

    for (size_t i = 0; i < len; i += sizeof v) {
        memcpy(&v, text + i, len - i < sizeof v ? len - i : sizeof v);
        odd |= pxl_octets16_first(odd_octets(v, view->separator == '.'), len - i);
    }
    return pxl_octets16_any(odd);
}

void pxl_name_settle(const pxl_view *view, pxl_name *name, const pxl_extname *external)
{
    const size_t path = name->domain_len ? name->domain_len + 1 : 0;

    name->plain = !name->stepped && !has_odd(view, name->key, name->domain_len)
                  && !has_odd(view, name->key + path, name->len - path)
                  && !pxl_untypable(view, external->text, external->len);
    if (!name->plain || external->tail_end != external->len || external->tail == SIZE_MAX) return;
    if (name->boxes_at >= name->boxes_end) return;
    if (name->category == CATEGORY_OWNER || name->category == CATEGORY_OTHER_USER || name->category == CATEGORY_SHARED)
        name->settled = name->boxes_at;
}

static bool begins(pxl_slice prefix, uint8_t octet)
{
    return prefix.len && *prefix.data == octet;
}

/* Is it what its first component says?  One's own folders are called otherwise where they collide. */
static bool is_own(const pxl_view *view, const pxl_name *name)
{
    const uint8_t octet = name->key[name->boxes_at];

    if (!view->alt || !(octet == 'I' || octet == 'i' || begins(view->user_prefix, octet)
                        || begins(view->shared_prefix, octet) || begins(view->alt_prefix, octet)))
        return true; /* nearly always */
    return category_of(view, name) == CATEGORY_OWNER;
}

/* The same for a shared mailbox, which must be none of a user, deleted, or called INBOX. */
static bool is_shared(const pxl_view *view, const pxl_name *name)
{
    const uint8_t *top = name->key + name->boxes_at;
    const size_t len = name->boxes_end - name->boxes_at;

    if (*top == 'u' && pxl_in_tree(top, len, (pxl_slice){(const uint8_t *)"user", 4})) return false;
    if (begins(view->deleted_prefix, *top) && pxl_in_tree(top, len, view->deleted_prefix)) return false;
    return (*top | 0x20) != 'i' || !is_inbox(top, component_end(top, 0, len));
}

/* Write what is new in a key to the end of its external name; false if an odd octet is in it.  Moves
 * whole vectors, so that up to PXL_SLACK octets after both are touched. */
static bool put_rest(const pxl_view *view, const uint8_t *key, size_t from, size_t len, uint8_t *text)
{
    const uint8_t to_separator = PXL_SEPARATOR ^ view->separator;
    pxl_octets16 odd = {0}, v;

    for (size_t i = from; i < len; i += sizeof v) {
        v = pxl_octets16_load(key + i);
        odd |= pxl_octets16_first(odd_octets(v, view->separator == '.'), len - i);
        v ^= (pxl_octets16)(v == PXL_SEPARATOR) & to_separator;
        memcpy(text + i, &v, sizeof v);
    }
    return !pxl_octets16_any(odd);
}

bool pxl_name_follow(const pxl_view *view, pxl_name *name, pxl_extname *external, const uint8_t *key, size_t len,
                     size_t shared)
{
    if (name->settled == SIZE_MAX || shared < name->settled || len <= name->settled) return false;
    if (external->tail + (len - external->tail_key) > PXL_EXTNAME_MAX) return false;
    if (!put_rest(view, key, shared, len, external->text + external->tail - external->tail_key)) return false;
    name->key = key;
    name->len = name->boxes_end = len;
    external->len = external->tail_end = external->tail + (len - external->tail_key);
    if (name->category == CATEGORY_OWNER) return is_own(view, name);
    return name->category == CATEGORY_OTHER_USER || is_shared(view, name);
}

bool pxl_name_hidden(const pxl_view *view, const uint8_t *component, size_t len, uint32_t count)
{
    for (uint32_t i = 0; i < count && i < view->hidden_count; i++)
        if (view->hidden[i].len == len && is(component, len, view->hidden[i])) return true;
    return false;
}

size_t pxl_name_from_internal(const uint8_t *text, size_t len, uint8_t *key, size_t cap)
{
    const uint8_t *mark = memchr(text, '!', len);
    size_t domain = mark ? (size_t)(mark - text) : 0;

    if (!len || len > cap) return 0;
    for (size_t i = 0; i < len; i++) {
        uint8_t c = text[i];
        if (mark && i == domain)
            c = PXL_DOMAIN_SEPARATOR;
        else if (c == '.' && (!mark || i > domain))
            c = PXL_SEPARATOR;
        else if (c == '^' && (!mark || i > domain))
            c = '.';
        key[i] = c;
    }
    return len;
}

/* Append octets to a text; false when they do not fit. */
static bool append(uint8_t *text, size_t *len, const void *octets, size_t n)
{
    if (n > PXL_NAME_MAX - *len) return false;
    pxl_copy(text + *len, octets, n);
    *len += n;
    return true;
}

pxl_slice pxl_name_read_back(const pxl_view *view, const uint8_t *key, size_t len, uint8_t *out)
{
    uint8_t text[PXL_NAME_MAX], digits[9] = {'.'};
    const pxl_slice none = {NULL, 0};
    size_t at = 0, path;
    pxl_name name;

    pxl_name_parse(view, key, len, &name);
    if (!name.stepped && !memchr(key, '^', len) && (name.domain_len || !memchr(key, '!', len))) return (pxl_slice){key, len};
    if (name.domain_len && !(append(text, &at, key, name.domain_len) && append(text, &at, "!", 1))) return none;
    if (name.stamp && !(append(text, &at, view->deleted_prefix.data, view->deleted_prefix.len) && append(text, &at, ".", 1)))
        return none;
    path = at;
    if (name.local_len && !append(text, &at, key + name.local_at - 5, name.local_len + 5)) return none;
    if (name.local_len && name.boxes_at < name.boxes_end && !append(text, &at, "\x1f", 1)) return none;
    if (name.boxes_at < name.boxes_end && !append(text, &at, key + name.boxes_at, name.boxes_end - name.boxes_at)) return none;
    for (size_t i = path; i < at; i++) text[i] = text[i] == PXL_SEPARATOR ? '.' : text[i] == '.' ? '^' : text[i];
    if (name.stamp && !append(text, &at, digits, 1 + print_stamp(name.stamp, digits + 1))) return none;
    return (pxl_slice){out, pxl_name_from_internal(text, at, out, PXL_NAME_MAX)};
}

bool pxl_name_own_as_read(const pxl_view *view, const uint8_t *key, size_t len)
{
    uint8_t other[PXL_NAME_MAX];
    const pxl_slice read = pxl_name_read_back(view, key, len, other);
    pxl_name name;

    if (!read.len) return false;
    pxl_name_parse(view, read.data, read.len, &name);
    return pxl_name_owned(view, &name);
}
