/* entry.h - inside the core: key names and the directory row. */
#ifndef PXL_ENTRY_H
#define PXL_ENTRY_H

#include "pxl.h"
#include "rows.h"

#define PXL_SEPARATOR 0x1f          /* between the components of a key name */
#define PXL_DOMAIN_SEPARATOR 0x1d   /* after the domain of a key name */

/* Write the directory row of one mailbox over `out`. */
int pxl_entry_pack(pxl_bytes *out, pxl_slice name, const pxl_mbentry *entry, pxl_error *error);

#endif
