/* listing.h - inside the core: the parts of a LIST answer.
 *
 *     match.c      patterns against external names
 *     naming.c     key names -> external names of one view
 *     cursor.c     lists of row blocks, walked and probed
 *     passes.c     which mailboxes are candidates, in which order
 *     fold.c       what a pattern matched of a candidate's name: events, folded into rows
 *     ancestors.c  rows of ancestors that do not exist, for clients that ask for them
 *     recursive.c  RECURSIVEMATCH: the events of all passes, sorted
 *     subscribed.c RETURN (SUBSCRIBED): is a row's mailbox subscribed to
 *     kept.c       rows kept until all are known
 *     answer.c     one row -> its flags -> octets
 *     asked.c      rows that wait for STATUS and METADATA, which the caller knows
 *     listing.c    the public calls
 */
#ifndef PXL_LISTING_H
#define PXL_LISTING_H

#include <stdbool.h>

#include "pxl.h"
#include "rows.h"

/* ---- match.c */

#define PXL_PATTERN_MAX 4095u

typedef struct {
    uint64_t *literals;      /* for each octet, `words` words: tokens that are this octet */
    uint64_t *any, *level;   /* tokens that are '*', and '%' */
    size_t words, tokens;
} pxl_pattern;

struct pxl_query {
    int form;
    uint32_t options;
    uint8_t separator;
    bool ancestors;          /* one pattern, literal octets and then exactly "*%" */
    bool everything;         /* one pattern, "*" */
    size_t count;
    pxl_pattern *patterns;
    pxl_bytes common;        /* literal octets that all patterns begin with */
};

int pxl_pattern_compile(pxl_pattern *pattern, const uint8_t *text, size_t len);
void pxl_pattern_free(pxl_pattern *pattern);
/* Length of the longest leading run of whole components that matches completely, 0 for none.
 * `dead`: octets after which nothing longer can match, 0 if something still might. */
size_t pxl_pattern_match(const pxl_pattern *pattern, const uint8_t *name, size_t len, uint8_t separator, size_t *dead);
/* The longest over all patterns; `dead` is where the last of them died. */
size_t pxl_patterns_match(const pxl_query *query, const uint8_t *name, size_t len, size_t *dead);
/* The same; nearly every query asks for everything. */
static inline size_t pxl_query_match(const pxl_query *query, const uint8_t *name, size_t len, size_t *dead)
{
    *dead = 0;
    return query->everything ? len : pxl_patterns_match(query, name, len, dead);
}

/* ---- naming.c */

typedef enum {
    CATEGORY_INBOX,
    CATEGORY_INBOX_SUB,      /* alt: user.x.INBOX.*, shown as INBOX/... */
    CATEGORY_OWNER,
    CATEGORY_ALT_INBOX,      /* alt: user.x.INBOX, shown as Alt Folders/INBOX */
    CATEGORY_ALT_PREFIX,     /* alt: own names that collide with a prefix */
    CATEGORY_OTHER_USER,
    CATEGORY_SHARED,
    CATEGORY_OWNER_DELETED,
    CATEGORY_OTHER_DELETED
} pxl_category;

/* A key name taken apart; offsets into it. */
typedef struct {
    const uint8_t *key;
    size_t len;
    size_t domain_len;       /* 0: no domain */
    size_t local_at, local_len;  /* localpart; length 0: nobody's */
    size_t boxes_at, boxes_end;  /* the components below it (or all of a shared name's) */
    uint64_t stamp;          /* of a deleted mailbox: its last component, else 0 */
    bool stepped;            /* the first and last component are no part of the boxes */
    pxl_category category;
    bool plain;              /* whichever way key and external name are read, they mean each other */
    size_t settled;          /* keys that share so many octets are named likewise: see pxl_name_follow; or SIZE_MAX */
} pxl_name;

#define PXL_EXTNAME_MAX (2 * PXL_NAME_MAX + 600)

/* A name as one view types it, and how its end maps back to the key. */
typedef struct {
    uint8_t text[PXL_EXTNAME_MAX + PXL_SLACK];
    size_t len;
    size_t boxes;            /* offset of the first component below the owner; len if none */
    size_t tail, tail_key;   /* text[tail + n] is key[tail_key + n] for tail + n < tail_end; */
    size_t tail_end;         /* tail is SIZE_MAX where nothing maps */
} pxl_extname;

/* A stamp as C's strtoul reads it, which is how Cyrus does: white space, a sign, 0x, digits, and
 * whatever follows is not looked at. */
uint64_t pxl_name_stamp(const uint8_t *text, size_t len);
void pxl_name_parse(const pxl_view *view, const uint8_t *key, size_t len, pxl_name *name);
bool pxl_name_owned(const pxl_view *view, const pxl_name *name);
/* crossdomains: does "@domain" hang on the first component that tells users or shared trees apart? */
bool pxl_name_shows_domain(const pxl_view *view, const pxl_name *name);
/* False when the view has no name for it. */
bool pxl_name_external(const pxl_view *view, const pxl_name *name, pxl_extname *out);
/* Find out what the names of the keys to come may take over from these two. */
void pxl_name_settle(const pxl_view *view, pxl_name *name, const pxl_extname *external);
/* Turn both into those of another key, which shares its first `shared` octets with the one they are of.
 * False when they have to be made anew; they are worth nothing then.  PXL_SLACK octets are read behind
 * the key. */
bool pxl_name_follow(const pxl_view *view, pxl_name *name, pxl_extname *external, const uint8_t *key, size_t len,
                     size_t shared);
/* Is `component`, the first below the owner, one of the first `count` hidden ones? */
bool pxl_name_hidden(const pxl_view *view, const uint8_t *component, size_t len, uint32_t count);
/* Read `text` as an internal name (dots, ^ for a literal dot, domain!) -> key name; its length, or
 * 0 when it does not fit. */
size_t pxl_name_from_internal(const uint8_t *text, size_t len, uint8_t *key, size_t cap);

/* The key name that Cyrus arrives at when it goes through the text form of one, as it does for most
 * things it looks up: another one where `key` holds '^', '!' without a domain, or an odd stamp.
 * `out` holds PXL_NAME_MAX octets; the result is in it, or `key` itself, or empty for no such name. */
pxl_slice pxl_name_read_back(const pxl_view *view, const uint8_t *key, size_t len, uint8_t *out);
/* Is a mailbox the view's own, as Cyrus reads its name? */
bool pxl_name_own_as_read(const pxl_view *view, const uint8_t *key, size_t len);

/* ---- cursor.c */

typedef struct {
    int role;
    uint32_t number;
    pxl_slice first;         /* the list's first block as the caller gave it; data NULL: not given */
    bool at_first;           /* the block being walked is that one */
    bool on_row;
    pxl_row row;
    uint32_t mbtype, granted, denied;   /* of a postings row; mbtype of a directory row */
    uint8_t floor[PXL_NAME_MAX + 8];    /* no row lies between this and the current one ... */
    size_t floor_len;                   /* ... while floor_known */
    bool floor_known;
    size_t block_len;        /* of the block being walked */
    bool far;                /* the last leap ended in another block: the next will not look in this one */
    bool dots;               /* 0x01 in keys stands for a dot: see PXL_FLAT_ORDER */
} pxl_cursor;

typedef struct {
    pxl_cursor **cursors;    /* a binary heap by key of those that are on a row */
    size_t on_rows, count, cap;
} pxl_merge;

/* ---- listing.c */

/* What is known of a mailbox that a row is about. */
typedef struct {
    const uint8_t *key;
    size_t key_len;
    uint32_t mbtype, granted, denied;
    bool rights_known;       /* granted and denied are those of the lookup lists */
} pxl_subject;

typedef struct {
    bool set;
    pxl_bytes name;          /* external */
    uint32_t attributes;
    uint32_t children;       /* PXL_HASCHILDREN or PXL_HASNOCHILDREN, as the directory has it; 0: not asked */
    bool has_subject;
    bool plain;              /* see pxl_name */
    pxl_subject subject;     /* its key is `key` */
    pxl_bytes key;           /* the mailbox's, or what it would be where none exists */
} pxl_answer_row;

/* A row kept for later. */
typedef struct {
    pxl_answer_row row;      /* of name and key only the lengths, until all are sorted */
    size_t at;               /* in kept_text: the name, then the key; it rises from row to row */
} pxl_kept;

/* A row that waits for what the caller knows of it; its attributes are decided. */
typedef struct {
    pxl_answer_row row;      /* of its octets, and of the use, only the lengths, until it is written */
    pxl_slice use, status, metadata;
} pxl_waiting_row;

#define PXL_WAITING_MOST 256u

typedef struct {
    size_t count;
    pxl_bytes text;          /* of each row: name, key, key of the subject, use */
    pxl_bytes keys;          /* what the caller is asked about */
    uint32_t sizes[PXL_WAITING_MOST];
    pxl_waiting_row rows[PXL_WAITING_MOST];
} pxl_waiting;

struct pxl_listing {
    const pxl_view *view;
    const pxl_query *query;
    int output;
    const pxl_callbacks *callbacks;
    void *blocks, *handle;   /* the callbacks': fetch's, and the others' */
    pxl_error *error;
    uint64_t hidden_first[4];/* octets that hidden components begin with, a bit each */
    int failed;              /* the first negative result; everything after it is a no-op */

    pxl_cursor **pool;       /* every cursor ever needed, reused by the next answer */
    size_t pool_len, pool_cap;
    pxl_merge candidates;    /* the lists that this answer walks */

    size_t pass;             /* which one, and where in it when a run stopped */
    bool resuming, finished, saw_alt, own_pass;
    bool uses;               /* the user has a list of special uses */
    bool ordinary;           /* nothing is asked for but names, and whether any is below them */
    pxl_bytes resume;        /* key of the candidate to go on with */
    size_t taken;            /* length of the key that the merge gave last; SIZE_MAX: none in this pass */
    size_t shared;           /* octets of it that the key before had, too */

    pxl_answer_row last;     /* the one row of memory that decides flags */
    pxl_slice said;          /* its external name, while it is set */
    size_t line;             /* where in `out` its line stands already, and then `last` has its attributes alone; or
                              * SIZE_MAX */
    pxl_kept *kept;          /* RECURSIVEMATCH: every event, sorted at the end; else see subscribed.c */
    size_t kept_len, kept_cap, kept_at;
    pxl_bytes kept_text;     /* their names and keys */
    bool others_known;       /* RETURN (SUBSCRIBED): subscriptions read otherwise are kept */
    uint8_t found[PXL_NAME_MAX + PXL_SLACK];  /* key of what a subscription led to, if it is not its own */
    pxl_waiting *waiting;    /* made for the first answer that needs it */
    pxl_bytes out, numbers;
    struct {                 /* a line up to its name, for attributes met before */
        uint32_t attributes;
        uint32_t len;        /* 0: none yet */
        uint8_t text[160 + PXL_SLACK];
    } heads[4];
};

/* A list to read and its first block (NULL, 0: ask fetch). */
int pxl_listing_add(pxl_listing *listing, int role, uint32_t number, const uint8_t *block, size_t len);
void pxl_listing_fail(pxl_listing *listing, int code, const char *message);
/* A cursor for a list of this role and number, made from `like` at first. */
pxl_cursor *pxl_listing_probe(pxl_listing *listing, const pxl_cursor *like);
/* The first cursor of this role, NULL if the caller gave none. */
pxl_cursor *pxl_listing_list(pxl_listing *listing, int role);

bool pxl_cursor_seek(pxl_listing *listing, pxl_cursor *cursor, const uint8_t *key, size_t len);
bool pxl_cursor_next(pxl_listing *listing, pxl_cursor *cursor);
bool pxl_merge_seek(pxl_listing *listing, const uint8_t *key, size_t len);
/* Are the rows to come at or after `key` already? */
bool pxl_merge_reaches(const pxl_listing *listing, const uint8_t *key, size_t len);
/* Take the lowest row off all cursors that are at it, united; false when none is left.  `key`
 * receives a copy, and holds that of the row before until then. */
bool pxl_merge_take(pxl_listing *listing, uint8_t *key, pxl_subject *subject);

/* A probing cursor on the one list of a role, sought to `key`; NULL when no row is there. */
pxl_cursor *pxl_listing_probe_at(pxl_listing *listing, int role, const uint8_t *key, size_t len);
/* Is it at this very key? */
bool pxl_cursor_is_at(const pxl_cursor *cursor, const uint8_t *key, size_t len);

/* Is there a record of this key name, and of what mbtype? */
bool pxl_listing_lookup(pxl_listing *listing, const uint8_t *key, size_t len, uint32_t *mbtype);
/* Does any live mailbox stand below it, whoever may see it? */
bool pxl_listing_has_children(pxl_listing *listing, const uint8_t *key, size_t len);
pxl_slice pxl_listing_special_use(pxl_listing *listing, const uint8_t *key, size_t len);
/* Stored rights of the view, united over its identifiers. */
uint32_t pxl_listing_rights(pxl_listing *listing, const pxl_subject *subject);

/* Does an external name hold what no client can type, '^' under '/' or '/' under '.'?  It names nothing. */
static inline bool pxl_untypable(const pxl_view *view, const uint8_t *text, size_t len)
{
    return memchr(text, view->separator == '/' ? '^' : '/', len);
}

static inline bool selects(const pxl_listing *listing, uint32_t option)
{
    return listing->query->options & option;
}

/* ---- passes.c */

/* Walk the passes that are left; PXL_MORE when `limit` stopped it. */
int pxl_passes_walk(pxl_listing *listing, size_t limit);

/* ---- fold.c */

/* What a pattern matched of a candidate's external name. */
typedef struct {
    const uint8_t *text;
    size_t len;
    bool exact;              /* the whole external name */
    const pxl_name *name;
    const pxl_extname *external;
    const pxl_subject *subject;
} pxl_event;

/* True when the event's row stands and nothing below it can add to that, so that leaping is safe. */
bool pxl_fold_hear(pxl_listing *listing, const pxl_event *e);
/* A single pattern that ends in "*%" also hears every shorter ancestor that it matches. */
void pxl_fold_hear_ancestors(pxl_listing *listing, pxl_event e);
/* Rows before and after never influence each other: between two passes, and at the end. */
void pxl_fold_reset(pxl_listing *listing);
/* Make the event the row of memory, unless it is hidden, said already, or above it. */
bool pxl_fold_accept(pxl_listing *listing, const pxl_event *e, const pxl_subject *subject);
/* Begin a row; `subject` may be NULL, its key (or the event's) is kept either way. */
void pxl_row_begin(pxl_listing *listing, pxl_answer_row *row, const pxl_event *e, const pxl_subject *subject);
/* Is the first component below the owner one of the first `count` hidden ones?  Of the mailbox when
 * `whole`, else of as much of its name as was matched. */
bool pxl_event_hidden(const pxl_listing *listing, const pxl_event *e, bool whole, uint32_t count);
/* What a subscription finds: true with the mailbox in `subject`, false for nothing that can be opened.
 * `children` is what a row of it is to be told: see pxl_answer_row. */
bool pxl_event_find(pxl_listing *listing, const pxl_event *e, pxl_subject *subject, uint32_t *children);

/* ---- ancestors.c */

/* Is the row of memory the event's parent, or below it? */
bool pxl_ancestors_stand(const pxl_listing *listing, const pxl_event *e);
void pxl_ancestors_mention(pxl_listing *listing, const pxl_event *e);

/* ---- recursive.c */

/* True when hearing of what is below the same part of a name could not add to that. */
bool pxl_recursive_hear(pxl_listing *listing, const pxl_event *e);
/* After the last pass: write rows until about `limit` octets are there.  PXL_MORE or PXL_OK. */
int pxl_recursive_answer(pxl_listing *listing, size_t limit);

/* ---- subscribed.c */

bool pxl_listing_subscribed(pxl_listing *listing, const uint8_t *key, size_t len);

/* ---- kept.c */

void pxl_kept_add(pxl_listing *listing, const pxl_answer_row *row);
/* After the last: by name, of one name as they came. */
void pxl_kept_sort(pxl_listing *listing);
/* Is there one of this name?  They are sorted. */
bool pxl_kept_has(const pxl_listing *listing, pxl_slice name);
/* Let go of the memory of more than `most`. */
void pxl_kept_forget(pxl_listing *listing, size_t most);

/* ---- answer.c */

/* Make a row of this name the one of memory, of which nothing is to be said but whether any is below it: its line is
 * written, and can still be put right ... */
void pxl_answer_begin(pxl_listing *listing, const uint8_t *text, size_t len);
/* ... until this. */
void pxl_answer_end(pxl_listing *listing);
/* Octets of the answer that stay as they are. */
static inline size_t pxl_answered(const pxl_listing *listing)
{
    return listing->line < listing->out.len ? listing->line : listing->out.len;
}
/* Decide the row's last flags, and write it, let it wait, or drop it. */
void pxl_answer(pxl_listing *listing, pxl_answer_row *row);
/* Write a row whose attributes are decided, with what the caller told of it. */
void pxl_answer_write(pxl_listing *listing, const pxl_waiting_row *decided);

/* ---- asked.c */

/* Copy the row to those that wait; they are answered when they are many. */
void pxl_waiting_add(pxl_listing *listing, const pxl_answer_row *row, uint32_t attributes, pxl_slice use);
/* Ask the caller about all that wait, and write them. */
void pxl_waiting_answer(pxl_listing *listing);
void pxl_waiting_forget(pxl_listing *listing);
void pxl_waiting_free(pxl_listing *listing);

#endif
