/* entry.c - a mailbox's directory row: its mailboxes.db value, packed.
 *
 * The row is what pxlist keeps of a mailbox: enough to answer GETACL and to print the entry as
 * `ctl_mboxlist -d` does.  msgpack, because Python reads it with one call; the grammar stands at
 * pxl_entry_encode in pxl.h.  The owner's own full entry, which nearly every mailbox has, costs
 * two octets instead of twenty-five.
 */
#include "bytes.h"
#include "entry.h"
#include "rows.h"

/* The shortest head msgpack has for a count or number: `fix` up to `fixmax`, else `wide`, and the
 * two after it, for 8, 16 and 32 bits; arrays have no 8-bit form. */
static bool pack_head(pxl_bytes *out, uint8_t fix, uint32_t fixmax, uint8_t wide, bool has_8, uint32_t n)
{
    uint8_t head[5];
    int octets = n <= fixmax ? 0 : has_8 && n <= 0xff ? 1 : n <= 0xffff ? 2 : 4;

    head[0] = octets ? (uint8_t)(wide + (octets == 4 ? 2 : octets - 1) - !has_8) : (uint8_t)(fix | n);
    for (int i = 0; i < octets; i++) head[1 + i] = (uint8_t)(n >> (8 * (octets - 1 - i)));
    return pxl_bytes_add(out, head, 1 + (size_t)octets);
}

static bool pack_array(pxl_bytes *out, uint32_t n)
{
    return pack_head(out, 0x90, 15, 0xdc, false, n);
}

static bool pack_nil(pxl_bytes *out)
{
    return pxl_bytes_add(out, "\xc0", 1);
}

static bool pack_text(pxl_bytes *out, pxl_slice text)
{
    if (text.len > UINT32_MAX / 2) return false;
    return pack_head(out, 0xa0, 31, 0xd9, true, (uint32_t)text.len) && pxl_bytes_add(out, text.data, text.len);
}

static bool pack_optional(pxl_bytes *out, pxl_slice text)
{
    return text.len ? pack_text(out, text) : pack_nil(out);
}

static bool pack_number(pxl_bytes *out, uint64_t n)
{
    uint8_t octets[9] = {0xcf};

    if (n <= UINT32_MAX) return pack_head(out, 0x00, 127, 0xcc, true, (uint32_t)n);
    for (int i = 0; i < 8; i++) octets[1 + i] = (uint8_t)(n >> (56 - 8 * i));
    return pxl_bytes_add(out, octets, 9);
}

size_t pxl_name_owner(pxl_slice name, uint8_t *out, size_t cap)
{
    const uint8_t *p = name.data, *end = name.data + name.len, *domain = NULL, *local, *stop;
    size_t domain_len = 0, local_len;

    stop = name.len ? memchr(p, PXL_DOMAIN_SEPARATOR, name.len) : NULL;
    if (stop) {
        domain = p;
        domain_len = (size_t)(stop - p);
        p = stop + 1;
    }
    if (!pxl_starts(p, (size_t)(end - p), (const uint8_t *)"user\x1f", 5)) return 0;
    local = p + 5;
    stop = memchr(local, PXL_SEPARATOR, (size_t)(end - local));
    local_len = (size_t)((stop ? stop : end) - local);
    if (!local_len || local_len + domain_len + 1 > cap) return 0;
    memcpy(out, local, local_len);
    if (!domain_len) return local_len;
    out[local_len] = '@';
    memcpy(out + local_len + 1, domain, domain_len);
    return local_len + 1 + domain_len;
}

static int count_acl(const pxl_mbentry *entry, uint32_t *pairs, pxl_error *error)
{
    pxl_slice rest = entry->acl, identifier, rights;
    int result;

    for (*pairs = 0; (result = pxl_acl_next(&rest, entry->acl_tabs, &identifier, &rights)) == PXL_OK; ++*pairs)
        continue;
    return result == PXL_END ? PXL_OK : pxl_fail(error, result, "malformed ACL", 0, 0, 0);
}

static int pack_acl(pxl_bytes *out, const pxl_mbentry *entry, pxl_slice owner, pxl_error *error)
{
    pxl_slice rest = entry->acl, identifier, rights;
    uint32_t pairs;
    int result = count_acl(entry, &pairs, error);
    bool packed;

    if (result < 0) return result;
    packed = pack_array(out, 2 * pairs);
    while (packed && pxl_acl_next(&rest, entry->acl_tabs, &identifier, &rights) == PXL_OK) {
        bool own = owner.len && pxl_same(identifier.data, identifier.len, owner.data, owner.len);
        bool full = pxl_same(rights.data, rights.len, PXL_FULL_RIGHTS.data, PXL_FULL_RIGHTS.len);
        packed = (own ? pack_nil(out) : pack_text(out, identifier)) && (full ? pack_nil(out) : pack_text(out, rights));
    }
    return packed ? PXL_OK : pxl_fail(error, PXL_E_MEMORY, "out of memory", 0, 0, 0);
}

int pxl_entry_pack(pxl_bytes *out, pxl_slice name, const pxl_mbentry *entry, pxl_error *error)
{
    uint8_t mbtype[5], owner[PXL_NAME_MAX];
    size_t owner_len = pxl_name_owner(name, owner, sizeof owner);
    bool packed;

    out->len = 0;
    packed = pxl_bytes_add(out, mbtype, (size_t)(pxl_varint_put(mbtype, entry->mbtype) - mbtype))
             && pack_array(out, 8) && pack_optional(out, entry->uniqueid)
             && pack_optional(out, entry->partition) && pack_optional(out, entry->server)
             && pack_number(out, entry->uidvalidity) && pack_number(out, entry->createdmodseq)
             && pack_number(out, entry->foldermodseq) && pack_number(out, entry->mtime);
    if (!packed) return pxl_fail(error, PXL_E_MEMORY, "out of memory", 0, 0, 0);
    return pack_acl(out, entry, (pxl_slice){owner, owner_len}, error);
}
