/* passes.c - the view's namespaces one after the other, and the candidates in each.
 *
 * A candidate is a mailbox of the pass that the view may see (or is subscribed to).  Patterns that
 * end on a level ("%") leap: once a candidate's row stands and no pattern can match below it, the
 * next key looked at is the first that is not below.
 *
 * Source: mboxlist.c mboxlist_do_find, find_p, find_cb.
 */
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

/* ---- candidates -------------------------------------------------------------------------------- */

static bool visible(pxl_listing *listing, const pxl_name *name, const pxl_subject *subject)
{
    if (selects(listing, PXL_SELECT_SUBSCRIBED)) return true; /* a subscription may be to anything */
    if (subject->mbtype & PXL_TOMBSTONE) return false;
    if (subject->mbtype & PXL_INTERMEDIATE) return listing->view->admin || pxl_name_owned(listing->view, name);
    if (listing->view->admin) return true;
    if (listing->view->ranks) return pxl_listing_rights(listing, subject) & PXL_RIGHT_L;
    return subject->granted & ~subject->denied & PXL_RIGHT_L;
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

/* Might there be, among the keys that begin as `name` does for `len` octets, deleted mailboxes that are
 * called otherwise because their stamp is none? */
static bool hides_stepped(const pxl_view *view, const pxl_name *name, size_t len)
{
    const size_t at = name->domain_len ? name->domain_len + 1 : 0, n = len > at ? len - at : 0;
    const pxl_slice prefix = view->deleted_prefix;

    return name->category < CATEGORY_OWNER_DELETED && !memcmp(name->key + at, prefix.data, n < prefix.len ? n : prefix.len);
}

/* May an admin's leap pass over what lies in a domain?  Without virtdomains nothing there has a name. */
static bool one_domain(const pxl_view *view, const pxl_name *name)
{
    return view->admin && !view->admin_domains && !view->crossdomains && !name->domain_len;
}

/* Write what all deleted mailboxes begin with to `text`; its length. */
static size_t deleted_top(const pxl_view *view, uint8_t *text)
{
    const pxl_slice prefix = view->deleted_prefix;

    if (!prefix.len || prefix.len >= PXL_NAME_MAX) return 0;
    memcpy(text, prefix.data, prefix.len);
    text[prefix.len] = PXL_SEPARATOR;
    return prefix.len + 1;
}

/* The rest of what all patterns begin with, as it stands in keys, behind the `len` octets of `leap`.
 * An octet that might stand for something else ends it. */
static size_t add_common(const pxl_listing *listing, size_t at, uint8_t *leap, size_t len)
{
    const pxl_bytes *common = &listing->query->common;
    const uint8_t separator = listing->view->separator;

    for (; at < common->len && len < PXL_NAME_MAX; at++) {
        uint8_t c = common->data[at];
        if (c == '@' || c == '!' || c == '^' || (c == '.' && separator != '.')) break;
        leap[len++] = c == separator ? PXL_SEPARATOR : c;
    }
    return len;
}

/* An admin's names differ from what all patterns begin with: to where those might stand, or out of the
 * pass; 0 where that is not known.  Deleted mailboxes may be called as if they stood elsewhere, so none of
 * them is passed over. */
static size_t leap_to_common(const pxl_listing *listing, const pxl_name *name, const pxl_extname *external, size_t dead,
                             uint8_t *leap)
{
    const pxl_bytes *common = &listing->query->common;
    const size_t at = dead - 1, key_at = external->tail_key + (at - external->tail);
    uint8_t deleted[PXL_NAME_MAX];
    size_t len, deleted_len = deleted_top(listing->view, deleted);

    if (!one_domain(listing->view, name) || at >= common->len || memcmp(external->text, common->data, at)) return 0;
    if (deleted_len && pxl_starts(name->key, name->len, deleted, deleted_len)) return 0;
    memcpy(leap, name->key, key_at);
    if ((len = add_common(listing, at, leap, key_at)) == key_at) return 0;
    if (pxl_compare(leap, len, name->key, name->len) <= 0 && !(len = after_prefix(name->key, external->tail_key, leap)))
        len = SIZE_MAX;
    if (deleted_len && pxl_compare(name->key, name->len, deleted, deleted_len) < 0
        && (len == SIZE_MAX || pxl_compare(deleted, deleted_len, leap, len) < 0)) {
        memcpy(leap, deleted, deleted_len);
        len = deleted_len;
    }
    return len;
}

/* From a shared mailbox to users' mailboxes, for an admin: those below the deleted prefix (which may
 * be called like others), then all others if any are `wanted`. */
static size_t leap_to_users(const pxl_listing *listing, const pxl_name *name, pxl_category wanted, uint8_t *leap)
{
    size_t len;

    if (!one_domain(listing->view, name)) return 0;
    if ((len = deleted_top(listing->view, leap))) {
        memcpy(leap + len, "user\x1f", 5);
        len += 5;
        if (pxl_starts(name->key, name->len, leap, len)) return 0;
        if (pxl_compare(name->key, name->len, leap, len) < 0) return len;
    }
    memcpy(leap, "user\x1f", 5);
    if (pxl_starts(name->key, name->len, leap, 5)) return 0; /* nobody's */
    return wanted == CATEGORY_OTHER_USER && pxl_compare(name->key, name->len, leap, 5) < 0 ? 5 : SIZE_MAX;
}

/* Nothing longer can match once `dead` octets of the external name are read: the key to go on
 * with, its length, or 0 to go on with the next one. */
static size_t leap_below(pxl_listing *listing, const pxl_name *name, const pxl_extname *external, size_t dead,
                         uint8_t *leap)
{
    size_t len;

    if (external->tail == SIZE_MAX || dead > external->tail_end) return 0;
    if (dead <= external->tail) return leap_out(listing, name, leap);
    if (!selects(listing, PXL_SELECT_SUBSCRIBED) && (len = leap_to_common(listing, name, external, dead, leap)))
        return len;
    len = external->tail_key + (dead - external->tail);
    /* A domain may begin as this name does; none goes on after a separator. */
    if (!name->domain_len && (listing->view->admin_domains || listing->view->crossdomains)) {
        const uint8_t *stop = memchr(name->key, PXL_SEPARATOR, name->len);
        if (!stop) return 0;
        if (len <= (size_t)(stop - name->key)) len = (size_t)(stop - name->key) + 1;
    }
    if (len > name->len || hides_stepped(listing->view, name, len)) return 0;
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
    if (wanted == CATEGORY_OTHER_USER && pxl_name_owned(listing->view, name) && !name->stepped) {
        size_t owner = name->local_at + name->local_len;
        memcpy(leap, name->key, owner);
        leap[owner] = PXL_SEPARATOR + 1;
        return owner + 1;
    }
    if (wanted >= CATEGORY_SHARED && name->local_len && !name->stepped) {
        memcpy(leap, name->key, domain);
        memcpy(leap + domain, USERS, 5);
        leap[domain + 4]++;
        return domain + 5;
    }
    if (name->category == CATEGORY_SHARED && (wanted == CATEGORY_OTHER_USER || wanted == CATEGORY_OTHER_DELETED))
        return leap_to_users(listing, name, wanted, leap);
    return 0;
}

/* A leap in the keys that subscriptions are kept under.  A flat list has dots elsewhere: what ends right
 * above a separator is the same in every order. */
static size_t leap_subscribed(const pxl_listing *listing, const pxl_subject *subject, uint8_t *leap, size_t len)
{
    const pxl_slice owner = listing->view->owner;
    bool owned;

    if (!len || len == SIZE_MAX || leap[len - 1] != PXL_SEPARATOR + 1) return 0;
    owned = owner.len && pxl_starts(leap, len, owner.data, owner.len);
    if (owned != (owner.len && pxl_starts(subject->key, subject->key_len, owner.data, owner.len))) return 0;
    if (!owned) return len;
    memmove(leap + 5, leap + owner.len, len - owner.len);
    memcpy(leap, "INBOX", 5);
    return 5 + len - owner.len;
}

/* The name of the candidate before, from which the next one's is made as far as they agree. */
typedef struct {
    pxl_name name;
    pxl_extname external;
} naming;

/* One candidate of a pass, whose key shares `shared` octets with that of the name before.  `leap` receives
 * the key to go on with; its length is returned, 0 to go on with the next, SIZE_MAX to end the pass. */
static size_t consider(pxl_listing *listing, pxl_category wanted, const pxl_subject *subject, naming *n,
                       size_t shared, uint8_t *leap)
{
    const pxl_view *view = listing->view;
    pxl_name *name = &n->name;
    pxl_extname *external = &n->external;
    size_t matched, dead;
    pxl_event e = {external->text, 0, false, name, external, subject};

    if (!pxl_name_follow(view, name, external, subject->key, subject->key_len, shared)) {
        pxl_name_parse(view, subject->key, subject->key_len, name);
        if (name->category == CATEGORY_ALT_INBOX || name->category == CATEGORY_ALT_PREFIX) listing->saw_alt = true;
        if (name->category != wanted) return leap_over(listing, name, wanted, leap);
        if (!in_domain(view, name) || !pxl_name_external(view, name, external)) return 0;
        pxl_name_settle(view, name, external);
    }
    if (!visible(listing, name, subject)) return 0;
    matched = pxl_query_match(listing->query, external->text, external->len, &dead);
    e.len = matched;
    e.exact = matched == external->len;
    if (matched) {
        if (listing->query->ancestors) pxl_fold_hear_ancestors(listing, e);
        if (!pxl_fold_hear(listing, &e)) return 0;
    } else if (selects(listing, PXL_SELECT_SUBSCRIBED)) {
        return 0;
    }
    if (!dead) return 0;
    if (selects(listing, PXL_SELECT_SUBSCRIBED))
        return leap_subscribed(listing, subject, leap, leap_below(listing, name, external, dead, leap));
    return leap_below(listing, name, external, dead, leap);
}

/* ---- passes ------------------------------------------------------------------------------------ */

/* Could the patterns' common beginning lead into a namespace with this prefix? */
static bool leads_into(const pxl_listing *listing, pxl_slice prefix)
{
    const pxl_bytes *common = &listing->query->common;
    size_t n = prefix.len < common->len ? prefix.len : common->len;

    return !n || !memcmp(prefix.data, common->data, n);
}

/* Do the patterns name users' mailboxes alone?  Where these are not below a prefix of their own, no shared
 * mailbox is called "user" and something. */
static bool means_users(const pxl_listing *listing)
{
    const pxl_bytes *common = &listing->query->common;

    return !listing->view->alt && common->len >= 5 && !memcmp(common->data, "user", 4)
           && common->data[4] == listing->view->separator;
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
        return (view->admin || view->shared) && leads_into(listing, view->shared_prefix) && !means_users(listing);
    case PASS_OWNER_DELETED:
        return view->own && !view->admin && view->allow_deleted;
    default:
        return (view->admin || (view->allow_deleted && view->shared)) && leads_into(listing, view->deleted_prefix);
    }
}

typedef struct {
    uint8_t text[2 * PXL_NAME_MAX];
    size_t len;
} prefix;

static void extend(prefix *p, const void *text, size_t len)
{
    if (len > sizeof p->text - p->len) len = sizeof p->text - p->len;
    pxl_copy(p->text + p->len, text, len);
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
    size_t below = p->len - owner.len;

    if (!selects(listing, PXL_SELECT_SUBSCRIBED) || !owner.len || !pxl_starts(p->text, p->len, owner.data, owner.len))
        return;
    memmove(p->text + 5, p->text + owner.len, below); /* an owner's key name is longer than that */
    memcpy(p->text, "INBOX", 5);
    p->len = 5 + below;
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

/* A row's stored key -> key name of the mailbox: subscriptions leave the owner out.  `shared` is what it
 * has in common with the one before. */
static bool name_of(const pxl_listing *listing, pxl_subject *subject, uint8_t *name, size_t *shared)
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
    *shared = *shared > 5 ? *shared - 5 + owner.len : 0;
    return true;
}

/* Walk one pass; PXL_MORE when `limit` stopped it, with the key to go on with kept. */
static int walk(pxl_listing *listing, size_t pass, size_t limit)
{
    uint8_t key[PXL_KEY_MAX + PXL_SLACK], name[PXL_NAME_MAX + PXL_SLACK], leap[PXL_KEY_MAX];
    pxl_subject subject;
    prefix p;
    naming n;
    size_t leap_len, shared;
    bool more;

    pass_prefix(listing, pass, &p);
    listing->own_pass = pass <= PASS_ALT_PREFIX;
    more = listing->resuming ? pxl_merge_seek(listing, listing->resume.data, listing->resume.len)
                             : pxl_merge_seek(listing, p.text, p.len);
    listing->resuming = false;
    listing->taken = SIZE_MAX;
    n.name.settled = SIZE_MAX;
    while (more && pxl_merge_take(listing, key, &subject)) {
        if (listing->shared < p.len && !pxl_starts(key, subject.key_len, p.text, p.len)) break;
        if (PASS[pass].exact && subject.key_len != p.len) break;
        if (pxl_answered(listing) >= limit) {
            listing->resume.len = 0;
            if (!pxl_bytes_add(&listing->resume, key, subject.key_len)) {
                pxl_listing_fail(listing, PXL_E_MEMORY, "out of memory");
                return PXL_E_MEMORY;
            }
            listing->resuming = true;
            return PXL_MORE;
        }
        shared = listing->shared;
        if (!name_of(listing, &subject, name, &shared)) {
            n.name.settled = SIZE_MAX; /* it is not of the key before any more */
            continue;
        }
        leap_len = consider(listing, PASS[pass].category, &subject, &n, shared, leap);
        if (leap_len == SIZE_MAX) break;
        if (leap_len && !pxl_merge_reaches(listing, leap, leap_len)) more = pxl_merge_seek(listing, leap, leap_len);
    }
    return PXL_OK;
}

int pxl_passes_walk(pxl_listing *listing, size_t limit)
{
    int result;

    for (; listing->pass < PASSES && !listing->failed; listing->pass++) {
        if (!applies(listing, listing->pass)) continue;
        if (PASS[listing->pass].reset && !listing->resuming && (listing->pass != PASS_OWNER || listing->view->alt))
            pxl_fold_reset(listing);
        if ((result = walk(listing, listing->pass, limit)) != PXL_OK) return result;
    }
    if (!listing->finished && !listing->failed) pxl_fold_reset(listing);
    listing->finished = true;
    return PXL_OK;
}
