/* mbentry.c - any octets as a mailboxes.db value: refused, or read with every slice inside the value. */
#include "fuzz.h"

static void walk_acl(pxl_slice value, pxl_mbentry *entry)
{
    pxl_slice identifier, rights;
    uint8_t text[24];
    size_t pairs = 0;

    while (pxl_acl_next(&entry->acl, entry->acl_tabs, &identifier, &rights) == PXL_OK) {
        REQUIRE(pairs++ <= value.len);
        REQUIRE(fuzz_inside(value, identifier) && fuzz_inside(value, rights));
        REQUIRE(pxl_rights_print(pxl_rights_parse(rights), text) <= sizeof text);
    }
}

static void check(pxl_slice value)
{
    pxl_mbentry entry;
    pxl_error error = {0};

    if (pxl_mbentry_parse(value, &entry, &error) != PXL_OK) {
        REQUIRE(error.code < 0 && error.message);
        return;
    }
    REQUIRE(fuzz_inside(value, entry.uniqueid) && fuzz_inside(value, entry.name));
    REQUIRE(fuzz_inside(value, entry.partition) && fuzz_inside(value, entry.server) && fuzz_inside(value, entry.acl));
    REQUIRE(!(entry.mbtype & ~(uint32_t)PXL_MBTYPE_MASK));
    walk_acl(value, &entry);
}

/* The same value on its way into the index. */
static void invert(pxl_slice value)
{
    pxl_inversion *inversion = pxl_inversion_new(512, 0);
    pxl_error error = {0};
    pxl_slice name = {(const uint8_t *)"user\x1f" "bob", 8}, row;

    REQUIRE(inversion);
    if (pxl_inversion_row(inversion, name, value, &row, &error) >= 0)
        REQUIRE(pxl_inversion_add(inversion, name, value, &error) >= 0);
    pxl_inversion_free(inversion);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = fuzz_copy(data, size);

    check((pxl_slice){copy, size});
    invert((pxl_slice){copy, size});
    free(copy);
    return 0;
}
