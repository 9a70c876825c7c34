/* generation.c - records with keys of any generation -> mailboxes in key-name order.
 *
 * Typed keys, Cyrus 3.6 and later: one letter, then what it says
 *     N key name         N user 0x1F bob 0x1F Sent      N example.com 0x1D user 0x1F bob
 *     I uniqueid         the same entry once more, with its name in field N and the history in H
 *     A reverse ACL      A U 0x1E identifier 0x1E key name
 *     J ...              (3.9) and whatever letters are still to come
 * Plain keys, up to 3.4, and both dumps: the internal name itself
 *     user.bob.Sent      example.com!user.bob      user.carol^ann (a dot in a component)
 *     $RACL$...  $RUNQ$...   reverse ACLs and their bookkeeping, 3.0 to 3.4
 *
 * Nothing in a file says which it is, so the first record that can only be one of the two decides; the
 * few before it are held back.  Typed keys are given as they come.  Plain names sort differently
 * ("a-b" before "a.b", but 0x1F before both), so they are read to the end, turned into key names where
 * they stand - a name has the same length in both spellings - and sorted: 24 octets a mailbox, and
 * no copies.
 *
 * Source: imap/mboxlist.c, _check_rec_cb and _foreach_cb (mboxlist_upgrade), mboxname_to_dbname.
 */
#include <stdlib.h>

#include "bytes.h"
#include "entry.h"
#include "generation.h"
#include "reader.h"

#define RECORD_SEPARATOR 0x1e
#define CARET '^'

static bool starts_with(pxl_slice key, const char *prefix)
{
    return pxl_starts(key.data, key.len, (const uint8_t *)prefix, strlen(prefix));
}

static bool is_bookkeeping(pxl_slice key)
{
    return starts_with(key, "$RACL") || starts_with(key, "$RUNQ");
}

static bool has_separator(pxl_slice key)
{
    for (size_t i = 1; i < key.len; i++)
        if (key.data[i] == PXL_SEPARATOR || key.data[i] == PXL_DOMAIN_SEPARATOR || key.data[i] == RECORD_SEPARATOR)
            return true;
    return false;
}

/* What one record proves.  A name may itself begin with N, I, A or J, so those letters alone do not;
 * but no mailbox of a plain source has its own name in its value, and every uniqueid record does. */
static int judge(const pxl_record *record)
{
    uint8_t first = record->key.len ? *record->key.data : 0;
    pxl_mbentry entry;
    pxl_error ignored;

    if (is_bookkeeping(record->key)) return PXL_KEYS_PLAIN;
    if (first < 0x20) return PXL_KEYS_UNKNOWN;
    if (has_separator(record->key)) return PXL_KEYS_TYPED;
    if (first < 'A' || first > 'Z') return PXL_KEYS_PLAIN;
    if (first == 'N' || pxl_mbentry_parse(record->value, &entry, &ignored) < 0) return PXL_KEYS_UNKNOWN;
    if (entry.name.len) return PXL_KEYS_TYPED;
    return first == 'I' || entry.partition.len ? PXL_KEYS_PLAIN : PXL_KEYS_UNKNOWN;
}

/* A source that proved nothing: it is typed if all its keys could be. */
static int judge_held(const pxl_generation *generation)
{
    for (size_t i = 0; i < generation->held_len; i++)
        if (!generation->held[i].key_len || !memchr("NIAJ", *generation->held[i].key, 4)) return PXL_KEYS_PLAIN;
    return PXL_KEYS_TYPED;
}

/* Keep a record for later; with PXL_SALVAGE one too long for any mailbox is a loss. */
static int hold(pxl_generation *generation, pxl_reader *reader, const pxl_record *record, pxl_error *error)
{
    pxl_held *grown = generation->held;

    if (record->key.len > UINT16_MAX || record->value.len > UINT32_MAX) {
        pxl_fail(error, PXL_E_CORRUPT, "length of a mailbox name", record->offset, PXL_NAME_MAX, record->key.len);
        return pxl_reader_lose(reader, PXL_E_CORRUPT, "a mailbox that cannot be understood", record->offset, 0);
    }
    if (generation->held_len == generation->held_cap) {
        size_t more = generation->held_cap ? generation->held_cap + generation->held_cap / 2 : 256;
        if (more > SIZE_MAX / sizeof *grown || !(grown = realloc(grown, more * sizeof *grown)))
            return pxl_fail(error, PXL_E_MEMORY, "out of memory", record->offset, 0, 0);
        generation->held = grown;
        generation->held_cap = more;
    }
    grown[generation->held_len++] = (pxl_held){record->key.data, record->value.data, (uint32_t)record->value.len,
                                               (uint16_t)record->key.len};
    return PXL_OK;
}

/* Internal name -> key name, in place: the key lies in the image or in memory of the reader, and both may
 * be rewritten.  The first '!' ends a domain. */
static void translate(const pxl_held *held)
{
    uint8_t *name = (uint8_t *)(uintptr_t)held->key, *path = name, *end = name + held->key_len;
    uint8_t *bang = held->key_len ? memchr(name, '!', held->key_len) : NULL;

    if (bang) {
        *bang = PXL_DOMAIN_SEPARATOR;
        path = bang + 1;
    }
    for (; path < end; path++) {
        if (*path == '.')
            *path = PXL_SEPARATOR;
        else if (*path == CARET)
            *path = '.';
    }
}

static int compare_held(const void *a, const void *b)
{
    const pxl_held *x = a, *y = b;

    return pxl_compare(x->key, x->key_len, y->key, y->key_len);
}

/* Most sources are in order already: Cyrus, too, puts the dot before everything else. */
static void sort_whole(pxl_generation *generation)
{
    pxl_held *held = generation->held;
    bool ordered = true;

    for (size_t i = 0; i < generation->held_len; i++) {
        translate(&held[i]);
        ordered = ordered && (!i || compare_held(&held[i - 1], &held[i]) <= 0);
    }
    if (!ordered) qsort(held, generation->held_len, sizeof *held, compare_held);
    generation->whole = true;
}

static uint64_t offset_of(const pxl_reader *reader, const pxl_held *held)
{
    bool inside = held->key >= reader->image && held->key < reader->image + reader->len;

    return inside ? (uint64_t)(held->key - reader->image) : 0;
}

static pxl_record give(pxl_generation *generation, const pxl_reader *reader)
{
    const pxl_held *held = &generation->held[generation->given++];

    return (pxl_record){{held->key, held->key_len}, {held->value, held->value_len}, offset_of(reader, held)};
}

/* Read until the source has proved what its keys are. */
static int decide(pxl_generation *generation, pxl_reader *reader, pxl_error *error)
{
    pxl_record record;
    int result;

    generation->keys = pxl_reader_source(reader)->keys;
    while (generation->keys == PXL_KEYS_UNKNOWN) {
        result = pxl_reader_next(reader, &record, error);
        if (result < 0) return result;
        if (result == PXL_END) {
            generation->keys = judge_held(generation);
            break;
        }
        generation->keys = judge(&record);
        if ((result = hold(generation, reader, &record, error)) < 0) return result;
    }
    return PXL_OK;
}

/* Keep only the mailboxes among what is held, and count the rest. */
static void drop_bookkeeping(pxl_generation *generation, pxl_counts *counts)
{
    size_t kept = 0;

    for (size_t i = 0; i < generation->held_len; i++) {
        pxl_slice key = {generation->held[i].key, generation->held[i].key_len};
        if (!is_bookkeeping(key))
            generation->held[kept++] = generation->held[i];
        else if (starts_with(key, "$RACL"))
            counts->skipped_reverse_acl++;
        else
            counts->skipped_other++;
    }
    generation->held_len = kept;
}

static int next_plain(pxl_generation *generation, pxl_reader *reader, uint64_t limit, pxl_record *record,
                      pxl_counts *counts, pxl_error *error)
{
    int result;

    while (!generation->whole) {
        if (!limit--) return PXL_MORE;
        result = pxl_reader_next(reader, record, error);
        if (result == PXL_OK) result = hold(generation, reader, record, error);
        if (result < 0) return result;
        if (result == PXL_END) {
            drop_bookkeeping(generation, counts);
            sort_whole(generation);
        }
    }
    while (generation->given < generation->held_len) {
        const pxl_held *held = &generation->held[generation->given];
        bool again = generation->given && !compare_held(held - 1, held);
        *record = give(generation, reader);
        if (!again) return PXL_OK;
        pxl_fail(error, PXL_E_CORRUPT, "a mailbox is there twice", record->offset, 0, 0);
        result = pxl_reader_lose(reader, PXL_E_CORRUPT, "a mailbox is there twice", record->offset, 0);
        if (result < 0) return result;
    }
    free(generation->held);
    generation->held = NULL;
    generation->held_len = generation->held_cap = generation->given = 0;
    return PXL_END;
}

/* Uniqueid records repeat what name records say (but for the history of names, which no answer needs);
 * reverse ACLs are what we build. */
static bool is_name(const pxl_record *record, pxl_counts *counts)
{
    switch (record->key.len ? *record->key.data : 0) {
    case 'N':
        return true;
    case 'I':
        counts->skipped_uniqueid++;
        return false;
    case 'A':
        counts->skipped_reverse_acl++;
        return false;
    default:
        counts->skipped_other++;
        return false;
    }
}

static int next_typed(pxl_generation *generation, pxl_reader *reader, pxl_record *record, pxl_counts *counts,
                      pxl_error *error)
{
    int result;

    do {
        if (generation->given < generation->held_len)
            *record = give(generation, reader);
        else if ((result = pxl_reader_next(reader, record, error)) != PXL_OK)
            return result;
    } while (!is_name(record, counts));
    record->key.data++;
    record->key.len--;
    return PXL_OK;
}

int pxl_generation_next(pxl_generation *generation, pxl_reader *reader, uint64_t limit, pxl_record *record,
                        pxl_counts *counts, pxl_error *error)
{
    int result = generation->keys == PXL_KEYS_UNKNOWN ? decide(generation, reader, error) : PXL_OK;

    if (result < 0) return result;
    counts->keys = generation->keys;
    if (generation->keys == PXL_KEYS_PLAIN) return next_plain(generation, reader, limit, record, counts, error);
    return next_typed(generation, reader, record, counts, error);
}

void pxl_generation_free(pxl_generation *generation)
{
    free(generation->held);
    *generation = (pxl_generation){0};
}
