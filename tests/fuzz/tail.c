/* tail.c - any octets as a log that was appended to: records lie inside, and reading always moves on. */
#include "fuzz.h"

/* Read what stands behind offset `base`, as a follower does from its checkpoint. */
static void follow(const pxl_log_header *header, const uint8_t *data, uint64_t base, uint64_t size)
{
    uint8_t *copy = fuzz_copy(data + base, size - base);
    pxl_slice whole = {copy, size - base};
    pxl_tail *tail = pxl_tail_new(header);
    pxl_logged record;
    pxl_error error = {0};
    uint64_t at = base;
    int result;

    REQUIRE(tail && pxl_tail_start(tail, copy, base, size - base) >= 0);
    while ((result = pxl_tail_next(tail, &record, &error)) == PXL_OK) {
        REQUIRE(pxl_tail_at(tail) > at && pxl_tail_at(tail) <= size);
        at = pxl_tail_at(tail);
        if (record.kind == PXL_LOG_PUT) REQUIRE(fuzz_inside(whole, record.key) && fuzz_inside(whole, record.value));
    }
    REQUIRE(result == PXL_END || (result < 0 && error.message));
    pxl_log_mark(header, copy, base, size - base);
    pxl_tail_free(tail);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t head = size < PXL_LOG_HEADER ? size : PXL_LOG_HEADER;
    uint8_t *octets = fuzz_copy(data, head);
    pxl_log_header header;
    pxl_error error = {0};
    int result = pxl_log_read_header(octets, head, &header, &error);

    free(octets);
    if (result < 0) {
        REQUIRE(error.message);
        return 0;
    }
    if (header.first <= size) follow(&header, data, header.first, size);
    if (header.source.end > header.first && header.source.end <= size) {
        uint8_t *last = fuzz_copy(data + header.source.end - 24, header.source.end >= 24 ? 24 : 0);
        if (header.source.end >= 24) REQUIRE(pxl_log_mark_from(&header, last) <= header.source.end);
        free(last);
        follow(&header, data, header.source.end, size);
    }
    return 0;
}
