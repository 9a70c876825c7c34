/* rows.c - any octets as a row block and as changes to it: walks end, rows are found, merges and edits are sound.
 *
 * Input: u8 length of the changes, changes, block.
 */
#include "fuzz.h"

enum { FOUND_MAX = 64 };  /* a find walks from the front: more would be quadratic */

/* Walk a block to its end, looking up its first rows; PXL_END or PXL_E_BLOCK. */
static int walk(pxl_slice block)
{
    pxl_rows *rows = pxl_rows_new();
    pxl_slice key, payload, found;
    size_t count = 0;
    int result;

    REQUIRE(rows);
    pxl_rows_start(rows, block);
    while ((result = pxl_rows_next(rows, &key, &payload)) == PXL_OK) {
        REQUIRE(count++ <= block.len && key.len <= PXL_KEY_MAX && fuzz_inside(block, payload));
        if (count < FOUND_MAX && pxl_rows_find(block.data, block.len, key.data, key.len, &found) == PXL_OK)
            REQUIRE(fuzz_inside(block, found));
    }
    pxl_rows_free(rows);
    return result;
}

/* Finished blocks can be walked: u16 key length, u32 value length, key, value. */
static void walk_taken(pxl_slice taken)
{
    for (size_t at = 0; at < taken.len;) {
        REQUIRE(pxl_has(taken.len, at, 6));
        size_t key = pxl_le16(taken.data + at), value = pxl_le32(taken.data + at + 2);
        REQUIRE(pxl_has(taken.len, at + 6, key + value));
        REQUIRE(walk((pxl_slice){taken.data + at + 6 + key, value}) == PXL_END);
        at += 6 + key + value;
    }
}

/* What a merge accepts it writes as blocks that can be walked. */
static void merge(pxl_slice block, pxl_slice changes)
{
    pxl_cutter *cutter = pxl_cutter_new(200, 511);

    REQUIRE(cutter);
    REQUIRE(pxl_cutter_start(cutter, (pxl_slice){(const uint8_t *)"o", 1}, (pxl_slice){NULL, 0}, 0) >= 0);
    if (pxl_cutter_merge(cutter, block, changes) >= 0 && pxl_cutter_finish(cutter) >= 0)
        walk_taken(pxl_cutter_take(cutter));
    pxl_cutter_free(cutter);
}

/* One row set, and then removed: what could be walked still can be, and says so. */
static void edit(pxl_slice block, pxl_slice key)
{
    size_t cap = block.len + 2 * key.len + PXL_EDIT_ROOM, more = cap + key.len + PXL_EDIT_ROOM;
    uint8_t *set = malloc(cap), *removed = malloc(more);
    bool sound = block.len && walk(block) == PXL_END;
    pxl_slice found;
    int64_t len;

    REQUIRE(set && removed);
    len = pxl_rows_edit(block.data, block.len, key.data, key.len, key.data, key.len, set, cap);
    REQUIRE(!sound || len >= 0);
    if (len > 0) {
        REQUIRE((size_t)len <= cap);
        REQUIRE(!sound || walk((pxl_slice){set, (size_t)len}) == PXL_END);
        REQUIRE(!sound || pxl_rows_find(set, (size_t)len, key.data, key.len, &found) == PXL_OK);
        len = pxl_rows_edit(set, (size_t)len, key.data, key.len, NULL, 0, removed, more);
        REQUIRE(!sound || (len > 0 && walk((pxl_slice){removed, (size_t)len}) == PXL_END));
    }
    free(set);
    free(removed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size || data[0] > size - 1) return -1;
    size_t len = data[0], rest = size - 1 - len;
    uint8_t *changes = fuzz_copy(data + 1, len), *block = fuzz_copy(data + 1 + len, rest);

    walk((pxl_slice){block, rest});
    merge((pxl_slice){block, rest}, (pxl_slice){changes, len});
    edit((pxl_slice){block, rest}, (pxl_slice){changes, len});
    free(changes);
    free(block);
    return 0;
}
