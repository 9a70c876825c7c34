/* invert.h - inside the core: an inversion's state, shared by making an index and comparing with one. */
#ifndef PXL_INVERT_H
#define PXL_INVERT_H

#include "arena.h"
#include "generation.h"
#include "pxl.h"
#include "radix.h"
#include "rows.h"

typedef struct {
    const uint8_t *name;
    uint32_t identifier;     /* number in `identifiers` */
    uint32_t granted, denied;
    uint16_t name_len;
    uint16_t mbtype;
} pxl_grant;

typedef struct {
    uint64_t prefix;         /* the first eight octets of the uniqueid, big-endian, to sort by */
    const uint8_t *id, *name;
    uint16_t id_len, name_len;
} pxl_unique;

typedef struct {
    pxl_slice text;
    uint32_t hash;
    uint32_t grants;         /* how many grants name it */
} pxl_identifier;

typedef struct {             /* records [at, len) */
    pxl_record *records;
    size_t at, len, cap;
} pxl_queue;

struct pxl_inversion {
    pxl_cutter *cutters[PXL_TABLES];
    pxl_bytes row;           /* scratch: the directory row being made */
    pxl_bytes changes;
    bool changes_taken;

    pxl_grant *grants;
    size_t grants_len, grants_cap;
    pxl_unique *uniques;
    size_t uniques_len, uniques_cap;

    pxl_identifier *identifiers;
    size_t identifiers_len, identifiers_cap;
    uint32_t *slots;         /* hash table: number + 1, 0 for empty; a power of two long */
    size_t slots_len;
    uint64_t seed;           /* nobody can make identifiers that meet in the table without knowing it */
    uint32_t *by_text;       /* identifier numbers sorted by their octets */
    uint32_t *by_identifier; /* grant numbers in identifier, then name order */
    pxl_ranked *by_uniqueid; /* uniques by uniqueid, then name */

    size_t identifier_at, grant_at, unique_at;  /* how far emit has come */
    pxl_arena kept;          /* names and identifiers that stand nowhere else */
    pxl_generation generation;
    pxl_counts counts;

    /* compare.c */
    bool pending, ended;     /* `record` was taken and not used; the reader has no more */
    pxl_record record;
    pxl_queue queue;         /* records read that nobody has taken yet */
    size_t digested;         /* of them, how many the last digest was of */
    pxl_bytes digests;       /* of finished stretches */
    uint64_t stretch;        /* digest of the stretch being read, of so many rows, and where it begins */
    size_t stretch_rows, stretch_from_len;
    uint8_t stretch_from[PXL_KEY_MAX];
};

int pxl_no_memory(pxl_error *error);
/* Parse one mailbox's value and pack its directory row into inversion->row. */
int pxl_understand(pxl_inversion *inversion, pxl_slice name, pxl_slice value, uint64_t offset, pxl_mbentry *entry,
                   pxl_error *error);
/* The next mailbox and its entry, its directory row in inversion->row; with PXL_SALVAGE those that cannot
 * be understood are losses.  PXL_MORE as pxl_generation_next. */
int pxl_entry_next(pxl_inversion *inversion, pxl_reader *reader, uint64_t limit, pxl_record *record,
                   pxl_mbentry *entry, pxl_error *error);
/* Add a mailbox, just added to the directory, to the digest of its stretch. */
int pxl_stretch_add(pxl_inversion *inversion, pxl_slice name, pxl_slice value);

#endif
