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
static bool dot_prefix(const pxl_bytes *longer, const uint8_t *shorter, size_t len)
{
    return pxl_starts(longer->data, longer->len, shorter, len) && (longer->len == len || longer->data[len] == '.');
}

bool pxl_ancestors_stand(const pxl_listing *listing, const pxl_event *e)
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
static size_t depth_of(const pxl_listing *listing, const pxl_event *e)
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
static void cut_name(const pxl_view *view, const pxl_event *e, size_t depth, pxl_name *cut)
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
    pxl_event e = {external->text, external->len, false, name, external, &subject};

    if (!len || !pxl_listing_lookup(listing, key, len, &subject.mbtype)) return;
    subject.mbtype |= PXL_INTERMEDIATE;
    pxl_name_parse(listing->view, key, len, &meant);
    e.name = &meant;
    pxl_fold_accept(listing, &e, &subject);
}

void pxl_ancestors_mention(pxl_listing *listing, const pxl_event *e)
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
