/* log.c - puts and deletes in file order -> the live records in key order.
 *
 *     scan order     a c d | b c' -d            (the run before the bar is sorted: a repack wrote it)
 *     merged         a b c c' d                 (one key's puts side by side, oldest first)
 *     ranks          0 1 2 2  3                 (one number a key)
 *     replayed       {0 1 2}, rank 2 -> c'
 *
 * The sorted run is merged with the sorted rest by galloping, so a long run costs copying integers
 * and not comparing keys.  Deletes are replayed over ranks: a set of live ranks that answers "the
 * greatest below r" in a few steps (a bit a rank, a bit a word of those, and so on) finds the key
 * that a twoskip delete does not name.
 */
#include <stdlib.h>

#include "log.h"
#include "order.h"
#include "reader.h"

#define SAME 0x80000000u     /* in a merged order: the key is that of the put before */
#define LEVELS 6             /* 64^6 ranks are more than 31 bits number */

void pxl_log_free(pxl_log *log)
{
    free(log->puts);
    free(log->deletes);
    *log = (pxl_log){0};
}

static bool grow(void **array, size_t len, size_t *cap, size_t size)
{
    size_t more = *cap ? *cap + *cap / 2 : 1024;
    void *grown;

    if (len < *cap) return true;
    if (more > SIZE_MAX / size || !(grown = realloc(*array, more * size))) return false;
    *array = grown;
    *cap = more;
    return true;
}

int pxl_log_put(pxl_log *log, uint64_t offset, pxl_slice key)
{
    if (log->puts_len >= SAME || !grow((void **)&log->puts, log->puts_len, &log->puts_cap, sizeof *log->puts))
        return PXL_E_MEMORY;
    if (log->sorted == log->puts_len
        && (!log->sorted || pxl_compare(log->last.data, log->last.len, key.data, key.len) < 0)) {
        log->sorted++;
        log->last = key;
    }
    log->puts[log->puts_len++] = offset;
    return PXL_OK;
}

int pxl_log_delete(pxl_log *log, uint64_t offset, uint64_t target)
{
    if (!grow((void **)&log->deletes, log->deletes_len, &log->deletes_cap, sizeof *log->deletes)) return PXL_E_MEMORY;
    log->deletes[log->deletes_len++] = (pxl_delete){offset, target, log->puts_len};
    return PXL_OK;
}

void pxl_log_rollback(pxl_log *log)
{
    log->puts_len = log->committed_puts;
    log->deletes_len = log->committed_deletes;
    if (log->sorted > log->puts_len) log->sorted = log->puts_len;
}

/* ---- order ------------------------------------------------------------------------------------- */

typedef struct {
    const pxl_reader *reader;
    pxl_key_at key_at;
} keys;

static int compare_puts(const void *of, uint32_t a, uint32_t b)
{
    const keys *k = of;
    pxl_slice x = k->key_at(k->reader, k->reader->log.puts[a & ~SAME]);
    pxl_slice y = k->key_at(k->reader, k->reader->log.puts[b & ~SAME]);

    return pxl_compare(x.data, x.len, y.data, y.len);
}

/* Mark with SAME each put of `order` whose key is the one's before it.  Only puts behind the sorted
 * run can be such, or stand before such, since the run itself has no key twice. */
static void mark_same(const keys *k, uint32_t *order, size_t n)
{
    size_t sorted = k->reader->log.sorted;

    for (size_t i = 1; i < n; i++)
        if (order[i] >= sorted && !compare_puts(k, order[i - 1], order[i])) order[i] |= SAME;
}

/* All puts by key, then by age; NULL when there is no memory.  The caller frees it. */
static uint32_t *ordered(const keys *k)
{
    const pxl_log *log = &k->reader->log;
    size_t n = log->puts_len, rest = n - log->sorted;
    uint32_t *from = malloc((n + 1) * sizeof *from), *order = malloc((n + 1) * sizeof *order);
    uint32_t *spare = malloc((rest + 1) * sizeof *spare);

    if (from && order && spare) {
        for (size_t i = 0; i <= n; i++) from[i] = (uint32_t)i;
        const uint32_t *sorted = pxl_numbers_sort(compare_puts, k, from + log->sorted, spare, rest);
        pxl_numbers_merge(compare_puts, k, from, log->sorted, sorted, rest, order);
        mark_same(k, order, n);
    } else {
        free(order);
        order = NULL;
    }
    free(from);
    free(spare);
    return order;
}

/* ---- live ranks -------------------------------------------------------------------------------- */

typedef struct {
    uint64_t *levels[LEVELS];    /* a bit a rank; above it a bit for each word that is not 0 */
    int height;
} ranks;

static bool ranks_new(ranks *r, size_t n)
{
    *r = (ranks){0};
    do {
        n = n / 64 + 1;
        if (!(r->levels[r->height++] = calloc(n, sizeof(uint64_t)))) return false;
    } while (n > 1 && r->height < LEVELS);
    return true;
}

static void ranks_free(ranks *r)
{
    for (int i = 0; i < LEVELS; i++) free(r->levels[i]);
}

static void ranks_add(ranks *r, size_t rank)
{
    for (int i = 0; i < r->height; i++, rank /= 64) r->levels[i][rank / 64] |= (uint64_t)1 << (rank % 64);
}

static bool ranks_has(const ranks *r, size_t rank)
{
    return r->levels[0][rank / 64] >> (rank % 64) & 1;
}

static void ranks_remove(ranks *r, size_t rank)
{
    for (int i = 0; i < r->height; i++, rank /= 64) {
        r->levels[i][rank / 64] &= ~((uint64_t)1 << (rank % 64));
        if (r->levels[i][rank / 64]) return;
    }
}

/* The greatest live rank below `rank`, or SIZE_MAX. */
static size_t ranks_before(const ranks *r, size_t rank)
{
    int i = 0;
    uint64_t below = 0;

    for (; i < r->height; i++, rank /= 64) {
        below = r->levels[i][rank / 64] & (((uint64_t)1 << (rank % 64)) - 1);
        if (below) break;
    }
    if (!below) return SIZE_MAX;
    rank = rank / 64 * 64 + (size_t)(63 - __builtin_clzll(below));
    while (i-- > 0) rank = rank * 64 + (size_t)(63 - __builtin_clzll(r->levels[i][rank]));
    return rank;
}

/* ---- replay ------------------------------------------------------------------------------------ */

typedef struct {
    pxl_reader *reader;
    int target;
    ranks live;
    uint32_t *rank_of;       /* put -> rank */
    uint32_t *latest;        /* rank -> its last put so far */
    size_t count;            /* ranks */
} replay;

/* Give each key a rank, in key order; false when there is no memory. */
static bool number_keys(replay *play, const keys *k)
{
    uint32_t *order = ordered(k);

    for (size_t i = 0; order && i < play->reader->log.puts_len; i++) {
        if (!(order[i] & SAME)) play->count++;
        play->rank_of[order[i] & ~SAME] = (uint32_t)play->count - 1;
    }
    bool done = order != NULL;
    free(order);
    return done;
}

/* The put at exactly `offset`, or SIZE_MAX. */
static size_t find_put(const pxl_log *log, uint64_t offset)
{
    size_t low = 0, high = log->puts_len;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (log->puts[middle] < offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low < log->puts_len && log->puts[low] == offset ? low : SIZE_MAX;
}

/* What the `n`th delete removes, or SIZE_MAX when there is no such thing. */
static size_t deleted_rank(const replay *play, size_t n)
{
    const pxl_log *log = &play->reader->log;
    uint64_t target = log->deletes[n].target;
    size_t put;

    if (play->target == PXL_TARGET_FOLLOWS && !target) return ranks_before(&play->live, play->count);
    put = find_put(log, target);
    if (put >= log->deletes[n].puts) return SIZE_MAX;
    if (play->target == PXL_TARGET_FOLLOWS) return ranks_before(&play->live, play->rank_of[put]);
    return ranks_has(&play->live, play->rank_of[put]) && play->latest[play->rank_of[put]] == put ? play->rank_of[put]
                                                                                                 : SIZE_MAX;
}

static int apply_delete(replay *play, size_t n, pxl_error *error)
{
    const pxl_delete *delete = &play->reader->log.deletes[n];
    size_t rank = deleted_rank(play, n);

    if (rank != SIZE_MAX) {
        ranks_remove(&play->live, rank);
        return PXL_OK;
    }
    pxl_fail(error, PXL_E_CORRUPT, "a delete that removes no record", delete->offset, 0, delete->target);
    return pxl_reader_lose(play->reader, PXL_E_CORRUPT, "a delete that removes no record", delete->offset, 0);
}

static int run(replay *play, pxl_error *error)
{
    const pxl_log *log = &play->reader->log;
    size_t n = 0;
    int result = PXL_OK;

    for (size_t put = 0; put <= log->puts_len; put++) {
        for (; n < log->deletes_len && log->deletes[n].puts == put && result == PXL_OK; n++)
            result = apply_delete(play, n, error);
        if (put == log->puts_len || result < 0) break;
        play->latest[play->rank_of[put]] = (uint32_t)put;
        ranks_add(&play->live, play->rank_of[put]);
    }
    return result;
}

/* Replace puts by the live ones, in rank order. */
static void keep_live(replay *play, uint64_t *live)
{
    pxl_log *log = &play->reader->log;
    size_t n = 0;

    for (size_t rank = 0; rank < play->count; rank++)
        if (ranks_has(&play->live, rank)) live[n++] = log->puts[play->latest[rank]];
    free(log->puts);
    log->puts = live;
    log->puts_len = log->puts_cap = n;
}

int pxl_log_resolve(pxl_reader *reader, pxl_key_at key_at, int target, pxl_error *error)
{
    pxl_log *log = &reader->log;
    size_t n = log->puts_len;
    keys k = {reader, key_at};
    replay play = {.reader = reader, .target = target};
    uint64_t *live = NULL;
    int result = PXL_E_MEMORY;

    if (log->sorted == n && !log->deletes_len) return PXL_OK;
    if ((play.rank_of = malloc((n + 1) * sizeof *play.rank_of)) && number_keys(&play, &k)) {
        play.latest = malloc((play.count + 1) * sizeof *play.latest);
        live = malloc((play.count + 1) * sizeof *live);
        if (play.latest && live && ranks_new(&play.live, play.count)) result = run(&play, error);
    }
    if (result == PXL_E_MEMORY) pxl_fail(error, result, "out of memory", 0, 0, 0);
    if (result == PXL_OK)
        keep_live(&play, live);
    else
        free(live);
    ranks_free(&play.live);
    free(play.rank_of);
    free(play.latest);
    return result;
}
