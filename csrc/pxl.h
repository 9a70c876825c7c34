/* pxl.h - the one public header of the C core.
 *
 * Pure functions over bytes: nothing here opens a file, logs, or knows Python.  Results are
 *     0            done
 *     > 0          not an error (PXL_END: nothing left; PXL_ABSENT: not there)
 *     < 0          an error, described in the caller's pxl_error
 * Slices are borrowed: they point into memory the caller passed in and live as long as it does.
 * Objects made by pxl_*_new or pxl_*_open belong to the caller, who ends them with the matching
 * _free or _close.  One object must not be used by two threads at once; different objects may.
 *
 * The part between the two cffi marks is read by ffi_build.py as the Python binding's
 * declarations, so the two cannot drift apart: plain C declarations only, no macros.
 */
#ifndef PXL_H
#define PXL_H

#include <stddef.h>
#include <stdint.h>

/* cffi: begin */
enum {
    PXL_OK = 0,
    PXL_END = 1,             /* nothing left */
    PXL_ABSENT = 2,          /* no such key */
    PXL_MORE = 3,            /* stopped at a limit; call again */
    PXL_E_FORMAT = -1,       /* not a format this reader knows */
    PXL_E_VERSION = -2,      /* the format, in a version or variant this reader refuses */
    PXL_E_CORRUPT = -3,      /* a checksum, length, order or link that cannot be */
    PXL_E_SHORT = -4,        /* the image ends before what its header promises */
    PXL_E_MEMORY = -5,       /* an allocation failed */
    PXL_E_ARGUMENT = -6,     /* the caller's mistake */
    PXL_E_BLOCK = -7,        /* a damaged row block (the index, not the source) */
    PXL_E_FETCH = -8         /* the caller's fetch function failed; its own error stands */
};

typedef struct {
    int code;                /* the negative result, 0 when no error */
    const char *message;     /* constant text, never freed */
    uint64_t offset;         /* where in the image */
    uint64_t expected, got;  /* the two numbers that disagree, 0 and 0 where none do */
} pxl_error;

typedef struct {
    const uint8_t *data;
    size_t len;
} pxl_slice;

/* ---- readers: a cyrusdb file image -> records (reader.c, twoskip.c, skiplist.c, flat.c, twom.c) */

enum {
    PXL_TWOSKIP = 1,
    PXL_SKIPLIST = 2,
    PXL_FLAT = 3,
    PXL_TWOM = 4,
    PXL_DUMP_JSON = 5,       /* `ctl_mboxlist -d` since 3.5 */
    PXL_DUMP_TEXT = 6        /* the same before */
};

enum {                       /* what the keys of a mailboxes.db are: generation.c */
    PXL_KEYS_UNKNOWN = 0,    /* the format allows both: pxl_inversion_counts knows, once records were read */
    PXL_KEYS_TYPED = 1,      /* a letter, then a key name, uniqueid or reverse ACL; 3.6 and later */
    PXL_KEYS_PLAIN = 2       /* internal names; before, and in dumps */
};

enum {
    PXL_SALVAGE = 1,         /* step over what is damaged and count it, instead of refusing */
    PXL_AS_STORED = 2,       /* the lines of a flat database in the order in which they stand */
    PXL_SNIFFED = 1 << 20    /* octets from which a format is recognised */
};

typedef struct {
    pxl_slice key, value;
    uint64_t offset;         /* of the record in the image */
} pxl_record;

typedef struct {
    int format;              /* PXL_TWOSKIP ... */
    uint32_t version, flags; /* as the file's header has them */
    uint64_t generation;     /* grows with each repack, 0 where the format has none */
    uint64_t records;        /* live records the header promises, 0 where it does not say */
    uint64_t end;            /* committed bytes: nothing at or after this offset is believed */
    uint64_t sound;          /* records that were read and are sound, dead ones included */
    uint64_t lost;           /* damaged places stepped over so far (PXL_SALVAGE only), and holes in a dump */
    uint64_t lost_bytes;     /* octets in those places */
    int keys;                /* PXL_KEYS_... */
} pxl_source;

typedef struct {             /* a damaged place that was stepped over */
    uint64_t offset, len;    /* len 0: the record at offset was read and is wrong in itself */
    const char *message;     /* constant text */
} pxl_loss;

enum { PXL_LOSSES_KEPT = 1000 };

typedef struct pxl_reader pxl_reader;

/* Recognise `image` by its content and read its header.  The image stays the caller's, must outlive
 * the reader, and may be rewritten in place by it (flat unescapes there).  Of its `len` octets only
 * the first PXL_SNIFFED (or all, if fewer) need to be there yet, the others may be zeros. */
int pxl_reader_open(pxl_reader **reader, uint8_t *image, uint64_t len, int options, pxl_error *error);
/* Check what has arrived: the first `have` octets of the image, which will not change any more.
 * PXL_MORE while the reader needs more of them; PXL_OK once every record is checked and in order (a
 * dump is read as its records are asked for).  Cost: each octet once, whatever the sizes of the steps. */
int pxl_reader_load(pxl_reader *reader, uint64_t have, pxl_error *error);
/* The next live record, keys strictly ascending in octet order (a dump, and with PXL_AS_STORED a flat
 * database: in its own order); PXL_END after the last.  Loads the whole image first if pxl_reader_load has not been called to its end. */
int pxl_reader_next(pxl_reader *reader, pxl_record *record, pxl_error *error);
/* What the header says; `end` is final once loaded, `lost` is current. */
const pxl_source *pxl_reader_source(const pxl_reader *reader);
/* How far the reader is, in octets of `end`, for progress. */
uint64_t pxl_reader_at(const pxl_reader *reader);
/* The damaged places stepped over so far, at most PXL_LOSSES_KEPT of them; how many are at `*losses`. */
size_t pxl_reader_losses(const pxl_reader *reader, const pxl_loss **losses);
void pxl_reader_close(pxl_reader *reader);
/* Read everything and throw it away; the number of records, for measuring a parse alone. */
int pxl_reader_drain(pxl_reader *reader, uint64_t *records, pxl_error *error);

/* ---- a file as a log: what was appended to it (tail.c) ------------------------------------------ */

typedef struct {
    pxl_source source;       /* of its fields: format, version, flags, generation, records, end (skiplist: 0) */
    uint64_t first;          /* offset of the first record */
    uint64_t log;            /* from here on records are as they were written, not as a repack ordered them */
    uint8_t identity[16];    /* what two files of one place may differ in: twom's uuid, skiplist's log start */
    int summed;              /* records have checksums */
} pxl_log_header;

enum {
    PXL_LOG_PUT = 1,
    PXL_LOG_DELETE = 2,
    PXL_LOG_COMMIT = 3
};

enum { PXL_LOG_HEADER = 128 };  /* octets that hold any format's header */

typedef struct {
    int kind;                /* PXL_LOG_PUT ... */
    pxl_slice key, value;    /* of a put */
    uint64_t offset;         /* of the record in the file */
    /* Of a delete: in twoskip the record after the deleted one (0: it was the last), in twom and
     * skiplist the deleted record.  Of a commit: where its transaction begins (skiplist: 0). */
    uint64_t link;
} pxl_logged;

typedef struct pxl_tail pxl_tail;

/* Read a header from the file's first octets; PXL_E_FORMAT for what is no log. */
int pxl_log_read_header(const uint8_t *octets, uint64_t len, pxl_log_header *header, pxl_error *error);
/* NULL without memory. */
pxl_tail *pxl_tail_new(const pxl_log_header *header);
void pxl_tail_free(pxl_tail *tail);
/* Read `len` octets that stand at offset `base` of the file; they must outlive the reading. */
int pxl_tail_start(pxl_tail *tail, const uint8_t *data, uint64_t base, uint64_t len);
/* The next record, its checksums checked; PXL_END where the octets end with a record. */
int pxl_tail_next(pxl_tail *tail, pxl_logged *record, pxl_error *error);
/* Offset in the file behind the last record that pxl_tail_next gave. */
uint64_t pxl_tail_at(const pxl_tail *tail);
/* A mark tells whether a file still has the history it had: a digest of what never changes in the
 * octets from pxl_log_mark_from on, at most PXL_LOG_MARK of them and not beyond the committed end.
 * `last` are the 24 octets before that end.  0 is as good as any other: damage is no error here. */
enum { PXL_LOG_MARK = 1048576 };
uint64_t pxl_log_mark_from(const pxl_log_header *header, const uint8_t *last);
uint64_t pxl_log_mark(const pxl_log_header *header, const uint8_t *octets, uint64_t base, uint64_t len);

/* CRC-32 as zlib computes it (reflected 0xEDB88320), of `len` octets. */
uint32_t pxl_crc32(const uint8_t *data, size_t len);
/* The same by the slow way that every processor has, for tests to compare. */
uint32_t pxl_crc32_portable(const uint8_t *data, size_t len);
/* XXH3-64 with seed 0 and the default secret. */
uint64_t pxl_xxh3(const uint8_t *data, size_t len);

/* ---- one mailboxes.db value (mbentry.c) -------------------------------------------------------- */

enum {                       /* mbtype: the class in the low four bits, then flags; Cyrus' own numbers */
    PXL_NETNEWS = 0x1,
    PXL_JMAPSUBMIT = 0x2,
    PXL_JMAPPUSHSUB = 0x3,
    PXL_SIEVE = 0x5,
    PXL_COLLECTION = 0x8,
    PXL_CALENDAR = 0x9,
    PXL_ADDRESSBOOK = 0xa,
    PXL_CLASS = 0xf,
    PXL_REMOTE = 0x10,
    PXL_RESERVED = 0x20,
    PXL_MOVING = 0x40,
    PXL_TOMBSTONE = 0x80,
    PXL_INTERMEDIATE = 0x100,
    PXL_LEGACY_DIRS = 0x200,
    PXL_MBTYPE_MASK = 0x3ff
};

enum {                       /* rights: bit n is letter n of "lrswipkxtean0123456789" */
    PXL_RIGHT_L = 0x1,
    PXL_RIGHT_R = 0x2,
    PXL_RIGHT_I = 0x10,
    PXL_RIGHT_K = 0x40,
    PXL_RIGHT_X = 0x80,
    PXL_RIGHT_T = 0x100,
    PXL_RIGHT_E = 0x200,
    PXL_RIGHT_A = 0x400
};

typedef struct {             /* slices point into the value; absent fields are empty or 0 */
    uint32_t mbtype;
    int acl_tabs;            /* the ACL is in the legacy id TAB rights TAB form */
    pxl_slice uniqueid, name, partition, server, acl;
    uint64_t uidvalidity, createdmodseq, foldermodseq, mtime;
} pxl_mbentry;

int pxl_mbentry_parse(pxl_slice value, pxl_mbentry *entry, pxl_error *error);
/* Take the next pair off `rest`, which starts as entry.acl; PXL_END when empty, PXL_E_CORRUPT. */
int pxl_acl_next(pxl_slice *rest, int tabs, pxl_slice *identifier, pxl_slice *rights);
uint32_t pxl_mbtype_parse(pxl_slice letters);
/* Stored rights text -> mask. Source: RFC 4314 2.1.1 as lib/acl.c cyrus_acl_strtomask applies it. */
uint32_t pxl_rights_parse(pxl_slice text);
/* Mask -> text in canonical order, c and d included; `out` holds at least 24 octets. */
size_t pxl_rights_print(uint32_t rights, uint8_t *out);

/* ---- row blocks (rows.c) ----------------------------------------------------------------------- */

enum {
    PXL_KEY_MAX = 2048,      /* octets of a row's key */
    PXL_NAME_MAX = 1000,     /* octets of a mailbox's key name; Cyrus itself stops at 490 */
    PXL_BLOCK_MORE = 1,      /* first octet of a block: another block of the same owner follows */
    PXL_EDIT_ROOM = 32       /* what the numbers of two rows may grow by */
};

typedef struct pxl_rows pxl_rows;

/* Walk a block.  `key` and `payload` are good until the next call. */
pxl_rows *pxl_rows_new(void);
void pxl_rows_free(pxl_rows *rows);
void pxl_rows_start(pxl_rows *rows, pxl_slice block);
int pxl_rows_next(pxl_rows *rows, pxl_slice *key, pxl_slice *payload);
/* The payload of one key: PXL_OK, PXL_ABSENT or PXL_E_BLOCK. Cost: linear in the block. */
int pxl_rows_find(const uint8_t *block, size_t block_len, const uint8_t *key, size_t key_len, pxl_slice *payload);
/* A block with one row set or, without payload, removed, into `out`.  Its length, whatever it is, or 0 where nothing
 * would change; PXL_E_BLOCK, or PXL_E_ARGUMENT where `cap` is less than the three lengths and PXL_EDIT_ROOM. */
int64_t pxl_rows_edit(const uint8_t *block, size_t block_len, const uint8_t *key, size_t key_len,
                      const uint8_t *payload, size_t payload_len, uint8_t *out, size_t cap);

typedef struct pxl_cutter pxl_cutter;

/* Write rows, in ascending key order, into blocks of about `target` octets whose keys are
 * owner + separator, where separator is the shortest string above the last row of the block
 * before and not above the first of this (empty for the first block).  A block is cut only where
 * that key fits into `keymax` octets. */
pxl_cutter *pxl_cutter_new(size_t target, size_t keymax);
void pxl_cutter_free(pxl_cutter *cutter);
/* `first` is the separator of the first block to come, `flags` the first octet of the last: with
 * PXL_BLOCK_MORE blocks follow it; the other flags are those of every block. */
int pxl_cutter_start(pxl_cutter *cutter, pxl_slice owner, pxl_slice first, int flags);
int pxl_cutter_add(pxl_cutter *cutter, pxl_slice key, pxl_slice payload);
/* Close the last block.  With no row added, nothing comes out. */
int pxl_cutter_finish(pxl_cutter *cutter);
/* Finished blocks since the last take, each u16 key length, u32 value length (little-endian), key,
 * value; good until the next take, so that more can be made while these are put somewhere. */
pxl_slice pxl_cutter_take(pxl_cutter *cutter);
/* Octets that the next take would give. */
size_t pxl_cutter_waiting(const pxl_cutter *cutter);
/* Rows of `block` with `changes` applied, added to the cutter.  changes: for each, ascending,
 * u16 key length, u32 payload length or 0xFFFFFFFF for removal, key, payload. */
int pxl_cutter_merge(pxl_cutter *cutter, pxl_slice block, pxl_slice changes);
/* What a stored block under `key`, which begins with owner_len octets of its owner, becomes with `changes`
 * applied, and with the rows of the one `following` it, if that is not empty: its flags kept, as taken, in blocks
 * of about `target` octets. */
int pxl_cutter_rewrite(pxl_cutter *cutter, size_t target, const uint8_t *key, size_t key_len, size_t owner_len, const uint8_t *block,
                       size_t block_len, const uint8_t *changes, size_t changes_len, const uint8_t *following,
                       size_t following_len, pxl_slice *done);

/* ---- inversion (invert.c) ---------------------------------------------------------------------- */

enum {                       /* tables an inversion writes */
    PXL_DIRECTORY = 0,
    PXL_POSTINGS = 1,
    PXL_UNIQUEIDS = 2,
    PXL_TABLES = 3
};

enum {                       /* the octet after an identifier in a postings key */
    PXL_LIST_LOOKUP = 0,     /* rows that grant or deny lookup, and the owner's intermediates */
    PXL_LIST_QUIET = 1       /* the other rows: they only complete the rights of a row seen elsewhere */
};

typedef struct {
    uint64_t entries, tombstones, intermediates, grants;
    uint64_t skipped_uniqueid, skipped_reverse_acl, skipped_other;   /* keys that are not names: I, A, the rest */
    uint64_t skipped_identifiers;  /* ACL entries that no userid can match: control octets, over PXL_IDENTIFIER_MAX */
    int keys;                /* PXL_KEYS_..., as found in the records */
} pxl_counts;

enum { PXL_IDENTIFIER_MAX = 255 };

typedef struct pxl_inversion pxl_inversion;

/* `target` is the size of a block in octets; `seed` a random number, for the hash table of identifiers. */
pxl_inversion *pxl_inversion_new(size_t target, uint64_t seed);
/* The hash of an identifier in that table. */
uint32_t pxl_identifier_hash(uint64_t seed, const uint8_t *text, size_t len);
void pxl_inversion_free(pxl_inversion *inversion);
/* Take up to `limit` records from `reader` (which must stay open until pxl_inversion_free: names
 * are borrowed from its image) and write their directory blocks.  PXL_MORE or PXL_END. */
int pxl_inversion_feed(pxl_inversion *inversion, pxl_reader *reader, uint64_t limit, pxl_error *error);
/* The same for one record that has no lasting memory: a key name and its mailboxes.db value. */
int pxl_inversion_add(pxl_inversion *inversion, pxl_slice name, pxl_slice value, pxl_error *error);
/* The directory row of one record, and nothing else done; good until the next call. */
int pxl_inversion_row(pxl_inversion *inversion, pxl_slice name, pxl_slice value, pxl_slice *row, pxl_error *error);
/* After the last record: write blocks of PXL_DIRECTORY (its last), PXL_POSTINGS or PXL_UNIQUEIDS,
 * about `limit` octets at a time.  PXL_MORE or PXL_END. */
int pxl_inversion_emit(pxl_inversion *inversion, int table, size_t limit, pxl_error *error);
/* Finished blocks of a table, as pxl_cutter_take gives them. */
pxl_slice pxl_inversion_take(pxl_inversion *inversion, int table);
const pxl_counts *pxl_inversion_counts(const pxl_inversion *inversion);

/* After feed or add: the digests of all stretches (compare.c), as pxl_cutter_take gives blocks; their keys are
 * the lowest names that may stand in them.  PXL_OK or PXL_E_MEMORY. */
int pxl_inversion_digests(pxl_inversion *inversion, pxl_slice *digests);

/* Instead of feed: hold the records whose names are below `upper` (empty: all) and digest them.  PXL_OK, PXL_ABSENT
 * where the reader's records cannot be held, PXL_MORE if there are too many; those held are compared next. */
int pxl_inversion_digest(pxl_inversion *inversion, pxl_reader *reader, const uint8_t *upper, size_t upper_len,
                         uint64_t *digest, pxl_error *error);
/* The records that were just digested are equal: go on behind them. */
void pxl_inversion_pass(pxl_inversion *inversion);
/* Take the records whose names are below `upper` (empty: all) from `reader` and compare them with the rows of
 * `block` from `lower` on and below `upper`, which are all there are of that range in an existing index's
 * directory.  Differences go to pxl_inversion_changes.  PXL_MORE, or PXL_END when the reader has no more. */
int pxl_inversion_compare(pxl_inversion *inversion, pxl_reader *reader, pxl_slice block, pxl_slice lower,
                          pxl_slice upper, pxl_error *error);
/* Differences since the last call: u16 key length, u32 length of the old payload, u32 of the new
 * (0xFFFFFFFF: none), key, old, new. */
pxl_slice pxl_inversion_changes(pxl_inversion *inversion);

/* The directory row of one mailbox is varint mbtype, then a msgpack array of uniqueid, partition,
 * server, uidvalidity, createdmodseq, foldermodseq, mtime and ACL [identifier, rights, ...].
 * Absent strings are nil.  In the ACL nil stands for the owner of the mailbox and for the rights
 * "lrswipkxtecdan". */

/* userid of the owner of a key name, in the form used by ACLs: localpart[@domain]; empty if none. */
size_t pxl_name_owner(pxl_slice name, uint8_t *out, size_t cap);

/* What pyxlist/index/_store.c calls: the rows of blocks above, and postings.h. */
typedef struct pxl_store_calls pxl_store_calls;
const pxl_store_calls *pxl_store_table(void);

/* ---- LIST (listing.c, and match.c, naming.c, cursor.c, answer.c behind it) ---------------------- */

typedef struct {             /* who asks, and in which namespace; slices stay the caller's */
    uint8_t separator;       /* '/' or '.' */
    uint8_t alt;             /* altnamespace (never for an admin) */
    uint8_t admin;
    uint8_t own;             /* has passes over INBOX and own mailboxes */
    uint8_t admin_domains;   /* virtdomains and admin: names end in @domain */
    uint8_t crossdomains, crossdomains_onlyother;
    uint8_t other_users, shared;         /* the namespace is enabled */
    uint8_t allow_deleted;
    uint8_t special_use_always;
    pxl_slice local, domain;             /* of the userid; domain empty for the default one */
    pxl_slice filter_domain;             /* what follows the @ of the userid as typed */
    pxl_slice default_domain;
    pxl_slice owner;                     /* key name of the own INBOX */
    pxl_slice user_prefix, shared_prefix, alt_prefix, deleted_prefix;  /* without separator */
    const pxl_slice *hidden;             /* first components that only vendor.cmu-dav shows */
    uint32_t hidden_count;
    uint32_t hidden_recursive;           /* how many of them RECURSIVEMATCH hides too: the first ones */
    uint32_t owner_rights, admin_rights; /* implicit */
    uint32_t with_a;                     /* what a granted "a" brings (acl_admin_implies_write) */
    /* Departures from Cyrus: see pyxlist/policy.py. */
    uint8_t existing_ancestors, myrights_of_mailboxes, lsub_keeps_missing;
    const uint8_t *ranks;                /* most specific: the class of each list's identifier, by number; or NULL */
    uint8_t owner_rank;                  /* of the list that counts on own mailboxes alone */
} pxl_view;

/* Let a view be of the user whose local, domain, filter_domain and owner stand in `text` one after the other. */
void pxl_view_name(pxl_view *view, const uint8_t *text, size_t local, size_t domain, size_t filter, size_t owner);

enum {                       /* the form of a LIST command decides how flags are spelt */
    PXL_FORM_LIST = 0,
    PXL_FORM_XLIST = 1,
    PXL_FORM_LSUB = 2,
    PXL_FORM_EXTENDED = 3
};

enum {                       /* selection and return options */
    PXL_SELECT_SUBSCRIBED = 0x1,
    PXL_SELECT_RECURSIVEMATCH = 0x2,
    PXL_SELECT_SPECIAL_USE = 0x4,
    PXL_SELECT_DAV = 0x8,
    PXL_SELECT_DELETED = 0x10,
    PXL_SELECT_NONEXISTENT = 0x20,
    PXL_RETURN_CHILDREN = 0x100,
    PXL_RETURN_SUBSCRIBED = 0x200,
    PXL_RETURN_SPECIAL_USE = 0x400,
    PXL_RETURN_MYRIGHTS = 0x800,
    PXL_RETURN_STATUS = 0x1000,
    PXL_RETURN_METADATA = 0x2000
};

typedef struct pxl_query pxl_query;

/* One LIST command, compiled; shared by any number of listings once its patterns are added. */
pxl_query *pxl_query_new(int form, uint32_t options, uint8_t separator);
void pxl_query_free(pxl_query *query);
/* A pattern with the reference already joined to its front. */
int pxl_query_add(pxl_query *query, const uint8_t *pattern, size_t len);

enum {                       /* what a list of row blocks is to a listing */
    PXL_ROLE_LOOKUP = 0,     /* an identifier's postings, list 0 */
    PXL_ROLE_QUIET = 1,      /* the same, list 1 */
    PXL_ROLE_DIRECTORY = 2,
    PXL_ROLE_SUBSCRIPTIONS = 3,
    PXL_ROLE_SPECIAL_USE = 4
};

enum {
    PXL_PROBE = 1 << 30,     /* added to a list's number, which is lower, where it is read out of order */
    PXL_FLAT_ORDER = 2       /* flag of a subscriptions block: kept in the order of a flat file */
};

enum {                       /* attributes of a row */
    PXL_NOINFERIORS = 0x1,
    PXL_NOSELECT = 0x2,
    PXL_NONEXISTENT = 0x4,
    PXL_SUBSCRIBED = 0x8,
    PXL_HASCHILDREN = 0x10,
    PXL_HASNOCHILDREN = 0x20,
    PXL_CHILDINFO = 0x40
};

enum {                       /* what a listing writes */
    PXL_OUTPUT_IMAP = 0,     /* complete untagged lines */
    PXL_OUTPUT_ITEMS = 1     /* name NUL special-use NUL; numbers: attributes, rights, name and use length */
};

#define PXL_UNTOLD 0xFFFFFFFF

typedef struct {             /* mailboxes of one answer, in its order */
    pxl_slice keys;          /* their key names, a NUL between them */
    const uint32_t *sizes;   /* octets of each, for names that hold one */
    size_t count;
} pxl_asked;

/* What a listing asks its caller for.  Each returns PXL_OK, PXL_ABSENT, or PXL_E_FETCH when it
 * failed; slices it hands out stay good until its next call for the same number (or thing to tell). */
typedef struct {
    /* The block of list `number` that would hold `key`, or with `after` the one that follows the block
     * it gave last (the list's first, if none). */
    int (*fetch)(void *blocks, uint32_t number, const uint8_t *key, size_t keylen, int after, pxl_slice *block);
    /* What the caller alone knows of mailboxes.  PXL_RETURN_STATUS: the items of their STATUS lines, "(MESSAGES 0)";
     * PXL_UNTOLD makes a row \Noselect.  PXL_RETURN_METADATA: complete lines.  The answers go one after the other
     * to `octets`, the octets of each as u32 of this machine to `sizes`; PXL_ABSENT: all untold. */
    int (*tell)(void *handle, int what, const pxl_asked *asked, pxl_slice *octets, pxl_slice *sizes);
} pxl_callbacks;

typedef struct pxl_listing pxl_listing;

typedef struct {             /* one of the lists that an answer may read */
    int role;
    uint32_t number;         /* by which fetch is asked for more of it */
} pxl_list;

typedef struct {             /* who asks, and what of theirs a query reads */
    const pxl_view *view;
    const pxl_list *lists;
    uint32_t count;
} pxl_plan;

/* Point a callback's answer at octets; from Python this costs a third of two assignments. */
void pxl_slice_point(pxl_slice *slice, const uint8_t *data, size_t len);

/* `blocks` is what fetch is handed, `handle` what the others are.  All must outlive the listing. */
pxl_listing *pxl_listing_new(const pxl_callbacks *callbacks, void *blocks, void *handle, pxl_error *error);
void pxl_listing_free(pxl_listing *listing);
/* Begin an answer from the lists of a plan.  `blocks` holds the first block of each; none is an empty
 * list, but the directory is always asked for.  Plan, view, query and blocks must outlive the answer. */
int pxl_listing_start(pxl_listing *listing, const pxl_plan *plan, const pxl_query *query, int output,
                      const pxl_slice *blocks);
/* Write rows until about `limit` octets are there: PXL_MORE, PXL_END, or an error.  After
 * PXL_MORE the same call goes on; the blocks may meanwhile be those of a later snapshot if
 * pxl_listing_rewind was called. */
int pxl_listing_run(pxl_listing *listing, size_t limit);
/* What the last run has finished of the answer, and with PXL_OUTPUT_ITEMS four u32 for each row.  A line that may still
 * change comes with the next piece. */
pxl_slice pxl_listing_output(const pxl_listing *listing);
pxl_slice pxl_listing_numbers(const pxl_listing *listing);
/* Forget every block: the next run asks fetch for each again. */
void pxl_listing_rewind(pxl_listing *listing);
/* Give back the memory of a long answer, which must have been read. */
void pxl_listing_spare(pxl_listing *listing);

/* What lets another module run listings: pyxlist/index/_blocks.c. */
typedef struct {
    int (*start)(pxl_listing *, const pxl_plan *, const pxl_query *, int output, const pxl_slice *blocks);
    int (*run)(pxl_listing *, size_t limit);
    void (*rewind)(pxl_listing *);
    pxl_slice (*output)(const pxl_listing *);
    void (*spare)(pxl_listing *);
} pxl_listing_calls;

const pxl_listing_calls *pxl_listing_table(void);

/* cffi: end */

/* ---- inside the core only --------------------------------------------------------------------- */

/* Fill `error` (which may be NULL) and return `code`. */
int pxl_fail(pxl_error *error, int code, const char *message, uint64_t offset, uint64_t expected, uint64_t got);

#endif
