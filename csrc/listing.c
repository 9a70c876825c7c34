/* listing.c - one LIST answer from its lists of rows to its octets: the public calls.
 *
 *     passes.c     the view's namespaces one after the other, each in key order: candidates
 *     fold.c       the part of a candidate's name that a pattern matched is an event; events make rows
 *     ancestors.c  rows of ancestors that do not exist, for clients that ask for them
 *     recursive.c  RECURSIVEMATCH: events of all passes, sorted
 *     subscribed.c RETURN (SUBSCRIBED): is a row's mailbox subscribed to
 *     asked.c      rows that wait for STATUS and METADATA, which the caller knows
 */
#include <stdlib.h>
#include <string.h>

#include "listing.h"

#define MOST_KEPT 4096u      /* rows that the memory is not given back of */
#define MOST_OCTETS ((size_t)1 << 20)  /* and of an answer in one piece */

void pxl_view_name(pxl_view *view, const uint8_t *text, size_t local, size_t domain, size_t filter, size_t owner)
{
    view->local = (pxl_slice){text, local};
    view->domain = (pxl_slice){text + local, domain};
    view->filter_domain = (pxl_slice){text + local + domain, filter};
    view->owner = (pxl_slice){text + local + domain + filter, owner};
}

pxl_listing *pxl_listing_new(const pxl_callbacks *callbacks, void *blocks, void *handle, pxl_error *error)
{
    pxl_listing *listing = calloc(1, sizeof *listing);

    if (!listing) return NULL;
    listing->callbacks = callbacks;
    listing->blocks = blocks;
    listing->handle = handle;
    listing->error = error;
    return listing;
}

void pxl_listing_free(pxl_listing *listing)
{
    if (!listing) return;
    for (size_t i = 0; i < listing->pool_cap; i++) free(listing->pool[i]);
    pxl_bytes_free(&listing->last.name);
    pxl_bytes_free(&listing->last.key);
    pxl_bytes_free(&listing->resume);
    pxl_kept_forget(listing, 0);
    pxl_waiting_free(listing);
    pxl_bytes_free(&listing->out);
    pxl_bytes_free(&listing->numbers);
    free(listing->pool);
    free(listing->candidates.cursors);
    free(listing);
}

static bool grow_pool(pxl_listing *listing)
{
    size_t cap = listing->pool_cap ? 2 * listing->pool_cap : 8;
    pxl_cursor **pool = realloc(listing->pool, cap * sizeof *pool), **walked;

    if (!pool) return false;
    listing->pool = pool;
    walked = realloc(listing->candidates.cursors, cap * sizeof *walked);
    if (!walked) return false;
    listing->candidates.cursors = walked;
    while (listing->pool_cap < cap) pool[listing->pool_cap++] = NULL;
    return true;
}

/* Does this answer take its candidates from lists of this role? */
static bool walks(const pxl_listing *listing, int role)
{
    if (selects(listing, PXL_SELECT_SUBSCRIBED)) return role == PXL_ROLE_SUBSCRIPTIONS;
    return role == (listing->view->admin ? PXL_ROLE_DIRECTORY : PXL_ROLE_LOOKUP);
}

int pxl_listing_add(pxl_listing *listing, int role, uint32_t number, const uint8_t *block, size_t len)
{
    pxl_cursor *cursor;

    if (listing->pool_len == listing->pool_cap && !grow_pool(listing)) return PXL_E_MEMORY;
    cursor = listing->pool[listing->pool_len];
    if (!cursor && !(cursor = listing->pool[listing->pool_len] = malloc(sizeof *cursor))) return PXL_E_MEMORY;
    listing->uses |= role == PXL_ROLE_SPECIAL_USE;
    cursor->role = role;
    cursor->number = number;
    cursor->first = (pxl_slice){len ? block : NULL, len};
    cursor->at_first = len > 0;
    cursor->on_row = cursor->floor_known = cursor->far = false;
    cursor->dots = len && (block[0] & PXL_FLAT_ORDER);
    cursor->row.keylen = 0;
    cursor->row.at = cursor->row.end = NULL;
    cursor->block_len = 0;
    if (!(number & PXL_PROBE) && walks(listing, role)) listing->candidates.cursors[listing->candidates.count++] = cursor;
    listing->pool_len++;
    return PXL_OK;
}

/* Octets that components hidden from this view begin with: nearly no mailbox's does. */
static void note_hidden(pxl_listing *listing)
{
    const pxl_view *view = listing->view;

    memset(listing->hidden_first, 0, sizeof listing->hidden_first);
    for (uint32_t i = 0; i < view->hidden_count; i++) {
        uint8_t first = view->hidden[i].len ? *view->hidden[i].data : 0;
        listing->hidden_first[first / 64] |= (uint64_t)1 << first % 64;
    }
}

static void reset(pxl_listing *listing, const pxl_view *view, const pxl_query *query, int output)
{
    listing->view = view;
    note_hidden(listing);
    listing->query = query;
    listing->output = output;
    listing->failed = 0;
    listing->error->code = 0;
    listing->pool_len = listing->candidates.count = listing->candidates.on_rows = 0;
    listing->pass = 0;
    listing->uses = listing->resuming = listing->finished = listing->saw_alt = listing->last.set = false;
    listing->kept_len = listing->kept_at = listing->kept_text.len = 0;
    listing->others_known = false;
    listing->line = SIZE_MAX;
    pxl_waiting_forget(listing);
    for (size_t i = 0; i < sizeof listing->heads / sizeof *listing->heads; i++) listing->heads[i].len = 0;
}

/* Is it the command of nearly every client, of a user without special uses? */
static bool is_ordinary(const pxl_listing *listing)
{
    const uint32_t more = ~(uint32_t)(PXL_RETURN_CHILDREN | PXL_RETURN_SPECIAL_USE);

    return listing->output == PXL_OUTPUT_IMAP && !listing->uses && !(listing->query->options & more)
           && (listing->query->form == PXL_FORM_LIST || listing->query->form == PXL_FORM_EXTENDED);
}

int pxl_listing_start(pxl_listing *listing, const pxl_plan *plan, const pxl_query *query, int output,
                      const pxl_slice *blocks)
{
    reset(listing, plan->view, query, output);
    for (uint32_t i = 0; i < plan->count; i++) {
        const pxl_list *list = &plan->lists[i];
        if (!blocks[i].len && list->role != PXL_ROLE_DIRECTORY) continue;
        if (pxl_listing_add(listing, list->role, list->number, blocks[i].data, blocks[i].len) < 0)
            return pxl_fail(listing->error, PXL_E_MEMORY, "out of memory", 0, 0, 0);
    }
    listing->ordinary = is_ordinary(listing);
    return PXL_OK;
}

/* Forget what the piece before had; a line that may still change was no part of it. */
static void begin_piece(pxl_listing *listing)
{
    const size_t given = pxl_answered(listing), kept = listing->out.len - given;

    if (kept) {
        memmove(listing->out.data, listing->out.data + given, kept);
        listing->said.data -= given;
        listing->line = 0;
    }
    listing->out.len = kept;
    listing->numbers.len = 0;
}

int pxl_listing_run(pxl_listing *listing, size_t limit)
{
    int result;

    begin_piece(listing);
    result = pxl_passes_walk(listing, limit);
    if (result == PXL_OK && selects(listing, PXL_SELECT_RECURSIVEMATCH)) result = pxl_recursive_answer(listing, limit);
    if (result >= 0) pxl_waiting_answer(listing);
    if (result == PXL_OK) pxl_kept_forget(listing, MOST_KEPT);
    if (listing->failed) return listing->failed;
    return result == PXL_MORE ? PXL_MORE : PXL_END;
}

void pxl_slice_point(pxl_slice *slice, const uint8_t *data, size_t len)
{
    *slice = (pxl_slice){data, len};
}

pxl_slice pxl_listing_output(const pxl_listing *listing)
{
    return (pxl_slice){listing->out.data, pxl_answered(listing)};
}

pxl_slice pxl_listing_numbers(const pxl_listing *listing)
{
    return (pxl_slice){listing->numbers.data, listing->numbers.len};
}

void pxl_listing_rewind(pxl_listing *listing)
{
    for (size_t i = 0; i < listing->pool_len; i++) {
        pxl_cursor *cursor = listing->pool[i];
        cursor->first = (pxl_slice){NULL, 0};
        cursor->at_first = cursor->on_row = cursor->floor_known = false;
    }
}

void pxl_listing_spare(pxl_listing *listing)
{
    if (listing->out.cap > MOST_OCTETS) pxl_bytes_free(&listing->out);
}

const pxl_listing_calls *pxl_listing_table(void)
{
    static const pxl_listing_calls CALLS = {pxl_listing_start, pxl_listing_run, pxl_listing_rewind, pxl_listing_output,
                                            pxl_listing_spare};

    return &CALLS;
}
