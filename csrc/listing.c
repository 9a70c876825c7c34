/* listing.c - which names a LIST answers, in which order.
 *
 *     passes       the view's namespaces one after the other, each in key order
 *     candidate    a mailbox of the pass that the view may see (or is subscribed to)
 *     event        the part of its external name that a pattern matched
 *     row          events folded: the same name again and its descendants only set flags
 *
 * One row of memory is all the folding needs, because the rows of a subtree are adjacent; it also
 * is all that the server has, and where subtrees are not adjacent (two domains, a name in two
 * passes) the same row is answered twice, as the server does.  RECURSIVEMATCH alone collects its
 * events, sorts them, and answers each name once.
 *
 * Patterns that end on a level ("%") leap: once a candidate's row stands and no pattern can match
 * below it, the next key looked at is the first that is not below.
 *
 * Source: mboxlist.c mboxlist_do_find, find_p, find_cb; imapd.c list_cb, subscribed_cb,
 * recursivematch_cb, perform_output, add_intermediates; every rule is seen in recorded answers.
 */
#include <stdlib.h>

#include "bytes.h"
#include "entry.h"
#include "listing.h"

enum {
    PASS_INBOX,
    PASS_INBOX_SUB,
    PASS_OWNER,
    PASS_ALT_INBOX,
    PASS_ALT_PREFIX,
    PASS_OTHER_USERS,
    PASS_SHARED,
    PASS_OWNER_DELETED,
    PASS_OTHER_DELETED,
    PASSES
};

static const struct {
    pxl_category category;
    bool exact;              /* one key, not everything below it */
    bool reset;              /* rows before and after never influence each other */
} PASS[PASSES] = {
    {CATEGORY_INBOX, true, false},        {CATEGORY_INBOX_SUB, false, false},   {CATEGORY_OWNER, false, true},
    {CATEGORY_ALT_INBOX, true, true},     {CATEGORY_ALT_PREFIX, false, false},  {CATEGORY_OTHER_USER, false, true},
    {CATEGORY_SHARED, false, true},       {CATEGORY_OWNER_DELETED, false, true}, {CATEGORY_OTHER_DELETED, false, true},
};

typedef struct {
    const uint8_t *text;
    size_t len;
    bool exact;              /* the whole external name */
    const pxl_name *name;
    const pxl_extname *external;
    const pxl_subject *subject;
} event;

static bool selects(const pxl_listing *listing, uint32_t option)
{
    return listing->query->options & option;
}

/* ---- rows -------------------------------------------------------------------------------------- */

/* Begin a row; `subject` may be NULL, `key` is kept either way. */
static void set_row(pxl_listing *listing, pxl_answer_row *row, const event *e, const pxl_subject *subject)
{
    const uint8_t *key = subject ? subject->key : e->name->key;
    size_t key_len = subject ? subject->key_len : e->name->len;

    row->attributes = 0;
    row->set = pxl_bytes_set(&row->name, e->text, e->len) && pxl_bytes_set(&row->key, key, key_len);
    if (!row->set) pxl_listing_fail(listing, PXL_E_MEMORY, "out of memory");
    row->has_subject = subject != NULL;
    if (subject) row->subject = *subject;
    row->subject.key = row->key.data;
    row->subject.key_len = key_len;
}

/* Answer the row of memory, if there is one. */
static void finish_row(pxl_listing *listing)
{
    pxl_answer_row *last = &listing->last;

    if (!last->set) return;
    last->set = false;
    if (selects(listing, PXL_RETURN_SUBSCRIBED) && !selects(listing, PXL_SELECT_SUBSCRIBED) && last->has_subject
        && pxl_listing_subscribed(listing, last->key.data, last->key.len))
        last->attributes |= last->attributes & PXL_NONEXISTENT ? PXL_CHILDINFO : PXL_SUBSCRIBED;
    if (!selects(listing, PXL_SELECT_SUBSCRIBED) || (last->attributes & (PXL_SUBSCRIBED | PXL_CHILDINFO)))
        pxl_answer(listing, last);
}

/* The first component below the owner that this event is about; empty if it ends above it. */
static pxl_slice first_component(const pxl_listing *listing, const event *e, bool whole)
{
    const uint8_t *start = e->text + e->external->boxes, *end = e->text + e->len, *stop;
    uint8_t separator = listing->view->separator;

    if (whole) {
        start = e->name->key + e->name->boxes_at;
        end = e->name->key + e->name->boxes_end;
        separator = PXL_SEPARATOR;
    }
    if (start >= end) return (pxl_slice){NULL, 0};
    stop = memchr(start, separator, (size_t)(end - start));
    if (!stop) stop = end;
    /* crossdomains hangs "@domain" on it, which is no part of the component. */
    if (!whole && e->external->tail_end > e->external->boxes && stop > e->text + e->external->tail_end)
        stop = e->text + e->external->tail_end;
    return (pxl_slice){start, (size_t)(stop - start)};
}

/* Mailboxes that are no IMAP mailboxes: kept out of rows, though their events were heard. */
static bool hidden(const pxl_listing *listing, const event *e, const pxl_subject *subject)
{
    uint32_t mbtype = subject ? subject->mbtype : 0, class = mbtype & PXL_CLASS;
    pxl_slice component;

    if (listing->view->admin) return false;
    if (class == PXL_NETNEWS) return true;
    if ((mbtype & PXL_INTERMEDIATE) && !selects(listing, PXL_SELECT_NONEXISTENT)) return true;
    if (selects(listing, PXL_SELECT_DAV)) return false;
    if (class) return true;
    component = first_component(listing, e, subject != NULL);
    return pxl_name_hidden(listing->view, component.data, component.len, listing->view->hidden_count);
}

static bool same_as_last(const pxl_listing *listing, const event *e)
{
    const pxl_answer_row *last = &listing->last;

    return last->set && pxl_same(last->name.data, last->name.len, e->text, e->len);
}

/* Is `text` below the row of memory? */
static bool below_last(const pxl_listing *listing, const event *e)
{
    const pxl_answer_row *last = &listing->last;

    return last->set && e->len > last->name.len && e->text[last->name.len] == listing->view->separator
           && !memcmp(last->name.data, e->text, last->name.len);
}

/* Is `text` an ancestor of the row of memory? */
static bool above_last(const pxl_listing *listing, const event *e)
{
    const pxl_answer_row *last = &listing->last;

    return last->set && e->len < last->name.len && last->name.data[e->len] == listing->view->separator
           && !memcmp(last->name.data, e->text, e->len);
}

/* Make the event the row of memory, unless it is hidden, said already, or above it. */
static bool accept(pxl_listing *listing, const event *e, const pxl_subject *subject)
{
    if (hidden(listing, e, subject)) return false;
    if (same_as_last(listing, e) || above_last(listing, e)) return false;
    finish_row(listing);
    set_row(listing, &listing->last, e, subject);
    return true;
}

/* ---- ancestors that do not exist (vendor.fm-include-nonexistent) -------------------------------- */

/* Cyrus asks with dots here, whatever the separator is. */
static bool dot_prefix(const pxl_bytes *longer, const uint8_t *shorter, size_t len)
{
    return pxl_starts(longer->data, longer->len, shorter, len) && (longer->len == len || longer->data[len] == '.');
}

static bool contains_parent(const pxl_listing *listing, const event *e)
{
    const pxl_answer_row *last = &listing->last;
    size_t parent = e->len;

    if (!last->set) return false;
    if (pxl_same(e->text, e->len, (const uint8_t *)"user", 4)) return true;
    while (parent > 0 && e->text[parent - 1] != '.') parent--;
    return dot_prefix(&last->name, e->text, parent ? parent - 1 : 0);
}

/* Does this octet of a key end a component when the external name is read back?  A '/' in a key is
 * no separator, but a client cannot tell. */
static bool parts(const pxl_view *view, uint8_t octet)
{
    return octet == PXL_SEPARATOR || (octet == '/' && view->separator == '/');
}

/* Components of the event below the owner, as a client's spelling of it would be read: none where
 * that names nothing ('^' under '/', '/' under '.'). */
static size_t depth_of(const pxl_listing *listing, const event *e)
{
    const uint8_t *key = e->name->key;
    size_t end = e->exact ? e->name->boxes_end : e->external->tail_key + (e->len - e->external->tail), depth = 1;

    if (e->len <= e->external->boxes || e->len < e->external->tail || end > e->name->boxes_end) return 0;
    for (size_t i = e->name->boxes_at; i < end; i++) {
        if (key[i] == (listing->view->separator == '/' ? '^' : '/')) return 0;
        depth += parts(listing->view, key[i]);
    }
    return depth;
}

/* The same name cut to its first `depth` components.  An admin's name without its end is without
 * its domain too. */
static void cut_name(const pxl_view *view, const event *e, size_t depth, pxl_name *cut)
{
    const pxl_name *name = e->name;
    size_t end = name->boxes_at, start = view->admin_domains && !e->exact && name->domain_len ? name->domain_len + 1 : 0;

    for (size_t n = 0; n < depth; n++) {
        end += n > 0; /* over the separator */
        while (end < name->boxes_end && !parts(view, name->key[end])) end++;
    }
    if (!depth && name->local_len && name->boxes_at < name->len) end--;
    pxl_name_parse(view, name->key + start, end - start, cut);
}

/* Its external name, read as an internal one, decides whether an ancestor counts as existing. */
static void mention_ancestor(pxl_listing *listing, const pxl_name *name, const pxl_extname *external)
{
    uint8_t key[PXL_NAME_MAX];
    size_t len = pxl_name_from_internal(external->text, external->len, key, sizeof key);
    pxl_subject subject = {.key = key, .key_len = len};
    pxl_name meant;
    event e = {external->text, external->len, false, name, external, &subject};

    if (!len || !pxl_listing_lookup(listing, key, len, &subject.mbtype)) return;
    subject.mbtype |= PXL_INTERMEDIATE;
    pxl_name_parse(listing->view, key, len, &meant);
    e.name = &meant;
    accept(listing, &e, &subject);
}

static void mention_ancestors(pxl_listing *listing, const event *e)
{
    size_t depth = depth_of(listing, e), least = depth;
    pxl_extname external;
    pxl_name cut;

    /* Youngest to oldest, until the row of memory is one or stands below one ... */
    while (least > 0) {
        cut_name(listing->view, e, least - 1, &cut);
        if (!pxl_name_external(listing->view, &cut, &external)) break;
        if (listing->last.set && dot_prefix(&listing->last.name, external.text, external.len)) break;
        least--;
    }
    /* ... then answer them oldest to youngest. */
    for (; least < depth; least++) {
        cut_name(listing->view, e, least, &cut);
        if (pxl_name_external(listing->view, &cut, &external)) mention_ancestor(listing, &cut, &external);
    }
}

/* ---- events ------------------------------------------------------------------------------------ */

/* A plain or extended LIST; true when its row stands (or stood already), so that leaping is safe. */
static bool list_event(pxl_listing *listing, const event *e)
{
    pxl_answer_row *last = &listing->last;
    bool dav = e->subject->mbtype & PXL_COLLECTION;

    if (e->name->stamp.len && !listing->view->admin
        && !(selects(listing, PXL_SELECT_DELETED) && listing->view->allow_deleted))
        return false;
    if (below_last(listing, e) || (!e->exact && same_as_last(listing, e)))
        last->attributes |= PXL_HASCHILDREN;
    else if (!(last->attributes & PXL_HASCHILDREN))
        last->attributes |= PXL_HASNOCHILDREN;
    if (selects(listing, PXL_SELECT_NONEXISTENT) && (selects(listing, PXL_SELECT_DAV) || !dav)
        && !contains_parent(listing, e))
        mention_ancestors(listing, e);
    if (!accept(listing, e, e->subject)) return same_as_last(listing, e);
    if (!e->exact)
        last->attributes |= PXL_HASCHILDREN | PXL_NONEXISTENT;
    else if (e->name->category == CATEGORY_ALT_INBOX)
        last->attributes |= PXL_NOINFERIORS;
    return true;
}

/* What a subscription finds: PXL_OK with the mailbox in `subject`, or nothing that can be opened. */
static bool find_subscribed(pxl_listing *listing, const event *e, pxl_subject *subject)
{
    *subject = (pxl_subject){.key = e->name->key, .key_len = e->name->len};
    return pxl_listing_lookup(listing, subject->key, subject->key_len, &subject->mbtype)
           && !(subject->mbtype & (PXL_TOMBSTONE | PXL_INTERMEDIATE | PXL_RESERVED));
}

/* LSUB and LIST (SUBSCRIBED).  Flags go to the row of memory even when the event was refused. */
static void subscribed_event(pxl_listing *listing, const event *e)
{
    pxl_answer_row *last = &listing->last;
    pxl_subject subject;
    bool found;

    if (below_last(listing, e) || (!e->exact && same_as_last(listing, e))) last->attributes |= PXL_HASCHILDREN;
    if (e->exact) {
        found = find_subscribed(listing, e, &subject);
        accept(listing, e, found ? &subject : NULL);
        last->attributes |= PXL_SUBSCRIBED;
        if (!found) last->attributes |= PXL_NONEXISTENT;
        if (e->name->category == CATEGORY_ALT_INBOX) last->attributes |= PXL_NOINFERIORS;
    } else if (listing->query->form == PXL_FORM_LSUB) {
        accept(listing, e, NULL);
        last->attributes |= PXL_CHILDINFO;
    }
}

static void recursive_event(pxl_listing *listing, const event *e)
{
    pxl_slice component = first_component(listing, e, true);
    const pxl_view *view = listing->view;
    pxl_answer_row *row;
    pxl_subject subject;
    bool found = false;

    if (!view->admin && !selects(listing, PXL_SELECT_DAV)
        && pxl_name_hidden(view, component.data, component.len, view->hidden_recursive))
        return;
    if (listing->matches_len == listing->matches_cap) {
        size_t cap = listing->matches_cap ? 2 * listing->matches_cap : 64;
        row = realloc(listing->matches, cap * sizeof *row);
        if (!row) {
            pxl_listing_fail(listing, PXL_E_MEMORY, "out of memory");
            return;
        }
        memset(row + listing->matches_cap, 0, (cap - listing->matches_cap) * sizeof *row);
        listing->matches = row;
        listing->matches_cap = cap;
    }
    row = &listing->matches[listing->matches_len++];
    if (e->exact) found = find_subscribed(listing, e, &subject);
    set_row(listing, row, e, found ? &subject : NULL);
    row->attributes = e->exact ? PXL_SUBSCRIBED : PXL_CHILDINFO | PXL_HASCHILDREN;
    if (!found) row->attributes |= PXL_NONEXISTENT;
}

static bool heard(pxl_listing *listing, const event *e)
{
    if (selects(listing, PXL_SELECT_RECURSIVEMATCH))
        recursive_event(listing, e);
    else if (selects(listing, PXL_SELECT_SUBSCRIBED))
        subscribed_event(listing, e);
    else
        return list_event(listing, e) && !selects(listing, PXL_SELECT_NONEXISTENT);
    return false;
}

/* A single pattern that ends in "*%" also hears every shorter ancestor that it matches. */
static void hear_ancestors(pxl_listing *listing, event e)
{
    size_t whole = e.len, dead;

    e.exact = false;
    for (size_t i = 0; i < whole; i++) {
        if (e.text[i] != listing->view->separator) continue;
        e.len = i;
        if (i && pxl_query_match(listing->query, e.text, i, &dead) == i) heard(listing, &e);
    }
}

/* ---- candidates -------------------------------------------------------------------------------- */

static bool visible(const pxl_listing *listing, const pxl_name *name, const pxl_subject *subject)
{
    if (selects(listing, PXL_SELECT_SUBSCRIBED)) return true; /* a subscription may be to anything */
    if (subject->mbtype & PXL_TOMBSTONE) return false;
    if (subject->mbtype & PXL_INTERMEDIATE) return listing->view->admin || pxl_name_owned(listing->view, name);
    return listing->view->admin || (subject->granted & ~subject->denied & PXL_RIGHT_L);
}

static bool in_domain(const pxl_view *view, const pxl_name *name)
{
    return view->admin || view->crossdomains
           || pxl_same(name->key, name->domain_len, view->filter_domain.data, view->filter_domain.len);
}

/* Write the lowest key above everything that begins with key[0..len) to `leap`. */
static size_t after_prefix(const uint8_t *key, size_t len, uint8_t *leap)
{
    memcpy(leap, key, len);
    while (len && leap[len - 1] == 0xff) len--;
    if (len) leap[len - 1]++;
    return len;
}

/* No name with this namespace's prefix can match further: to the one name that has another, the
 * shared mailbox "user" (see naming.c), or, with SIZE_MAX, out of the pass. */
static size_t leap_out(const pxl_listing *listing, const pxl_name *name, uint8_t *leap)
{
    const size_t domain = name->domain_len ? name->domain_len + 1 : 0, len = domain + 4;

    if (name->category == CATEGORY_OTHER_USER) return SIZE_MAX;
    if (!listing->view->alt || listing->view->crossdomains || name->category != CATEGORY_SHARED) return 0;
    memcpy(leap, name->key, domain);
    memcpy(leap + domain, "user", 4);
    return pxl_compare(name->key, name->len, leap, len) < 0 ? len : SIZE_MAX;
}

/* Nothing longer can match once `dead` octets of the external name are read: the key to go on
 * with, its length, or 0 to go on with the next one. */
static size_t leap_below(pxl_listing *listing, const pxl_name *name, const pxl_extname *external, size_t dead,
                         uint8_t *leap)
{
    size_t len;

    if (external->tail == SIZE_MAX || dead > external->tail_end) return 0;
    if (dead <= external->tail) return leap_out(listing, name, leap);
    len = external->tail_key + (dead - external->tail);
    if (len > name->len) return 0;
    /* Part of a first component may hide names that belong to the alt prefix. */
    if (!memchr(name->key + name->boxes_at, PXL_SEPARATOR, len > name->boxes_at ? len - name->boxes_at : 0))
        listing->saw_alt = true;
    return after_prefix(name->key, len, leap);
}

/* A row of another category: the key after the stretch that holds only such rows, or 0. */
static size_t leap_over(const pxl_listing *listing, const pxl_name *name, pxl_category wanted, uint8_t *leap)
{
    static const char USERS[] = "user\x1f";
    const size_t domain = name->domain_len ? name->domain_len + 1 : 0;

    if (selects(listing, PXL_SELECT_SUBSCRIBED)) return 0;
    if (wanted == CATEGORY_OTHER_USER && pxl_name_owned(listing->view, name) && !name->stamp.len) {
        size_t owner = name->local_at + name->local_len;
        memcpy(leap, name->key, owner);
        leap[owner] = PXL_SEPARATOR + 1;
        return owner + 1;
    }
    if (wanted >= CATEGORY_SHARED && name->local_len && !name->stamp.len) {
        memcpy(leap, name->key, domain);
        memcpy(leap + domain, USERS, 5);
        leap[domain + 4]++;
        return domain + 5;
    }
    return 0;
}

/* One candidate of a pass.  `leap` receives the key to go on with; its length is returned, 0 to go
 * on with the next, SIZE_MAX to end the pass. */
static size_t consider(pxl_listing *listing, pxl_category wanted, const pxl_subject *subject, uint8_t *leap)
{
    const pxl_view *view = listing->view;
    pxl_name name;
    pxl_extname external;
    size_t matched, dead;
    event e = {external.text, 0, false, &name, &external, subject};

    pxl_name_parse(view, subject->key, subject->key_len, &name);
    if (name.category == CATEGORY_ALT_INBOX || name.category == CATEGORY_ALT_PREFIX) listing->saw_alt = true;
    if (name.category != wanted) return leap_over(listing, &name, wanted, leap);
    if (!in_domain(view, &name) || !visible(listing, &name, subject)) return 0;
    if (!pxl_name_external(view, &name, &external)) return 0;
    matched = pxl_query_match(listing->query, external.text, external.len, &dead);
    e.len = matched;
    e.exact = matched == external.len;
    if (matched) {
        if (listing->query->ancestors) hear_ancestors(listing, e);
        if (!heard(listing, &e)) return 0;
    } else if (selects(listing, PXL_SELECT_SUBSCRIBED)) {
        return 0;
    }
    return dead ? leap_below(listing, &name, &external, dead, leap) : 0;
}

/* ---- passes ------------------------------------------------------------------------------------ */

/* Could the patterns' common beginning lead into a namespace with this prefix? */
static bool leads_into(const pxl_listing *listing, pxl_slice prefix)
{
    const pxl_bytes *common = &listing->query->common;
    size_t n = prefix.len < common->len ? prefix.len : common->len;

    return !n || !memcmp(prefix.data, common->data, n);
}

static bool applies(const pxl_listing *listing, size_t pass)
{
    const pxl_view *view = listing->view;

    switch (pass) {
    case PASS_INBOX:
    case PASS_OWNER:
        return view->own && !view->admin;
    case PASS_INBOX_SUB:
        return view->own && !view->admin && view->alt;
    case PASS_ALT_INBOX:
    case PASS_ALT_PREFIX:
        return view->own && !view->admin && view->alt && listing->saw_alt;
    case PASS_OTHER_USERS:
        return (view->admin || view->other_users) && leads_into(listing, view->user_prefix);
    case PASS_SHARED:
        return (view->admin || view->shared) && leads_into(listing, view->shared_prefix);
    case PASS_OWNER_DELETED:
        return view->own && !view->admin && view->allow_deleted;
    default:
        return view->admin || (view->allow_deleted && view->shared);
    }
}

typedef struct {
    uint8_t text[2 * PXL_NAME_MAX];
    size_t len;
} prefix;

static void extend(prefix *p, const void *text, size_t len)
{
    if (len > sizeof p->text - p->len) len = sizeof p->text - p->len;
    if (len) memcpy(p->text + p->len, text, len);
    p->len += len;
}

static void extend_domain(prefix *p, pxl_slice domain)
{
    if (!domain.len) return;
    extend(p, domain.data, domain.len);
    extend(p, "\x1d", 1);
}

/* Other users: from the patterns' common beginning on, in its external spelling. */
static void other_users_prefix(const pxl_listing *listing, prefix *p)
{
    const pxl_view *view = listing->view;
    const pxl_bytes *common = &listing->query->common;
    size_t skip = view->user_prefix.len + 1, start;

    if (view->admin || view->crossdomains) return; /* the domain comes first in a key */
    extend_domain(p, view->domain);
    extend(p, "user\x1f", 5);
    if (common->len <= skip) return;
    start = p->len;
    extend(p, common->data + skip, common->len - skip);
    for (size_t i = start; i < p->len; i++)
        if (p->text[i] == view->separator) p->text[i] = PXL_SEPARATOR;
}

/* Subscriptions of the own tree are kept below "INBOX" instead of the owner's name. */
static void as_subscription(const pxl_listing *listing, prefix *p)
{
    pxl_slice owner = listing->view->owner;
    prefix kept = *p;

    if (!selects(listing, PXL_SELECT_SUBSCRIBED) || !owner.len || !pxl_starts(p->text, p->len, owner.data, owner.len))
        return;
    p->len = 0;
    extend(p, "INBOX", 5);
    extend(p, kept.text + owner.len, kept.len - owner.len);
}

static void pass_prefix(const pxl_listing *listing, size_t pass, prefix *p)
{
    static const char *const BELOW[] = {"", "\x1fINBOX\x1f", "\x1f", "\x1fINBOX", "\x1f"};
    const pxl_view *view = listing->view;

    p->len = 0;
    if (pass <= PASS_ALT_PREFIX) {
        extend(p, view->owner.data, view->owner.len);
        extend(p, BELOW[pass], strlen(BELOW[pass]));
    } else if (pass == PASS_OTHER_USERS) {
        other_users_prefix(listing, p);
    } else {
        extend_domain(p, view->domain);
    }
    if (pass == PASS_OWNER_DELETED) {
        extend(p, view->deleted_prefix.data, view->deleted_prefix.len);
        extend(p, "\x1fuser\x1f", 6);
        extend(p, view->local.data, view->local.len);
        extend(p, "\x1f", 1);
    }
    as_subscription(listing, p);
}

/* A row's stored key -> key name of the mailbox: subscriptions leave the owner out. */
static bool name_of(const pxl_listing *listing, pxl_subject *subject, uint8_t *name)
{
    pxl_slice owner = listing->view->owner;
    size_t len = subject->key_len;

    if (!selects(listing, PXL_SELECT_SUBSCRIBED) || !pxl_starts(subject->key, len, (const uint8_t *)"INBOX", 5))
        return true;
    len = len - 5 + owner.len;
    if (len > PXL_NAME_MAX) return false;
    memcpy(name, owner.data, owner.len);
    memcpy(name + owner.len, subject->key + 5, subject->key_len - 5);
    subject->key = name;
    subject->key_len = len;
    return true;
}

static void reset(pxl_listing *listing)
{
    if (selects(listing, PXL_SELECT_RECURSIVEMATCH)) return;
    if (!selects(listing, PXL_SELECT_SUBSCRIBED) && !(listing->last.attributes & PXL_HASCHILDREN))
        listing->last.attributes |= PXL_HASNOCHILDREN;
    finish_row(listing);
}

/* Walk one pass; PXL_MORE when `limit` stopped it, with the key to go on with kept. */
static int walk(pxl_listing *listing, size_t pass, size_t limit)
{
    uint8_t key[PXL_KEY_MAX], name[PXL_NAME_MAX], leap[PXL_KEY_MAX];
    pxl_subject subject;
    prefix p;
    size_t leap_len;
    bool more;

    pass_prefix(listing, pass, &p);
    more = listing->resuming ? pxl_merge_seek(listing, listing->resume.data, listing->resume.len)
                             : pxl_merge_seek(listing, p.text, p.len);
    listing->resuming = false;
    while (more && pxl_merge_take(listing, key, &subject)) {
        if (!pxl_starts(key, subject.key_len, p.text, p.len) || (PASS[pass].exact && subject.key_len != p.len)) break;
        if (listing->out.len >= limit) {
            listing->resume.len = 0;
            if (!pxl_bytes_add(&listing->resume, key, subject.key_len)) return PXL_E_MEMORY;
            listing->resuming = true;
            return PXL_MORE;
        }
        if (!name_of(listing, &subject, name)) continue;
        leap_len = consider(listing, PASS[pass].category, &subject, leap);
        if (leap_len == SIZE_MAX) break;
        if (leap_len && !pxl_merge_reaches(listing, leap, leap_len)) more = pxl_merge_seek(listing, leap, leap_len);
    }
    return PXL_OK;
}

/* ---- RECURSIVEMATCH ---------------------------------------------------------------------------- */

static int compare_matches(const void *a, const void *b)
{
    const pxl_answer_row *x = a, *y = b;

    return pxl_compare(x->name.data, x->name.len, y->name.data, y->name.len);
}

/* Events of one name make one row: it exists if any of them found a mailbox. */
static void answer_match(pxl_listing *listing)
{
    pxl_answer_row *row = &listing->matches[listing->matches_at], *next;
    uint32_t exists = ~row->attributes & PXL_NONEXISTENT;

    for (listing->matches_at++; listing->matches_at < listing->matches_len; listing->matches_at++) {
        next = &listing->matches[listing->matches_at];
        if (compare_matches(row, next)) break;
        exists |= ~next->attributes & PXL_NONEXISTENT;
        row->attributes |= next->attributes;
        if (!row->has_subject && next->has_subject) {
            row->has_subject = true;
            row->subject = next->subject;
        }
    }
    row->attributes &= ~exists;
    pxl_answer(listing, row);
}

static int answer_matches(pxl_listing *listing, size_t limit)
{
    if (!listing->matches_at && listing->matches_len)
        qsort(listing->matches, listing->matches_len, sizeof *listing->matches, compare_matches);
    while (listing->matches_at < listing->matches_len && !listing->failed) {
        if (listing->out.len >= limit) return PXL_MORE;
        answer_match(listing);
    }
    return PXL_OK;
}

/* ---- the public calls --------------------------------------------------------------------------- */

pxl_listing *pxl_listing_new(void)
{
    return calloc(1, sizeof(pxl_listing));
}

void pxl_listing_free(pxl_listing *listing)
{
    if (!listing) return;
    for (size_t i = 0; i < listing->pool_cap; i++) free(listing->pool[i]);
    for (size_t i = 0; i < listing->matches_cap; i++) {
        pxl_bytes_free(&listing->matches[i].name);
        pxl_bytes_free(&listing->matches[i].key);
    }
    pxl_bytes_free(&listing->last.name);
    pxl_bytes_free(&listing->last.key);
    pxl_bytes_free(&listing->resume);
    pxl_bytes_free(&listing->out);
    free(listing->pool);
    free(listing->matches);
    free(listing->candidates.cursors);
    free(listing);
}

void pxl_listing_start(pxl_listing *listing, const pxl_view *view, const pxl_query *query, int output)
{
    listing->view = view;
    listing->query = query;
    listing->output = output;
    listing->failed = 0;
    listing->pool_len = listing->candidates.count = listing->candidates.on_rows = 0;
    listing->pass = 0;
    listing->resuming = listing->finished = listing->saw_alt = listing->last.set = false;
    listing->matches_len = listing->matches_at = 0;
    listing->out.len = 0;
    for (size_t i = 0; i < sizeof listing->heads / sizeof *listing->heads; i++) listing->heads[i].len = 0;
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
    cursor->role = role;
    cursor->number = number;
    cursor->first = (pxl_slice){len ? block : NULL, len};
    cursor->at_first = len > 0;
    cursor->on_row = cursor->floor_known = false;
    cursor->dots = len && (block[0] & PXL_FLAT_ORDER);
    cursor->row.keylen = 0;
    if (!(number & PXL_PROBE) && walks(listing, role)) listing->candidates.cursors[listing->candidates.count++] = cursor;
    listing->pool_len++;
    return PXL_OK;
}

int pxl_listing_run(pxl_listing *listing, size_t limit, const pxl_callbacks *callbacks, void *handle, pxl_error *error)
{
    int result = PXL_OK;

    listing->out.len = 0;
    listing->callbacks = callbacks;
    listing->handle = handle;
    listing->error = error;
    error->code = 0;
    for (; listing->pass < PASSES && !listing->failed; listing->pass++) {
        if (!applies(listing, listing->pass)) continue;
        if (PASS[listing->pass].reset && !listing->resuming && (listing->pass != PASS_OWNER || listing->view->alt))
            reset(listing);
        if ((result = walk(listing, listing->pass, limit)) != PXL_OK) return result;
    }
    if (!listing->finished && !listing->failed) reset(listing);
    listing->finished = true;
    if (selects(listing, PXL_SELECT_RECURSIVEMATCH)) result = answer_matches(listing, limit);
    if (listing->failed) return listing->failed;
    return result == PXL_MORE ? PXL_MORE : PXL_END;
}

pxl_slice pxl_listing_output(const pxl_listing *listing)
{
    return (pxl_slice){listing->out.data, listing->out.len};
}

void pxl_listing_rewind(pxl_listing *listing)
{
    for (size_t i = 0; i < listing->pool_len; i++) {
        pxl_cursor *cursor = listing->pool[i];
        cursor->first = (pxl_slice){NULL, 0};
        cursor->at_first = cursor->on_row = cursor->floor_known = false;
    }
}
