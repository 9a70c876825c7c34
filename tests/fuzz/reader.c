/* reader.c - any octets as a database of one format, FORMAT: they are read or refused.
 *
 * Claims: no octet outside the image is read; keys of a database ascend; the records are the same however
 * the image arrives, and the same with PXL_SALVAGE when nothing was wrong; whatever was read can be
 * inverted, or is refused with a message.  Images are unescaped in place, so every reading has its own copy.
 */
#include "fuzz.h"

#define IS_DUMP (FORMAT == PXL_DUMP_JSON || FORMAT == PXL_DUMP_TEXT)

enum { REFUSED = -1, OTHER_FORMAT = -2 };

/* Open a copy; OTHER_FORMAT where some other reader takes it. */
static int open_copy(pxl_reader **reader, uint8_t *image, size_t size, int options, pxl_error *error)
{
    int result = pxl_reader_open(reader, image, size, options, error);

    if (result < 0) {
        REQUIRE(error->code == result && error->message);
        return REFUSED;
    }
    if (pxl_reader_source(*reader)->format == FORMAT) return PXL_OK;
    pxl_reader_close(*reader);
    return OTHER_FORMAT;
}

/* Let the image arrive in steps of `step` octets. */
static int load(pxl_reader *reader, size_t size, size_t step, pxl_error *error)
{
    size_t have = step < size ? step : size;
    int result;

    while ((result = pxl_reader_load(reader, have, error)) == PXL_MORE) {
        REQUIRE(have < size);
        have = size - have < step ? size : have + step;
    }
    return result;
}

static long count_records(pxl_reader *reader, pxl_slice image, pxl_error *error)
{
    pxl_slice before = {NULL, 0};
    pxl_record record;
    long count = 0;
    int result;

    while ((result = pxl_reader_next(reader, &record, error)) == PXL_OK) {
        if (!IS_DUMP) {
            REQUIRE(fuzz_inside(image, record.key) && fuzz_inside(image, record.value));
            REQUIRE(!count || pxl_compare(before.data, before.len, record.key.data, record.key.len) < 0);
        }
        before = record.key;
        count++;
    }
    REQUIRE(result == PXL_END || (result < 0 && error->message));
    return result < 0 ? REFUSED : count;
}

/* Read every record of a copy; how many, REFUSED or OTHER_FORMAT. */
static long read_all(const uint8_t *data, size_t size, int options, size_t step)
{
    uint8_t *image = fuzz_copy(data, size);
    pxl_reader *reader = NULL;
    pxl_error error = {0};
    long count = open_copy(&reader, image, size, options, &error);

    if (count == PXL_OK) {
        int result = load(reader, size, step, &error);
        REQUIRE(result == PXL_OK || (result < 0 && error.message));
        count = result < 0 ? REFUSED : count_records(reader, (pxl_slice){image, size}, &error);
        pxl_reader_close(reader);
    }
    free(image);
    return count;
}

/* Invert the records of an open reader, as a build does: blocks of every table. */
static void invert_records(pxl_reader *reader, pxl_inversion *inversion, pxl_error *error)
{
    int result;

    while ((result = pxl_inversion_feed(inversion, reader, 3, error)) == PXL_MORE)
        pxl_inversion_take(inversion, PXL_DIRECTORY);
    for (int table = 0; result == PXL_END && table < PXL_TABLES; table++)
        while ((result = pxl_inversion_emit(inversion, table, 700, error)) == PXL_MORE)
            pxl_inversion_take(inversion, table);
    REQUIRE(result == PXL_END || (result < 0 && error->message));
}

static void invert(const uint8_t *data, size_t size, int options)
{
    uint8_t *image = fuzz_copy(data, size);
    pxl_inversion *inversion = pxl_inversion_new(512, 0);
    pxl_reader *reader = NULL;
    pxl_error error = {0};

    REQUIRE(inversion);
    if (open_copy(&reader, image, size, options, &error) == PXL_OK) {
        invert_records(reader, inversion, &error);
        pxl_inversion_free(inversion);
        pxl_reader_close(reader);
    } else
        pxl_inversion_free(inversion);
    free(image);
}

/* Compare with an index of nothing: each stretch is digested and passed over, or digested and then compared.  All
 * the mailboxes are counted either way. */
static uint64_t compare(const uint8_t *data, size_t size, int options, bool pass)
{
    static const char *const ends[] = {"A", "m", "user", "user\x1fm", ""};
    uint8_t *image = fuzz_copy(data, size);
    pxl_inversion *inversion = pxl_inversion_new(512, 1);
    pxl_reader *reader = NULL;
    pxl_error error = {0};
    pxl_slice nothing = {(const uint8_t *)"", 0}, lower = nothing;
    uint64_t digest, entries = 0;
    int result;

    REQUIRE(inversion);
    result = open_copy(&reader, image, size, options, &error);
    if (result < 0) reader = NULL;
    for (size_t i = 0; result >= 0 && i < sizeof ends / sizeof *ends; i++) {
        pxl_slice upper = {(const uint8_t *)ends[i], strlen(ends[i])};
        result = pxl_inversion_digest(inversion, reader, upper.data, upper.len, &digest, &error);
        if (result == PXL_OK && pass)
            pxl_inversion_pass(inversion);
        else if (result >= 0)
            result = pxl_inversion_compare(inversion, reader, nothing, lower, upper, &error);
        lower = upper;
    }
    if (result >= 0) entries = pxl_inversion_counts(inversion)->entries;
    pxl_inversion_free(inversion);
    pxl_reader_close(reader);
    free(image);
    return entries;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t whole_step = size ? size : 1;
    long whole = read_all(data, size, 0, whole_step), salvaged;

    if (whole == OTHER_FORMAT) return -1;
    REQUIRE(read_all(data, size, 0, 160) == whole);
    salvaged = read_all(data, size, PXL_SALVAGE, whole_step);
    REQUIRE(whole < 0 || salvaged == whole);
    invert(data, size, 0);
    invert(data, size, PXL_SALVAGE);
    if (compare(data, size, 0, false)) REQUIRE(compare(data, size, 0, true) == compare(data, size, 0, false));
    compare(data, size, PXL_SALVAGE, false);
    return 0;
}
