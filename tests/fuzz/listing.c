/* listing.c - any pattern over any row block for any view: an answer or a damaged block, and an end to it.
 *
 * Input: u16 view switches, u8 form and output, u16 options (little-endian), pattern, NUL, userid, NUL, block.
 * The block stands for every list that the answer reads.  Each name of it is also matched by itself, for
 * what an answer never asks the matcher.
 */
#include "fuzz.h"
#include "listing.h"

enum { HEAD = 5, LIMIT = 300 };

static int fetch(void *blocks, uint32_t number, const uint8_t *key, size_t keylen, int after, pxl_slice *block)
{
    (void)number, (void)key, (void)keylen;
    if (after) return PXL_ABSENT;
    *block = *(const pxl_slice *)blocks;
    return PXL_OK;
}

/* Nothing of a name of uneven length, else as many octets as it has; or more than there are, of one of 13. */
static int tell(void *handle, int what, const pxl_asked *asked, pxl_slice *octets, pxl_slice *sizes)
{
    static const uint8_t answers[64 * 1024];
    static uint32_t told[PXL_WAITING_MOST];
    size_t at = 0, len = 0;

    (void)handle;
    REQUIRE(asked->count && asked->count <= PXL_WAITING_MOST);
    for (size_t i = 0; i < asked->count; i++) {
        const uint32_t size = asked->sizes[i];
        REQUIRE(at + size <= asked->keys.len && (i + 1 == asked->count || asked->keys.data[at + size] == 0));
        at += size + 1;
        told[i] = size % 2 ? PXL_UNTOLD : size;
        if (size % 2 == 0) len += size;
        if (size == 13 && what == PXL_RETURN_STATUS) told[i] = UINT32_MAX - 1;
    }
    REQUIRE(at == asked->keys.len + 1 && len <= sizeof answers);
    *octets = (pxl_slice){answers, len};
    *sizes = (pxl_slice){(const uint8_t *)told, asked->count * sizeof *told};
    return asked->count % 7 ? PXL_OK : PXL_ABSENT;
}

static const pxl_callbacks callbacks = {fetch, tell};

/* An empty text has no address: the core may not so much as add 0 to it. */
static pxl_slice text(const char *constant)
{
    return (pxl_slice){*constant ? (const uint8_t *)constant : NULL, strlen(constant)};
}

static pxl_view view_of(unsigned switches, pxl_slice userid, pxl_slice owner)
{
    static const pxl_slice hidden[] = {{(const uint8_t *)"#calendars", 10}, {(const uint8_t *)"Sent", 4}};
    bool admin = switches & 4;

    return (pxl_view){
        .separator = switches & 1 ? '/' : '.', .alt = !admin && switches & 2, .admin = admin, .own = !admin,
        .admin_domains = admin && switches & 8, .crossdomains = !!(switches & 16), .other_users = !(switches & 32),
        .shared = !(switches & 64), .allow_deleted = !!(switches & 128), .local = userid, .owner = owner,
        .user_prefix = text("Other Users"), .shared_prefix = text("Shared Folders"), .alt_prefix = text("Alt Folders"),
        .crossdomains_onlyother = !!(switches & 256), .special_use_always = !!(switches & 512),
        .existing_ancestors = !!(switches & 1024), .myrights_of_mailboxes = !!(switches & 2048),
        .lsub_keeps_missing = !!(switches & 4096), .default_domain = text(switches & 8192 ? "d.org" : ""),
        .domain = text(switches & 16384 ? "d.org" : ""), .hidden = hidden, .hidden_count = switches & 32768 ? 2 : 0,
        .hidden_recursive = switches & 32768 ? 1 : 0, .deleted_prefix = text("DELETED"), .owner_rights = 0xfff,
        .admin_rights = PXL_RIGHT_L | PXL_RIGHT_A,
    };
}

/* Match and name every row of the block that a walk reaches. */
static void match_rows(const pxl_query *query, const pxl_view *view, pxl_slice block)
{
    pxl_rows *rows = pxl_rows_new();
    pxl_slice key, payload;
    pxl_name name;
    pxl_extname external;
    uint8_t back[PXL_NAME_MAX];
    size_t dead;

    REQUIRE(rows);
    pxl_rows_start(rows, block);
    while (pxl_rows_next(rows, &key, &payload) == PXL_OK) {
        REQUIRE(pxl_query_match(query, key.data, key.len, &dead) <= key.len && dead <= key.len);
        if (key.len > PXL_NAME_MAX) continue;
        pxl_name_parse(view, key.data, key.len, &name);
        if (pxl_name_external(view, &name, &external))
            REQUIRE(external.len <= sizeof external.text
                    && pxl_query_match(query, external.text, external.len, &dead) <= external.len);
        REQUIRE(pxl_name_read_back(view, key.data, key.len, back).len <= PXL_NAME_MAX);
    }
    pxl_rows_free(rows);
}

static void answer(const pxl_query *query, const pxl_view *view, pxl_slice block, int output)
{
    static const pxl_list lists[] = {{PXL_ROLE_LOOKUP, 0}, {PXL_ROLE_QUIET, 1}, {PXL_ROLE_DIRECTORY, 2},
                                     {PXL_ROLE_SUBSCRIPTIONS, 3}, {PXL_ROLE_SPECIAL_USE, 4}};
    enum { LISTS = sizeof lists / sizeof *lists };
    const pxl_slice first[LISTS] = {block};
    pxl_error error = {0};
    pxl_listing *listing = pxl_listing_new(&callbacks, &block, NULL, &error);
    int result;

    REQUIRE(listing);
    result = pxl_listing_start(listing, &(pxl_plan){view, lists, LISTS}, query, output, first);
    for (size_t runs = 0; result >= 0 && (result = pxl_listing_run(listing, LIMIT)) == PXL_MORE; runs++) {
        REQUIRE(runs < 1000 + 1000 * block.len);
        if (runs % 2) pxl_listing_rewind(listing);
    }
    REQUIRE(result == PXL_END || result < 0);
    pxl_listing_free(listing);
}

/* The text up to the next NUL, taken off `rest`; false where there is none. */
static bool take_text(pxl_slice *rest, pxl_slice *taken)
{
    const uint8_t *end = rest->len ? memchr(rest->data, 0, rest->len) : NULL;

    if (!end) return false;
    *taken = (pxl_slice){rest->data, (size_t)(end - rest->data)};
    *rest = (pxl_slice){end + 1, rest->len - taken->len - 1};
    return true;
}

static void list(const uint8_t *head, pxl_slice pattern, pxl_slice userid, pxl_slice block)
{
    uint8_t owner[160] = "user\x1f";
    pxl_query *query = pxl_query_new(head[2] % 4, pxl_le16(head + 3), head[0] & 1 ? '/' : '.');
    pxl_view view;

    REQUIRE(query);
    memcpy(owner + 5, userid.data, userid.len);
    view = view_of(pxl_le16(head), userid, (pxl_slice){owner, 5 + userid.len});
    if (pxl_query_add(query, pattern.data, pattern.len) >= 0) {
        match_rows(query, &view, block);
        answer(query, &view, block, head[2] & 4 ? PXL_OUTPUT_ITEMS : PXL_OUTPUT_IMAP);
    }
    pxl_query_free(query);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < HEAD) return -1;
    pxl_slice rest = {data + HEAD, size - HEAD}, pattern, userid;

    if (!take_text(&rest, &pattern) || !take_text(&rest, &userid) || userid.len > 100) return -1;
    uint8_t *block = fuzz_copy(rest.data, rest.len), *typed = fuzz_copy(pattern.data, pattern.len);
    list(data, (pxl_slice){typed, pattern.len}, userid, (pxl_slice){block, rest.len});
    free(typed);
    free(block);
    return 0;
}
