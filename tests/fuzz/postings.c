/* postings.c - any octets as a key name and its directory rows before and after: a change is what two readings say.
 *
 * Input: u8 length of the key, u16 length of the old row (big endian), key, old row, new row.
 */
#include "fuzz.h"
#include "postings.h"

/* What a reading says of an identifier's row in a list: its payload's length, 0 for none. */
static size_t row_of(const pxl_change *change, pxl_slice identifier, int when, int list, uint8_t *out)
{
    for (size_t i = 0; i < change->len; i++) {
        const pxl_concern *who = &change->concerns[i];
        if (pxl_same(who->identifier.data, who->identifier.len, identifier.data, identifier.len))
            return pxl_change_payload(change, who, when, list, out);
    }
    return 0;
}

/* Whoever `whole` has, whole[when], stands in `change` with the same row, or is not concerned by it. */
static void agree(const pxl_change *change, const pxl_change *whole, int when)
{
    for (size_t i = 0; i < whole->len; i++)
        for (int list = PXL_LIST_LOOKUP; list <= PXL_LIST_QUIET; list++) {
            uint8_t one[15], other[15];
            const pxl_concern *who = &whole->concerns[i];
            size_t there = pxl_change_payload(whole, who, when, list, one);
            size_t said = row_of(change, who->identifier, when, list, other);
            REQUIRE(there <= sizeof one && said <= sizeof other);
            REQUIRE(!said || (said == there && !memcmp(one, other, said)));
        }
}

/* Whom a change does not concern stands after it where he stood before. */
static void complete(const pxl_change *change, const pxl_change *before, const pxl_change *after)
{
    for (size_t i = 0; i < after->len; i++)
        for (int list = PXL_LIST_LOOKUP; list <= PXL_LIST_QUIET; list++) {
            uint8_t old[15], new[15], said[15];
            const pxl_slice who = after->concerns[i].identifier;
            size_t new_len = pxl_change_payload(after, &after->concerns[i], PXL_AFTER, list, new);
            size_t old_len = row_of(before, who, PXL_BEFORE, list, old);
            if (new_len != old_len || memcmp(old, new, new_len))
                REQUIRE(row_of(change, who, PXL_AFTER, list, said) == new_len && !memcmp(said, new, new_len));
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3) return -1;
    size_t key_len = data[0], old_len = pxl_be16(data + 1);
    if (key_len + old_len > size - 3) return -1;
    size_t new_len = size - 3 - key_len - old_len;
    uint8_t *key = fuzz_copy(data + 3, key_len), *old = fuzz_copy(data + 3 + key_len, old_len);
    uint8_t *new = fuzz_copy(data + 3 + key_len + old_len, new_len);
    const pxl_slice name = {key, key_len}, before = {old, old_len}, after = {new, new_len}, none = {NULL, 0};
    pxl_change change, gone, come;

    if (pxl_change_read(&change, name, before, after) == PXL_OK) {
        REQUIRE(pxl_change_read(&gone, name, before, none) == PXL_OK);
        REQUIRE(pxl_change_read(&come, name, none, after) == PXL_OK);
        agree(&change, &gone, PXL_BEFORE);
        agree(&change, &come, PXL_AFTER);
        complete(&change, &gone, &come);
        pxl_change_free(&come);
        pxl_change_free(&gone);
        pxl_change_free(&change);
    }
    free(key);
    free(old);
    free(new);
    return 0;
}
