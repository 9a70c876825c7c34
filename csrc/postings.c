/* postings.c - a changed mailbox: whose posting lists does it stand in before and after, and with what?
 *
 * The rule is the bulk build's (invert.c, which says why), read from directory rows and not from a source.  Of an
 * ACL, only identifiers at whose places the two differ are looked at further: of two thousand that SETACL leaves
 * alone nothing is kept.
 */
#include "postings.h"

#include <stdlib.h>

typedef struct {
    const uint8_t *at, *end;
} packed;

typedef struct {             /* a directory row, as far as it matters here */
    uint32_t mbtype;
    pxl_slice uniqueid, numbers;     /* as packed; the numbers up to foldermodseq */
    packed acl;
    size_t pairs;
} row_fields;

typedef struct {             /* a pair of the ACL; nil has no data */
    pxl_slice identifier, rights;
    pxl_slice whole;         /* both as packed */
} row_pair;

/* ---- reading rows -------------------------------------------------------------------------------- */

/* The length that follows a head of 1, 2 or 4 octets. */
static bool take_length(packed *from, size_t octets, size_t *len)
{
    if (!pxl_has((size_t)(from->end - from->at), 1, octets)) return false;
    *len = octets == 1 ? from->at[1] : octets == 2 ? pxl_be16(from->at + 1) : pxl_be32(from->at + 1);
    from->at += 1 + octets;
    return true;
}

/* A text; nil has no data. */
static bool take_text(packed *from, pxl_slice *text)
{
    uint8_t head;
    size_t len;

    if (from->at == from->end) return false;
    head = *from->at;
    *text = (pxl_slice){NULL, 0};
    if (head == 0xc0) return from->at++, true;
    if (head >= 0xa0 && head <= 0xbf) {
        len = head & 0x1f;
        from->at++;
    } else if (head < 0xd9 || head > 0xdb || !take_length(from, (size_t)1 << (head - 0xd9), &len))
        return false;
    if (len > (size_t)(from->end - from->at)) return false;
    *text = (pxl_slice){from->at, len};
    from->at += len;
    return true;
}

static bool pass_number(packed *from)
{
    size_t octets = 1;

    if (from->at == from->end) return false;
    if (*from->at >= 0xcc && *from->at <= 0xd3) octets += (size_t)1 << (*from->at & 3);
    else if (*from->at >= 0x80 && *from->at < 0xe0) return false;
    if (octets > (size_t)(from->end - from->at)) return false;
    from->at += octets;
    return true;
}

static bool take_array(packed *from, size_t *len)
{
    if (from->at == from->end) return false;
    if (*from->at >= 0x90 && *from->at <= 0x9f) return *len = *from->at++ & 0xf, true;
    return (*from->at == 0xdc || *from->at == 0xdd) && take_length(from, *from->at == 0xdc ? 2 : 4, len);
}

static bool read_row(pxl_slice octets, row_fields *row)
{
    packed rest = {octets.data, octets.data + octets.len};
    pxl_slice ignored;
    size_t fields, items;

    if (!pxl_varint_get(&rest.at, rest.end, &row->mbtype) || !take_array(&rest, &fields) || fields != 8) return false;
    if (!take_text(&rest, &row->uniqueid) || !take_text(&rest, &ignored) || !take_text(&rest, &ignored)) return false;
    row->numbers.data = rest.at;
    if (!pass_number(&rest) || !pass_number(&rest) || !pass_number(&rest)) return false;
    row->numbers.len = (size_t)(rest.at - row->numbers.data);
    if (!pass_number(&rest) || !take_array(&rest, &items) || items % 2 || items > (size_t)(rest.end - rest.at)) return false;
    row->acl = rest;
    row->pairs = items / 2;
    return true;
}

static bool take_pair(packed *from, row_pair *pair)
{
    pair->whole.data = from->at;
    if (!take_text(from, &pair->identifier) || !take_text(from, &pair->rights)) return false;
    pair->whole.len = (size_t)(from->at - pair->whole.data);
    return true;
}

/* ---- identifiers --------------------------------------------------------------------------------- */

static pxl_slice owner_of(const pxl_change *change)
{
    return (pxl_slice){change->owner, change->owner_len};
}

/* Whom a pair names, without the sign of a denial; empty where that is nobody. */
static pxl_slice identifier_of(const pxl_change *change, const row_pair *pair, bool *denies)
{
    pxl_slice text = pair->identifier.data ? pair->identifier : owner_of(change);

    *denies = false;
    if (text.len && *text.data == '-') {
        *denies = true;
        text = (pxl_slice){text.data + 1, text.len - 1};
    }
    return pxl_matchable(text) ? text : (pxl_slice){NULL, 0};
}

static void concern(pxl_change *change, pxl_slice identifier)
{
    if (identifier.len) change->concerns[change->len++] = (pxl_concern){identifier, {0, 0}, {0, 0}};
}

static int by_identifier(const void *a, const void *b)
{
    const pxl_slice *left = &((const pxl_concern *)a)->identifier, *right = &((const pxl_concern *)b)->identifier;

    return pxl_compare(left->data, left->len, right->data, right->len);
}

static void sort_concerns(pxl_change *change)
{
    size_t kept = 0;

    qsort(change->concerns, change->len, sizeof *change->concerns, by_identifier);
    for (size_t i = 0; i < change->len; i++)
        if (!kept || by_identifier(&change->concerns[kept - 1], &change->concerns[i]))
            change->concerns[kept++] = change->concerns[i];
    change->len = kept;
}

/* Collect whom the pairs name at whose place the other ACL has another pair, or, with `all`, any. */
static bool collect(pxl_change *change, const row_fields rows[2], bool all)
{
    packed from[2] = {rows[PXL_BEFORE].acl, rows[PXL_AFTER].acl};
    size_t most = rows[0].pairs > rows[1].pairs ? rows[0].pairs : rows[1].pairs;
    row_pair pairs[2];
    bool ignored;

    for (size_t i = 0; i < most; i++) {
        bool there[2] = {i < rows[0].pairs, i < rows[1].pairs};
        for (int when = 0; when < 2; when++)
            if (there[when] && !take_pair(&from[when], &pairs[when])) return false;
        if (!all && there[0] && there[1]
            && pxl_same(pairs[0].whole.data, pairs[0].whole.len, pairs[1].whole.data, pairs[1].whole.len))
            continue;
        for (int when = 0; when < 2; when++)
            if (there[when]) concern(change, identifier_of(change, &pairs[when], &ignored));
    }
    return from[0].at == from[0].end && from[1].at == from[1].end;
}

/* Unite the entries of whom it concerns; the pairs have been read once. */
static void unite(pxl_change *change, const row_fields *row, int when)
{
    packed from = row->acl;
    row_pair pair;

    for (size_t i = 0; i < row->pairs && take_pair(&from, &pair); i++) {
        bool denies;
        const pxl_concern sought = {identifier_of(change, &pair, &denies), {0, 0}, {0, 0}};
        pxl_concern *found = bsearch(&sought, change->concerns, change->len, sizeof sought, by_identifier);
        uint32_t mask;
        if (!found) continue;
        mask = pxl_rights_parse(pair.rights.data ? pair.rights : PXL_FULL_RIGHTS);
        *(denies ? &found->denied[when] : &found->granted[when]) |= mask;
    }
}

/* ---- a change ------------------------------------------------------------------------------------ */

static bool same(pxl_slice a, pxl_slice b)
{
    return pxl_same(a.data, a.len, b.data, b.len);
}

static bool is_shown(const row_fields rows[2])
{
    return rows[0].mbtype != rows[1].mbtype || !rows[0].uniqueid.data != !rows[1].uniqueid.data
           || !same(rows[0].uniqueid, rows[1].uniqueid) || !same(rows[0].numbers, rows[1].numbers);
}

int pxl_change_read(pxl_change *change, pxl_slice key, pxl_slice before, pxl_slice after)
{
    const pxl_slice octets[2] = {before, after};
    row_fields rows[2] = {{.mbtype = PXL_TOMBSTONE}, {.mbtype = PXL_TOMBSTONE}};

    for (int when = 0; when < 2; when++)
        if (octets[when].len && !read_row(octets[when], &rows[when])) return PXL_E_CORRUPT;
    change->len = 0;
    change->shown = !before.len || !after.len || is_shown(rows);
    change->mbtype[PXL_BEFORE] = rows[0].mbtype;
    change->mbtype[PXL_AFTER] = rows[1].mbtype;
    change->owner_len = pxl_name_owner(key, change->owner, sizeof change->owner);
    change->concerns = malloc((rows[0].pairs + rows[1].pairs + 1) * sizeof *change->concerns);
    if (!change->concerns) return PXL_E_MEMORY;
    if (!collect(change, rows, rows[0].mbtype != rows[1].mbtype)) {
        pxl_change_free(change);
        return PXL_E_CORRUPT;
    }
    if ((rows[0].mbtype | rows[1].mbtype) & PXL_INTERMEDIATE && pxl_matchable(owner_of(change)))
        concern(change, owner_of(change));
    sort_concerns(change);
    for (int when = 0; when < 2; when++) unite(change, &rows[when], when);
    return PXL_OK;
}

size_t pxl_change_payload(const pxl_change *change, const pxl_concern *who, int when, int list, uint8_t *out)
{
    const uint32_t mbtype = change->mbtype[when], granted = who->granted[when], denied = who->denied[when];
    bool own = mbtype & PXL_INTERMEDIATE && same(who->identifier, owner_of(change));
    bool quiet = mbtype & PXL_INTERMEDIATE ? !own : !((granted | denied) & PXL_RIGHT_L);

    if (mbtype & PXL_TOMBSTONE || (!granted && !denied && !own) || quiet != (list == PXL_LIST_QUIET)) return 0;
    return pxl_posting_encode(mbtype & PXL_MBTYPE_MASK & ~(uint32_t)PXL_LEGACY_DIRS, granted, denied, out);
}

void pxl_change_free(pxl_change *change)
{
    free(change->concerns);
    change->concerns = NULL;
}

const pxl_store_calls *pxl_store_table(void)
{
    static const pxl_store_calls CALLS = {pxl_rows_find, pxl_rows_edit, pxl_change_read, pxl_change_payload, pxl_change_free};

    return &CALLS;
}
