/* log.h - the records of a log-structured database, in file order, and what is left of them.
 *
 * twoskip, skiplist and twom files are logs between two repacks: puts and deletes one after another,
 * each final once its transaction is committed.  Only links change afterwards, and nobody here
 * follows them.  A reader therefore scans once from the front, notes each put and delete, and asks
 * at the end which puts are live.
 */
#ifndef PXL_LOG_H
#define PXL_LOG_H

#include "bytes.h"
#include "pxl.h"

typedef struct {
    uint64_t offset;         /* of the delete record itself */
    uint64_t target;         /* the record it removes, or the one after that: see pxl_log_resolve */
    size_t puts;             /* how many puts came before it */
} pxl_delete;

typedef struct {
    uint64_t *puts;          /* offsets, ascending; after pxl_log_resolve the live ones in key order */
    size_t puts_len, puts_cap;
    pxl_delete *deletes;
    size_t deletes_len, deletes_cap;
    size_t sorted;           /* so many puts from the front have strictly ascending keys */
    size_t committed_puts, committed_deletes;
    pxl_slice last;          /* key of puts[sorted - 1] */
} pxl_log;

enum {
    PXL_TARGET_IS_DELETED = 0,   /* a delete names the record that goes (skiplist, twom) */
    PXL_TARGET_FOLLOWS = 1       /* a delete names the record behind it, 0 at the end (twoskip) */
};

/* The key of the put at `offset`, which the scan has checked. */
typedef pxl_slice (*pxl_key_at)(const pxl_reader *reader, uint64_t offset);

void pxl_log_free(pxl_log *log);
/* Note a record; PXL_OK or PXL_E_MEMORY. */
int pxl_log_put(pxl_log *log, uint64_t offset, pxl_slice key);
int pxl_log_delete(pxl_log *log, uint64_t offset, uint64_t target);
/* All that was noted so far belongs to whole transactions. */
static inline void pxl_log_commit(pxl_log *log)
{
    log->committed_puts = log->puts_len;
    log->committed_deletes = log->deletes_len;
}
/* Forget what was noted since. */
void pxl_log_rollback(pxl_log *log);
/* Leave in puts the live records in key order.  A delete that removes nothing is an error, or with
 * PXL_SALVAGE a loss.  Cost: O(n) where the log begins with a long sorted run, as a repacked file
 * does, plus O(m log n) for the m records behind it; memory about 24 octets a put. */
int pxl_log_resolve(pxl_reader *reader, pxl_key_at key_at, int target, pxl_error *error);
/* The next live put of a resolved log, whose octets are asked for well before they are read; false at the end. */
static inline bool pxl_log_next(const pxl_log *log, const uint8_t *image, size_t *next, uint64_t *offset)
{
    enum { AHEAD = 32, LINE = 64 };

    if (*next >= log->puts_len) return false;
    if (log->puts_len - *next > AHEAD) {
        const uint8_t *soon = image + log->puts[*next + AHEAD];
        __builtin_prefetch(soon);
        __builtin_prefetch(soon + LINE);
        __builtin_prefetch(soon + 2 * LINE);
    }
    *offset = log->puts[(*next)++];
    return true;
}

#endif
