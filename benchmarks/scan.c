/* scan.c - LIST as a server without an index answers it: every row of the table, an ACL check a row.
 *
 * The peer of the measurements, through the same reader as the build of the index.  It only counts
 * what the user may see: a server would also sort and print it.
 */
#include <string.h>

#include "pxl.h"

/* Rights that an ACL gives the first of the identifiers that it names and to "anyone". */
static uint32_t rights_of(const pxl_mbentry *entry, const char *user, size_t user_len)
{
    pxl_slice rest = entry->acl, who, rights;
    uint32_t granted = 0, denied = 0;

    while (pxl_acl_next(&rest, entry->acl_tabs, &who, &rights) == PXL_OK) {
        int negative = who.len && *who.data == '-';
        who.data += negative;
        who.len -= (size_t)negative;
        if (!(who.len == user_len && !memcmp(who.data, user, user_len)) && !(who.len == 6 && !memcmp(who.data, "anyone", 6)))
            continue;
        *(negative ? &denied : &granted) |= pxl_rights_parse(rights);
    }
    return granted & ~denied;
}

/* How many mailboxes of an open source a user may see; -1 for a damaged one. */
int64_t scan_count(pxl_reader *reader, const char *user, size_t user_len)
{
    pxl_record record;
    pxl_mbentry entry;
    pxl_error error;
    int64_t seen = 0;
    int result;

    while ((result = pxl_reader_next(reader, &record, &error)) == PXL_OK) {
        if (!record.key.len || *record.key.data != 'N') continue;
        if (pxl_mbentry_parse(record.value, &entry, &error) < 0) return -1;
        if (!(entry.mbtype & (PXL_TOMBSTONE | PXL_INTERMEDIATE)) && (rights_of(&entry, user, user_len) & PXL_RIGHT_L)) seen++;
    }
    return result == PXL_END ? seen : -1;
}
