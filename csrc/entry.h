/* entry.h - inside the core: key names and the directory row. */
#ifndef PXL_ENTRY_H
#define PXL_ENTRY_H

#include "pxl.h"
#include "rows.h"

#define PXL_SEPARATOR 0x1f          /* between the components of a key name */
#define PXL_DOMAIN_SEPARATOR 0x1d   /* after the domain of a key name */

/* The rights that nil stands for in a directory row. */
static const pxl_slice PXL_FULL_RIGHTS = {(const uint8_t *)"lrswipkxtecdan", 14};

/* Is `key` the name `root`, or one below it? */
static inline bool pxl_in_tree(const uint8_t *key, size_t len, pxl_slice root)
{
    return pxl_starts(key, len, root.data, root.len) && (len == root.len || key[root.len] == PXL_SEPARATOR);
}

/* Can any userid or group match it?  Octets below 2 would also break the tables' key order. */
static inline bool pxl_matchable(pxl_slice identifier)
{
    if (!identifier.len || identifier.len > PXL_IDENTIFIER_MAX) return false;
    for (size_t i = 0; i < identifier.len; i++)
        if (identifier.data[i] < 0x20) return false;
    return true;
}

/* Write the directory row of one mailbox over `out`. */
int pxl_entry_pack(pxl_bytes *out, pxl_slice name, const pxl_mbentry *entry, pxl_error *error);

#endif
