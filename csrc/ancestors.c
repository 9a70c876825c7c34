/* ancestors.c - ancestors that do not exist, for LIST (vendor.fm-include-nonexistent).
 *
 * Before the row of a mailbox go the ancestors that no row stands for yet, each only if its external
 * name, read as an internal one, is a record of any kind.
 *
 * Source: imapd.c add_intermediates; mboxname.c mboxname_is_prefix, mboxname_contains_parent.
 */
#include "bytes.h"
#include "entry.h"
#include "listing.h"

/* Cyrus asks with dots here, whatever the separator is. */
static bool dot_prefix(pxl_slice longer, const uint8_t *shorter, size_t len)
{
    return pxl_starts(longer.data, longer.len, shorter, len) && (longer.len == len || longer.data[len] == '.');
}

bool pxl_ancestors_stand(const pxl_listing *listing, const pxl_event *e)
{
    size_t parent = e->len;

    if (!listing->last.set) return false;
    if (pxl_same(e->text, e->len, (const uint8_t *)"user", 4)) return true;
    while (parent > 0 && e->text[parent - 1] != '.') parent--;
    return dot_prefix(listing->said, e->text, parent ? parent - 1 : 0);
}

/* Does this octet of a key end a component when the external name is read back?  A '/' in a key is
 * no separator, but a client cannot tell. */
static bool parts(const pxl_view *view, uint8_t octet)
{
    return octet == PXL_SEPARATOR || (octet == '/' && view->separator == '/');
}

/* How an event's text is read when a client's spelling is what is known of it. */
typedef struct {
    pxl_name name;           /* whose components are dropped one by one */
    size_t start;            /* where it begins in the key: after the domain, if that is not read */
    size_t end;              /* of the components that the event has */
    pxl_slice domain;        /* '@' and what follows, which an admin's name has behind them; empty: nothing */
    uint8_t again[PXL_NAME_MAX + PXL_SLACK];  /* the key, if it is another one than the event's */
} reading;

/* A deleted mailbox's name: an admin's last component is the stamp, a user's is as good as any. */
static void read_deleted(const pxl_view *view, const pxl_event *e, reading *r)
{
    const size_t domain = e->name->domain_len ? e->name->domain_len + 1 : 0;
    size_t last = r->end;

    if (!view->admin) {
        r->name.boxes_at = domain;
        r->name.boxes_end = e->name->len;
        r->end = e->exact ? e->name->len : domain + e->len;
        if (r->end > e->name->len) r->end = e->name->len; /* the text may hold a domain, too */
        r->name.local_len = 0;
        r->name.stamp = 0;
        r->name.category = CATEGORY_SHARED;
    } else if (!e->exact) {
        while (last > e->name->boxes_at && !parts(view, e->name->key[last - 1])) last--;
        r->name.stamp = pxl_name_stamp(e->name->key + last, r->end - last);
        r->end = last > e->name->boxes_at ? last - 1 : last;
        if (!r->name.stamp && r->name.local_len) r->name.category = CATEGORY_OTHER_USER;
    }
}

/* An admin calls a mailbox by a name that begins like a deleted one's, and it is none: it is read as one. */
static bool looks_deleted(const pxl_view *view, const pxl_name *name)
{
    return view->admin && !name->stamp && !name->local_len && view->deleted_prefix.len
           && pxl_in_tree(name->key + name->boxes_at, name->boxes_end - name->boxes_at, view->deleted_prefix);
}

/* Take the components that it has, DELETED among them, for a key of their own.  False where nothing is left
 * between DELETED and the last one, which is the stamp. */
static bool read_again(const pxl_view *view, const pxl_event *e, reading *r)
{
    const size_t domain = e->exact && e->name->domain_len ? e->name->domain_len + 1 : 0;
    const size_t len = r->end - e->name->boxes_at;

    if (r->end <= e->name->boxes_at || domain + len > PXL_NAME_MAX) return false;
    memcpy(r->again, e->name->key, domain);
    memcpy(r->again + domain, e->name->key + e->name->boxes_at, len);
    for (size_t i = domain; i < domain + len; i++)
        if (parts(view, r->again[i])) r->again[i] = PXL_SEPARATOR;
    pxl_name_parse(view, r->again, domain + len, &r->name);
    r->end = r->name.boxes_end;
    return r->name.stepped;
}

/* An '@' that is no end of the domain's making is read as one.  The default domain is never written.
 * False where nothing is left in front of it. */
static bool read_domain(const pxl_view *view, const pxl_event *e, reading *r)
{
    size_t place = e->len;

    while (place > 0 && e->text[place - 1] != '@') place--;
    if (!place--) return true;
    if (e->name->stamp || place <= e->external->boxes || place < e->external->tail || place >= e->external->tail_end)
        return false;
    r->end = e->external->tail_key + (place - e->external->tail);
    r->domain = (pxl_slice){e->text + place, e->len - place};
    if (pxl_same(e->text + place + 1, r->domain.len - 1, view->default_domain.data, view->default_domain.len)) r->domain.len = 0;
    return r->end <= e->name->boxes_end;
}

/* Components of the event below the owner: none where its spelling names nothing.  An admin's name without
 * its end is without its domain too. */
static size_t read_event(const pxl_listing *listing, const pxl_event *e, reading *r)
{
    size_t depth = 1;

    r->name = *e->name;
    r->start = 0;
    r->end = e->exact ? e->name->boxes_end : e->external->tail_key + (e->len - e->external->tail);
    if (pxl_untypable(listing->view, e->text, e->len)) return 0;
    if (e->len <= e->external->boxes || e->len < e->external->tail || r->end > e->name->boxes_end) return 0;
    r->domain = (pxl_slice){NULL, 0};
    if (listing->view->admin_domains && !(e->exact && e->name->domain_len) && !read_domain(listing->view, e, r)) return 0;
    if (looks_deleted(listing->view, e->name)) {
        if (!read_again(listing->view, e, r)) return 0;
    } else if (e->name->stamp) {
        read_deleted(listing->view, e, r);
    }
    if (listing->view->admin_domains && !e->exact && r->name.domain_len) {
        r->start = r->name.domain_len + 1;
        r->name.domain_len = 0;
        /* Without it the deleted mailbox may be one of the admin's own. */
        if (r->name.stepped && !r->name.stamp && pxl_name_owned(listing->view, &r->name))
            r->name.category = CATEGORY_OWNER;
    }
    for (size_t i = r->name.boxes_at; i < r->end; i++) depth += parts(listing->view, r->name.key[i]);
    return r->end > r->name.boxes_at ? depth : 0;
}

/* The same name cut to its first `depth` components. */
static void cut_name(const pxl_view *view, const reading *r, size_t depth, pxl_name *cut)
{
    const pxl_name *name = &r->name;
    size_t end = name->boxes_at;

    for (size_t n = 0; n < depth; n++) {
        end += n > 0; /* over the separator */
        while (end < name->boxes_end && !parts(view, name->key[end])) end++;
    }
    *cut = *name;
    if (name->stepped) {
        cut->boxes_end = end;
        if (name->category == CATEGORY_OWNER && end <= name->boxes_at) cut->category = CATEGORY_INBOX;
        return;
    }
    if (!depth && name->local_len && name->boxes_at < name->len) end--;
    pxl_name_parse(view, name->key + r->start, end - r->start, cut);
}

/* What the event's name is called without all but the first `depth` components; false if nothing. */
static bool name_ancestor(const pxl_view *view, const reading *r, size_t depth, pxl_name *cut, pxl_extname *external)
{
    cut_name(view, r, depth, cut);
    if (!pxl_name_external(view, cut, external) || r->domain.len > PXL_EXTNAME_MAX - external->len) return false;
    if (r->domain.len) memcpy(external->text + external->len, r->domain.data, r->domain.len);
    external->len += r->domain.len;
    return true;
}

/* Its external name, read as an internal one, decides whether an ancestor counts as existing. */
static void mention_ancestor(pxl_listing *listing, const pxl_name *name, const pxl_extname *external)
{
    uint8_t read[PXL_NAME_MAX + PXL_SLACK], other[PXL_NAME_MAX + PXL_SLACK];
    size_t len = pxl_name_from_internal(external->text, external->len, read, PXL_NAME_MAX);
    pxl_slice key = len ? pxl_name_read_back(listing->view, read, len, other) : (pxl_slice){NULL, 0};
    pxl_subject subject = {.key = key.data, .key_len = key.len};
    pxl_name meant;
    pxl_event e = {external->text, external->len, false, name, external, &subject};

    if (!key.len || !pxl_listing_lookup(listing, key.data, key.len, &subject.mbtype)) return;
    subject.mbtype |= PXL_INTERMEDIATE;
    pxl_name_parse(listing->view, key.data, key.len, &meant);
    e.name = &meant;
    pxl_fold_accept(listing, &e, &subject);
}

void pxl_ancestors_mention(pxl_listing *listing, const pxl_event *e)
{
    pxl_extname external;
    pxl_name cut;
    reading r;
    size_t depth = read_event(listing, e, &r), least = depth;

    /* Youngest to oldest, until the row of memory is one or stands below one ... */
    while (least > 0) {
        if (!name_ancestor(listing->view, &r, least - 1, &cut, &external)) break;
        if (listing->last.set && dot_prefix(listing->said, external.text, external.len)) break;
        least--;
    }
    /* ... then answer them oldest to youngest. */
    for (; least < depth; least++) {
        if (name_ancestor(listing->view, &r, least, &cut, &external)) mention_ancestor(listing, &cut, &external);
    }
}
