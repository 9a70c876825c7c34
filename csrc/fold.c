/* fold.c - events folded into rows.
 *
 * An event is the part of a mailbox's external name that a pattern matched.  The same name again and
 * its descendants only set flags of the row before, and one row of memory is all that takes, because
 * the rows of a subtree are adjacent.  It also is all that the server has: where subtrees are not
 * adjacent (two domains, a name in two passes) the same row is answered twice, as the server does.
 *
 * Source: imapd.c list_cb, subscribed_cb, perform_output; every rule is seen in recorded answers.
 */
#include "bytes.h"
#include "entry.h"
#include "listing.h"

/* ---- rows -------------------------------------------------------------------------------------- */

PXL_STEP void begin_row(pxl_listing *listing, pxl_answer_row *row, const pxl_event *e, const pxl_subject *subject)
{
    const uint8_t *key = subject ? subject->key : e->name->key;
    size_t key_len = subject ? subject->key_len : e->name->len;

    row->attributes = row->children = 0;
    row->set = pxl_bytes_move(&row->name, e->text, e->len) && pxl_bytes_move(&row->key, key, key_len);
    if (!row->set) pxl_listing_fail(listing, PXL_E_MEMORY, "out of memory");
    row->plain = e->name->plain && key == e->name->key;
    row->has_subject = subject != NULL;
    if (subject) row->subject = *subject;
    row->subject.key = row->key.data;
    row->subject.key_len = key_len;
}

void pxl_row_begin(pxl_listing *listing, pxl_answer_row *row, const pxl_event *e, const pxl_subject *subject)
{
    begin_row(listing, row, e, subject);
}

/* Answer the row of memory, if there is one. */
PXL_STEP void finish_row(pxl_listing *listing)
{
    pxl_answer_row *last = &listing->last;

    if (!last->set) return;
    last->set = false;
    if (listing->line != SIZE_MAX) {
        pxl_answer_end(listing);
        return;
    }
    if (selects(listing, PXL_RETURN_SUBSCRIBED) && !selects(listing, PXL_SELECT_SUBSCRIBED) && last->has_subject
        && pxl_listing_subscribed(listing, last->key.data, last->key.len))
        last->attributes |= last->attributes & PXL_NONEXISTENT ? PXL_CHILDINFO : PXL_SUBSCRIBED;
    if (!selects(listing, PXL_SELECT_SUBSCRIBED) || (last->attributes & (PXL_SUBSCRIBED | PXL_CHILDINFO)))
        pxl_answer(listing, last);
}

/* The first component below the owner that this event is about; empty if it ends above it. */
static pxl_slice first_component(const pxl_listing *listing, const pxl_event *e, bool whole)
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

/* Does a hidden component begin like the event's?  Nearly never, and then its end is not sought. */
static bool may_be_hidden(const pxl_listing *listing, const pxl_event *e, bool whole)
{
    size_t at = whole ? e->name->boxes_at : e->external->boxes, end = whole ? e->name->boxes_end : e->len;
    uint8_t first = at < end ? (whole ? e->name->key : e->text)[at] : 0;

    return listing->hidden_first[first / 64] >> first % 64 & 1;
}

/* How many octets of the key an event is about.  The domain that crossdomains hangs on a component is none of
 * them; what follows it is told by its distance from the end, or from the component it goes on with. */
static size_t key_length(const pxl_event *e)
{
    const pxl_extname *external = e->external;

    if (e->len <= external->tail_end) return external->tail_key + (e->len - external->tail);
    if (external->boxes < external->tail_end) return e->name->boxes_end - (external->len - e->len);
    if (e->len < external->boxes) return external->tail_key + (external->tail_end - external->tail);
    return e->name->boxes_at + (e->len - external->boxes);
}

/* The part of the key that the event is about.  Below the deleted prefix and without a stamp, that prefix is
 * no part of the name: the rest is put together in `part`. */
static pxl_slice key_matched(const pxl_event *e, uint8_t *part)
{
    const pxl_name *name = e->name;
    const size_t domain = name->domain_len ? name->domain_len + 1 : 0;
    size_t start = name->local_len ? name->local_at - 5 /* "user" */ : name->boxes_at, len = key_length(e);

    if (len > name->len) len = name->len;
    if (!name->stepped || name->stamp) return (pxl_slice){name->key, len};
    if (start > len) start = len;
    memcpy(part, name->key, domain);
    memcpy(part + domain, name->key + start, len - start);
    return (pxl_slice){part, domain + len - start};
}

/* The same for a name that is another one in Cyrus' text form, where '!' ends a domain and the last
 * component of a deleted mailbox, whichever that is when a part was matched, is its stamp.  What no
 * client could type ('^' under '/', '/' under '.') is nothing where a name is read as typed. */
static bool hidden_as_read(const pxl_listing *listing, const pxl_event *e, bool whole, uint32_t count)
{
    uint8_t part[PXL_NAME_MAX], other[PXL_NAME_MAX];
    pxl_slice key = {e->name->key, e->name->len};
    pxl_name name;
    size_t end;

    if (!whole && pxl_untypable(listing->view, e->text, e->len)) return false;
    if (!whole && !e->exact) key = key_matched(e, part);
    key = pxl_name_read_back(listing->view, key.data, key.len, other);
    if (!key.len) return false;
    pxl_name_parse(listing->view, key.data, key.len, &name);
    for (end = name.boxes_at; end < name.boxes_end && key.data[end] != PXL_SEPARATOR;) end++;
    return pxl_name_hidden(listing->view, key.data + name.boxes_at, end - name.boxes_at, count);
}

static bool read_otherwise(const pxl_listing *listing, const pxl_event *e, bool whole)
{
    if (!e->name->domain_len && memchr(e->name->key, '!', e->name->len)) return true;
    if (e->name->stepped && !(whole && e->name->stamp)) return true;
    return !whole && pxl_untypable(listing->view, e->text, e->len);
}

PXL_STEP bool event_hidden(const pxl_listing *listing, const pxl_event *e, bool whole, uint32_t count)
{
    pxl_slice component;

    if (!e->name->plain && read_otherwise(listing, e, whole)) return hidden_as_read(listing, e, whole, count);
    if (!may_be_hidden(listing, e, whole)) return false;
    component = first_component(listing, e, whole);
    return pxl_name_hidden(listing->view, component.data, component.len, count);
}

bool pxl_event_hidden(const pxl_listing *listing, const pxl_event *e, bool whole, uint32_t count)
{
    return event_hidden(listing, e, whole, count);
}

/* Mailboxes that are no IMAP mailboxes: kept out of rows, though their events were heard. */
PXL_STEP bool hidden(const pxl_listing *listing, const pxl_event *e, const pxl_subject *subject)
{
    uint32_t mbtype = subject ? subject->mbtype : 0, class = mbtype & PXL_CLASS;

    if (listing->view->admin) return false;
    if (class == PXL_NETNEWS) return true;
    if ((mbtype & PXL_INTERMEDIATE) && !selects(listing, PXL_SELECT_NONEXISTENT)) return true;
    if (selects(listing, PXL_SELECT_DAV)) return false;
    if (class) return true;
    return event_hidden(listing, e, subject != NULL, listing->view->hidden_count);
}

PXL_STEP bool same_as_last(const pxl_listing *listing, const pxl_event *e)
{
    return listing->last.set && pxl_same(listing->said.data, listing->said.len, e->text, e->len);
}

/* Is `text` below the row of memory? */
PXL_STEP bool below_last(const pxl_listing *listing, const pxl_event *e)
{
    const pxl_slice said = listing->said;

    return listing->last.set && e->len > said.len && e->text[said.len] == listing->view->separator
           && !memcmp(said.data, e->text, said.len);
}

/* Is `text` an ancestor of the row of memory? */
PXL_STEP bool above_last(const pxl_listing *listing, const pxl_event *e)
{
    const pxl_slice said = listing->said;

    return listing->last.set && e->len < said.len && said.data[e->len] == listing->view->separator
           && !memcmp(said.data, e->text, e->len);
}

/* Is all that will be said of the event's mailbox whether any is below it?  See list_event for what else there is. */
PXL_STEP bool says_no_more(const pxl_listing *listing, const pxl_event *e)
{
    return listing->ordinary && e->exact && e->name->category != CATEGORY_ALT_INBOX
           && !(e->subject->mbtype & PXL_INTERMEDIATE);
}

PXL_STEP bool accept(pxl_listing *listing, const pxl_event *e, const pxl_subject *subject)
{
    if (hidden(listing, e, subject)) return false;
    if (same_as_last(listing, e) || above_last(listing, e)) return false;
    finish_row(listing);
    if (says_no_more(listing, e)) {
        pxl_answer_begin(listing, e->text, e->len);
    } else {
        begin_row(listing, &listing->last, e, subject);
        listing->said = (pxl_slice){listing->last.name.data, listing->last.name.len};
    }
    return true;
}

bool pxl_fold_accept(pxl_listing *listing, const pxl_event *e, const pxl_subject *subject)
{
    return accept(listing, e, subject);
}

/* ---- events ------------------------------------------------------------------------------------ */

/* A plain or extended LIST; true when its row stands (or stood already), so that leaping is safe. */
static bool list_event(pxl_listing *listing, const pxl_event *e)
{
    pxl_answer_row *last = &listing->last;
    bool dav = e->subject->mbtype & PXL_COLLECTION;

    if (e->name->stamp && !listing->view->admin
        && !(selects(listing, PXL_SELECT_DELETED) && listing->view->allow_deleted))
        return false;
    if (below_last(listing, e) || (!e->exact && same_as_last(listing, e)))
        last->attributes |= PXL_HASCHILDREN;
    else if (!(last->attributes & PXL_HASCHILDREN))
        last->attributes |= PXL_HASNOCHILDREN;
    if (selects(listing, PXL_SELECT_NONEXISTENT) && (selects(listing, PXL_SELECT_DAV) || !dav)
        && !pxl_ancestors_stand(listing, e))
        pxl_ancestors_mention(listing, e);
    if (!accept(listing, e, e->subject)) return same_as_last(listing, e);
    if (!e->exact)
        last->attributes |= PXL_HASCHILDREN | PXL_NONEXISTENT;
    else if (e->name->category == CATEGORY_ALT_INBOX)
        last->attributes |= PXL_NOINFERIORS;
    return true;
}

/* Whether anything is below is asked now, though the row may not need it: the directory's cursor stands there. */
bool pxl_event_find(pxl_listing *listing, const pxl_event *e, pxl_subject *subject, uint32_t *children)
{
    pxl_slice key = pxl_name_read_back(listing->view, e->name->key, e->name->len, listing->found);
    bool found;

    *subject = (pxl_subject){.key = key.data, .key_len = key.len};
    *children = 0;
    if (!key.len) return false;
    found = pxl_listing_lookup(listing, subject->key, subject->key_len, &subject->mbtype)
            && !(subject->mbtype & (PXL_TOMBSTONE | PXL_INTERMEDIATE | PXL_RESERVED));
    if (selects(listing, PXL_RETURN_CHILDREN))
        *children = pxl_listing_has_children(listing, key.data, key.len) ? PXL_HASCHILDREN : PXL_HASNOCHILDREN;
    return found;
}

/* LSUB and LIST (SUBSCRIBED).  Flags go to the row of memory even when the event was refused.  True when
 * the same part of another name would add nothing. */
static bool subscribed_event(pxl_listing *listing, const pxl_event *e)
{
    pxl_answer_row *last = &listing->last;
    pxl_subject subject;
    uint32_t children;
    bool found;

    if (below_last(listing, e) || (!e->exact && same_as_last(listing, e))) last->attributes |= PXL_HASCHILDREN;
    if (e->exact) {
        found = pxl_event_find(listing, e, &subject, &children);
        if (pxl_fold_accept(listing, e, found ? &subject : NULL)) last->children = children;
        last->attributes |= PXL_SUBSCRIBED;
        if (!found) last->attributes |= PXL_NONEXISTENT;
        if (e->name->category == CATEGORY_ALT_INBOX) last->attributes |= PXL_NOINFERIORS;
        return false;
    }
    if (listing->query->form != PXL_FORM_LSUB) return true;
    pxl_fold_accept(listing, e, NULL);
    last->attributes |= PXL_CHILDINFO;
    return same_as_last(listing, e) && (last->attributes & PXL_HASCHILDREN);
}

bool pxl_fold_hear(pxl_listing *listing, const pxl_event *e)
{
    if (selects(listing, PXL_SELECT_RECURSIVEMATCH)) return pxl_recursive_hear(listing, e);
    if (selects(listing, PXL_SELECT_SUBSCRIBED)) return subscribed_event(listing, e);
    return list_event(listing, e) && !selects(listing, PXL_SELECT_NONEXISTENT);
}

/* A single pattern that ends in "*%" also hears every shorter ancestor that it matches. */
void pxl_fold_hear_ancestors(pxl_listing *listing, pxl_event e)
{
    size_t whole = e.len, dead;

    e.exact = false;
    for (size_t i = 0; i < whole; i++) {
        if (e.text[i] != listing->view->separator) continue;
        e.len = i;
        if (i && pxl_query_match(listing->query, e.text, i, &dead) == i) pxl_fold_hear(listing, &e);
    }
}

/* Rows before and after never influence each other: between two passes, and at the end. */
void pxl_fold_reset(pxl_listing *listing)
{
    if (selects(listing, PXL_SELECT_RECURSIVEMATCH)) return;
    if (!selects(listing, PXL_SELECT_SUBSCRIBED) && !(listing->last.attributes & PXL_HASCHILDREN))
        listing->last.attributes |= PXL_HASNOCHILDREN;
    finish_row(listing);
}
