/* invert.c - mailboxes with ACLs in, identifiers with mailboxes out.
 *
 * Records arrive in name order.  Each becomes a directory row at once, and one grant for every
 * identifier its ACL names: 24 octets that borrow the name from the image.  At the end the
 * identifiers are sorted, and one counting pass puts the grants in identifier order; names stay
 * sorted within an identifier because that pass is stable.  So nothing as long as the table is
 * ever compared, and memory beyond the image is 24 octets a grant, 32 a uniqueid (64 while they
 * are sorted), and a hash table of the distinct identifiers.
 *
 * Each identifier has two posting lists, under identifier + one octet:
 *     0  rows that grant or deny the lookup right: all that LIST needs to see
 *     1  rows that do not (`anyone p` on 300,000 INBOXes): read only to complete a row's rights
 * A row is: varint mbtype, varint granted, and varint denied if there is any.
 *
 * An intermediate is a candidate for nobody but its owner, whatever its ACL says: his row stands in
 * list 0, all others in list 1.  A tombstone has none.
 */
#include <stdlib.h>

#include "bytes.h"
#include "entry.h"
#include "invert.h"
#include "postings.h"
#include "radix.h"
#include "reader.h"

int pxl_no_memory(pxl_error *error)
{
    return pxl_fail(error, PXL_E_MEMORY, "out of memory", 0, 0, 0);
}

/* One more element in a growing array; NULL when there is no memory. */
static void *push(void **array, size_t *len, size_t *cap, size_t size)
{
    if (*len == *cap) {
        size_t more = *cap ? *cap + *cap / 2 : 1024;
        void *grown = more <= SIZE_MAX / size ? realloc(*array, more * size) : NULL;
        if (!grown) return NULL;
        *array = grown;
        *cap = more;
    }
    return (uint8_t *)*array + (*len)++ * size;
}

#define PUSH(inversion, array) \
    push((void **)&(inversion)->array, &(inversion)->array##_len, &(inversion)->array##_cap, sizeof *(inversion)->array)

pxl_inversion *pxl_inversion_new(size_t target, uint64_t seed)
{
    static const uint8_t zero = 0; /* LMDB has no empty keys: see layout.py, WHOLE_TABLE */
    pxl_inversion *inversion = calloc(1, sizeof *inversion);

    if (!inversion) return NULL;
    inversion->seed = seed;
    for (int table = 0; table < PXL_TABLES; table++) {
        inversion->cutters[table] = pxl_cutter_new(target, 511);
        if (!inversion->cutters[table]
            || pxl_cutter_start(inversion->cutters[table], (pxl_slice){&zero, 1}, (pxl_slice){NULL, 0}, 0) < 0) {
            pxl_inversion_free(inversion);
            return NULL;
        }
    }
    return inversion;
}

void pxl_inversion_free(pxl_inversion *inversion)
{
    if (!inversion) return;
    for (int table = 0; table < PXL_TABLES; table++) pxl_cutter_free(inversion->cutters[table]);
    pxl_arena_free(&inversion->kept);
    pxl_generation_free(&inversion->generation);
    pxl_bytes_free(&inversion->row);
    pxl_bytes_free(&inversion->changes);
    pxl_bytes_free(&inversion->digests);
    free(inversion->queue.records);
    free(inversion->grants);
    free(inversion->uniques);
    free(inversion->identifiers);
    free(inversion->slots);
    free(inversion->by_text);
    free(inversion->by_identifier);
    free(inversion->by_uniqueid);
    free(inversion);
}

const pxl_counts *pxl_inversion_counts(const pxl_inversion *inversion)
{
    return &inversion->counts;
}

pxl_slice pxl_inversion_take(pxl_inversion *inversion, int table)
{
    return pxl_cutter_take(inversion->cutters[table]);
}

/* ---- identifiers ------------------------------------------------------------------------------- */

uint32_t pxl_identifier_hash(uint64_t seed, const uint8_t *text, size_t len)
{
    uint64_t key = pxl_multiply_fold(seed ^ 0x9e3779b97f4a7c15u, 0xd1b54a32d192ed03u) | 1, h = seed ^ len, word;

    for (; len >= 8; text += 8, len -= 8) h = pxl_multiply_fold(h ^ pxl_le64(text), key);
    word = 0;
    for (size_t i = 0; i < len; i++) word |= (uint64_t)text[i] << (8 * i);
    h = pxl_multiply_fold(h ^ word, key);
    return (uint32_t)(h ^ h >> 32);
}

static bool grow_slots(pxl_inversion *inversion)
{
    size_t len = inversion->slots_len ? 2 * inversion->slots_len : 4096;
    uint32_t *slots = calloc(len, sizeof *slots);

    if (!slots) return false;
    for (size_t i = 0; i < inversion->identifiers_len; i++) {
        size_t at = inversion->identifiers[i].hash & (len - 1);
        while (slots[at]) at = (at + 1) & (len - 1);
        slots[at] = (uint32_t)i + 1;
    }
    free(inversion->slots);
    inversion->slots = slots;
    inversion->slots_len = len;
    return true;
}

/* The number of an identifier, new or known; UINT32_MAX when there is no memory. */
static uint32_t intern(pxl_inversion *inversion, pxl_slice text)
{
    uint32_t hash = pxl_identifier_hash(inversion->seed, text.data, text.len);
    pxl_identifier *new;
    size_t at;

    if (2 * (inversion->identifiers_len + 1) > inversion->slots_len && !grow_slots(inversion)) return UINT32_MAX;
    for (at = hash & (inversion->slots_len - 1); inversion->slots[at]; at = (at + 1) & (inversion->slots_len - 1)) {
        const pxl_identifier *known = &inversion->identifiers[inversion->slots[at] - 1];
        if (known->hash == hash && pxl_same(known->text.data, known->text.len, text.data, text.len))
            return inversion->slots[at] - 1;
    }
    new = PUSH(inversion, identifiers);
    if (!new) return UINT32_MAX;
    *new = (pxl_identifier){text, hash, 0};
    inversion->slots[at] = (uint32_t)inversion->identifiers_len;
    return (uint32_t)inversion->identifiers_len - 1;
}

/* ---- one entry --------------------------------------------------------------------------------- */

static int add_grant(pxl_inversion *inversion, pxl_slice name, uint32_t mbtype, pxl_slice who, uint32_t granted,
                     uint32_t denied)
{
    pxl_grant *new;
    uint32_t number = intern(inversion, who);

    if (number == UINT32_MAX || inversion->grants_len >= UINT32_MAX || !(new = PUSH(inversion, grants)))
        return PXL_E_MEMORY;
    *new = (pxl_grant){name.data, number, granted, denied, (uint16_t)name.len, (uint16_t)(mbtype & ~(uint32_t)PXL_LEGACY_DIRS)};
    inversion->identifiers[number].grants++;
    inversion->counts.grants++;
    return PXL_OK;
}

/* The owner's row of an intermediate stands whatever its ACL says. */
static int invert_intermediate(pxl_inversion *inversion, pxl_slice name, const pxl_mbentry *entry)
{
    uint8_t owner[PXL_NAME_MAX];
    pxl_slice text = {owner, pxl_name_owner(name, owner, sizeof owner)};

    if (!pxl_matchable(text)) return PXL_OK;
    text.data = pxl_arena_keep(&inversion->kept, text); /* userids stand nowhere in one piece */
    return text.data ? add_grant(inversion, name, entry->mbtype, text, 0, 0) : PXL_E_MEMORY;
}

static int invert_acl(pxl_inversion *inversion, pxl_slice name, const pxl_mbentry *entry)
{
    pxl_slice rest = entry->acl, who, rights;
    int result = PXL_OK;

    while (result == PXL_OK && pxl_acl_next(&rest, entry->acl_tabs, &who, &rights) == PXL_OK) {
        uint32_t mask = pxl_rights_parse(rights);
        bool negative = who.len && *who.data == '-';
        if (negative) who = (pxl_slice){who.data + 1, who.len - 1};
        if (!pxl_matchable(who))
            inversion->counts.skipped_identifiers++;
        else if (mask)
            result = add_grant(inversion, name, entry->mbtype, who, negative ? 0 : mask, negative ? mask : 0);
    }
    return result;
}

static uint64_t prefix_of(pxl_slice id)
{
    uint64_t prefix = 0;

    for (size_t i = 0; i < 8; i++) prefix = prefix << 8 | (i < id.len ? id.data[i] : 0);
    return prefix;
}

static int invert_entry(pxl_inversion *inversion, pxl_slice name, const pxl_mbentry *entry)
{
    pxl_unique *new;

    inversion->counts.entries++;
    if (entry->mbtype & PXL_TOMBSTONE) {
        inversion->counts.tombstones++;
        return PXL_OK;
    }
    if (entry->uniqueid.len) {
        if (!(new = PUSH(inversion, uniques))) return PXL_E_MEMORY;
        *new = (pxl_unique){prefix_of(entry->uniqueid), entry->uniqueid.data, name.data, (uint16_t)entry->uniqueid.len,
                        (uint16_t)name.len};
    }
    if (entry->mbtype & PXL_INTERMEDIATE) {
        inversion->counts.intermediates++;
        if (invert_intermediate(inversion, name, entry) < 0) return PXL_E_MEMORY;
    }
    return invert_acl(inversion, name, entry);
}

#define VALUE_MAX (UINT32_MAX / 4)  /* so that its row, which is never twice as long, has a length in 32 bits */

/* Parse one mailbox's value and pack its directory row into inversion->row. */
int pxl_understand(pxl_inversion *inversion, pxl_slice name, pxl_slice value, uint64_t offset, pxl_mbentry *entry,
                      pxl_error *error)
{
    int result;

    if (!name.len || name.len > PXL_NAME_MAX)
        return pxl_fail(error, PXL_E_CORRUPT, "length of a mailbox name", offset, PXL_NAME_MAX, name.len);
    if (value.len > VALUE_MAX)
        return pxl_fail(error, PXL_E_CORRUPT, "length of a mailbox's value", offset, VALUE_MAX, value.len);
    result = pxl_mbentry_parse(value, entry, error);
    /* NUL ends it in keys of the table of uniqueids, whose order depends on that. */
    if (result == PXL_OK && entry->uniqueid.len
        && (entry->uniqueid.len > PXL_NAME_MAX || memchr(entry->uniqueid.data, 0, entry->uniqueid.len)))
        result = pxl_fail(error, PXL_E_CORRUPT, "uniqueid of a mailbox", offset, PXL_NAME_MAX, entry->uniqueid.len);
    if (result == PXL_OK)
        result = pxl_entry_pack(&inversion->row, name, entry, error);
    if (result < 0 && error) error->offset = offset;
    return result;
}

int pxl_inversion_row(pxl_inversion *inversion, pxl_slice name, pxl_slice value, pxl_slice *row, pxl_error *error)
{
    pxl_mbentry entry;
    int result = pxl_understand(inversion, name, value, 0, &entry, error);

    if (result == PXL_OK) *row = (pxl_slice){inversion->row.data, inversion->row.len};
    return result;
}

static int add_entry(pxl_inversion *inversion, pxl_slice name, pxl_slice value, const pxl_mbentry *entry,
                     pxl_error *error)
{
    pxl_slice row = {inversion->row.data, inversion->row.len};

    if (pxl_cutter_add(inversion->cutters[PXL_DIRECTORY], name, row) < 0
        || pxl_stretch_add(inversion, name, value) < 0 || invert_entry(inversion, name, entry) < 0)
        return pxl_no_memory(error);
    return PXL_OK;
}

/* The next mailbox and its entry, its directory row in inversion->row; with PXL_SALVAGE those that cannot
 * be understood are losses.  PXL_MORE as pxl_generation_next. */
int pxl_entry_next(pxl_inversion *inversion, pxl_reader *reader, uint64_t limit, pxl_record *record,
                      pxl_mbentry *entry, pxl_error *error)
{
    int result;

    do {
        result = pxl_generation_next(&inversion->generation, reader, limit, record, &inversion->counts, error);
        if (result != PXL_OK) return result;
        result = pxl_understand(inversion, record->key, record->value, record->offset, entry, error);
        if (result != PXL_E_CORRUPT) return result;
        result = pxl_reader_lose(reader, result, "a mailbox that cannot be understood", record->offset, 0);
    } while (result == PXL_OK);
    return result;
}

int pxl_inversion_feed(pxl_inversion *inversion, pxl_reader *reader, uint64_t limit, pxl_error *error)
{
    pxl_record record;
    pxl_mbentry entry;
    int result;

    while (limit--) {
        result = pxl_entry_next(inversion, reader, limit, &record, &entry, error);
        if (result == PXL_OK) result = add_entry(inversion, record.key, record.value, &entry, error);
        if (result != PXL_OK) return result;
    }
    return PXL_MORE;
}

int pxl_inversion_add(pxl_inversion *inversion, pxl_slice name, pxl_slice value, pxl_error *error)
{
    pxl_mbentry entry;
    int result;

    name.data = pxl_arena_keep(&inversion->kept, name);
    value.data = pxl_arena_keep(&inversion->kept, value);
    if (!name.data || !value.data) return pxl_no_memory(error);
    result = pxl_understand(inversion, name, value, 0, &entry, error);
    return result == PXL_OK ? add_entry(inversion, name, value, &entry, error) : result;
}

/* ---- emitting ---------------------------------------------------------------------------------- */

typedef struct {
    pxl_slice text;
    uint32_t number;
} sortable;

static int compare_sortable(const void *a, const void *b)
{
    const sortable *x = a, *y = b;

    return pxl_compare(x->text.data, x->text.len, y->text.data, y->text.len);
}

static bool sort_identifiers(pxl_inversion *inversion)
{
    size_t n = inversion->identifiers_len;
    sortable *order = malloc((n + 1) * sizeof *order);

    inversion->by_text = malloc((n + 1) * sizeof *inversion->by_text);
    if (!order || !inversion->by_text) {
        free(order);
        return false;
    }
    for (size_t i = 0; i < n; i++) order[i] = (sortable){inversion->identifiers[i].text, (uint32_t)i};
    qsort(order, n, sizeof *order, compare_sortable);
    for (size_t i = 0; i < n; i++) inversion->by_text[i] = order[i].number;
    free(order);
    return true;
}

/* The counting pass: grant numbers in identifier order, names within each as they came. */
static bool sort_grants(pxl_inversion *inversion)
{
    uint32_t *next = malloc((inversion->identifiers_len + 1) * sizeof *next), at = 0;

    inversion->by_identifier = malloc((inversion->grants_len + 1) * sizeof *inversion->by_identifier);
    if (!next || !inversion->by_identifier) {
        free(next);
        return false;
    }
    for (size_t i = 0; i < inversion->identifiers_len; i++) {
        next[inversion->by_text[i]] = at;
        at += inversion->identifiers[inversion->by_text[i]].grants;
    }
    for (size_t i = 0; i < inversion->grants_len; i++)
        inversion->by_identifier[next[inversion->grants[i].identifier]++] = (uint32_t)i;
    free(next);
    return true;
}

static bool owns(pxl_slice who, const pxl_grant *g)
{
    uint8_t owner[PXL_NAME_MAX];
    size_t len = pxl_name_owner((pxl_slice){g->name, g->name_len}, owner, sizeof owner);

    return pxl_same(who.data, who.len, owner, len);
}

/* One of an identifier's two lists, from its grants [from, to). */
static int emit_list(pxl_inversion *inversion, pxl_slice who, uint8_t list, size_t from, size_t to)
{
    pxl_cutter *cutter = inversion->cutters[PXL_POSTINGS];
    uint8_t owner[PXL_IDENTIFIER_MAX + 1], payload[15];
    int result;

    memcpy(owner, who.data, who.len);
    owner[who.len] = list;
    result = pxl_cutter_start(cutter, (pxl_slice){owner, who.len + 1}, (pxl_slice){NULL, 0}, 0);
    while (result == PXL_OK && from < to) {
        const pxl_grant *g = &inversion->grants[inversion->by_identifier[from]];
        uint32_t granted = g->granted, denied = g->denied;
        /* Several entries of one identifier in one ACL are united. */
        for (from++; from < to && inversion->grants[inversion->by_identifier[from]].name == g->name; from++) {
            granted |= inversion->grants[inversion->by_identifier[from]].granted;
            denied |= inversion->grants[inversion->by_identifier[from]].denied;
        }
        bool quiet = g->mbtype & PXL_INTERMEDIATE ? !owns(who, g) : !((granted | denied) & PXL_RIGHT_L);
        if (quiet == (list == PXL_LIST_QUIET))
            result = pxl_cutter_add(cutter, (pxl_slice){g->name, g->name_len},
                                    (pxl_slice){payload, pxl_posting_encode(g->mbtype, granted, denied, payload)});
    }
    return result == PXL_OK ? pxl_cutter_finish(cutter) : result;
}

/* Their lists are written: the uniqueids, which come next, need as much memory for their order. */
static void drop_grants(pxl_inversion *inversion)
{
    free(inversion->grants);
    free(inversion->identifiers);
    free(inversion->slots);
    free(inversion->by_text);
    free(inversion->by_identifier);
    inversion->grants = NULL;
    inversion->identifiers = NULL;
    inversion->slots = inversion->by_text = inversion->by_identifier = NULL;
    inversion->grants_len = inversion->grants_cap = inversion->grant_at = 0;
    inversion->identifiers_len = inversion->identifiers_cap = inversion->identifier_at = inversion->slots_len = 0;
}

static int emit_postings(pxl_inversion *inversion, size_t limit)
{
    if (!inversion->by_identifier && (!sort_identifiers(inversion) || !sort_grants(inversion))) return PXL_E_MEMORY;
    while (inversion->identifier_at < inversion->identifiers_len) {
        const pxl_identifier *who = &inversion->identifiers[inversion->by_text[inversion->identifier_at]];
        size_t from = inversion->grant_at, to = from + who->grants;
        int result = emit_list(inversion, who->text, PXL_LIST_LOOKUP, from, to);
        if (result == PXL_OK) result = emit_list(inversion, who->text, PXL_LIST_QUIET, from, to);
        if (result < 0) return result;
        inversion->identifier_at++;
        inversion->grant_at = to;
        if (pxl_cutter_waiting(inversion->cutters[PXL_POSTINGS]) >= limit) return PXL_MORE;
    }
    drop_grants(inversion);
    return PXL_END;
}

static int compare_uniques(const void *a, const void *b)
{
    const pxl_unique *x = ((const pxl_ranked *)a)->item, *y = ((const pxl_ranked *)b)->item;
    int order = pxl_compare(x->id, x->id_len, y->id, y->id_len);

    return order ? order : pxl_compare(x->name, x->name_len, y->name, y->name_len);
}

/* By the first eight octets, and only where these agree by all of them. */
static bool sort_uniques(pxl_inversion *inversion)
{
    size_t n = inversion->uniques_len;
    pxl_ranked *order = malloc((n + 1) * sizeof *order);

    inversion->by_uniqueid = order;
    if (!order) return false;
    for (size_t i = 0; i < n; i++) order[i] = (pxl_ranked){inversion->uniques[i].prefix, &inversion->uniques[i]};
    if (!pxl_radix_sort(order, n)) return false;
    for (size_t from = 0, to; from < n; from = to) {
        for (to = from + 1; to < n && order[to].number == order[from].number; to++) continue;
        if (to - from > 1) qsort(order + from, to - from, sizeof *order, compare_uniques);
    }
    return true;
}

/* The octets of a unique stand anywhere in the image: ask for them well before they are needed. */
static void fetch_uniques(const pxl_inversion *inversion)
{
    size_t left = inversion->uniques_len - inversion->unique_at;
    const pxl_ranked *next = inversion->by_uniqueid + inversion->unique_at;

    if (left > 32) __builtin_prefetch(next[32].item);
    if (left > 16) {
        __builtin_prefetch(((const pxl_unique *)next[16].item)->id);
        __builtin_prefetch(((const pxl_unique *)next[16].item)->name);
    }
}

/* Rows of the uniqueids table: key uniqueid, one zero octet, key name; no payload. */
static int emit_uniques(pxl_inversion *inversion, size_t limit)
{
    pxl_cutter *cutter = inversion->cutters[PXL_UNIQUEIDS];
    uint8_t key[2 * PXL_NAME_MAX + 1];

    if (!inversion->by_uniqueid && !sort_uniques(inversion)) return PXL_E_MEMORY;
    while (inversion->unique_at < inversion->uniques_len) {
        fetch_uniques(inversion);
        const pxl_unique *u = inversion->by_uniqueid[inversion->unique_at++].item;
        memcpy(key, u->id, u->id_len);
        key[u->id_len] = 0;
        memcpy(key + u->id_len + 1, u->name, u->name_len);
        int result = pxl_cutter_add(cutter, (pxl_slice){key, (size_t)u->id_len + 1 + u->name_len}, (pxl_slice){NULL, 0});
        if (result < 0) return result;
        if (pxl_cutter_waiting(cutter) >= limit) return PXL_MORE;
    }
    return pxl_cutter_finish(cutter) < 0 ? PXL_E_MEMORY : PXL_END;
}

int pxl_inversion_emit(pxl_inversion *inversion, int table, size_t limit, pxl_error *error)
{
    int result = PXL_E_ARGUMENT;

    if (table == PXL_DIRECTORY) result = pxl_cutter_finish(inversion->cutters[table]) < 0 ? PXL_E_MEMORY : PXL_END;
    if (table == PXL_POSTINGS) result = emit_postings(inversion, limit);
    if (table == PXL_UNIQUEIDS) result = emit_uniques(inversion, limit);
    return result < 0 ? pxl_fail(error, result, "writing the inverted index", 0, 0, 0) : result;
}
