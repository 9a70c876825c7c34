/* subscribed.c - is a mailbox subscribed to, for LIST ... RETURN (SUBSCRIBED).
 *
 * Cyrus compares names in its text form, in which some keys are others (see pxl_name_read_back).  So
 * the subscriptions are asked for the key, and then for what it is read as; and those that no key asks
 * for like that, which nearly nobody has, are kept by what they are read as.
 *
 * Source: imapd.c list_cb; mboxlist.c mboxlist_usersubs.
 */
#include "bytes.h"
#include "entry.h"
#include "listing.h"

static bool is_own(const pxl_listing *listing, const uint8_t *key, size_t len)
{
    pxl_slice owner = listing->view->owner;

    return owner.len && pxl_starts(key, len, owner.data, owner.len);
}

/* Subscriptions are kept relative to the owner: his own tree, by string prefix, begins "INBOX", so
 * that no shared mailbox whose name does can be subscribed to. */
static bool is_stored(pxl_listing *listing, const uint8_t *key, size_t len)
{
    pxl_slice owner = listing->view->owner;
    uint8_t stored[PXL_NAME_MAX + 8];
    size_t cut = is_own(listing, key, len) ? owner.len : 0, head = cut ? 5 : 0;
    pxl_cursor *at;

    if (len > PXL_NAME_MAX || (!cut && pxl_starts(key, len, (const uint8_t *)"INBOX", 5))) return false;
    memcpy(stored, "INBOX", head);
    memcpy(stored + head, key + cut, len - cut);
    len += head - cut;
    at = pxl_listing_probe_at(listing, PXL_ROLE_SUBSCRIPTIONS, stored, len);
    return pxl_cursor_is_at(at, stored, len);
}

/* Keep a stored subscription by what it is read as, if it is not found by its key: where that is something else, and
 * where one's own tree stands with its whole name, as it does for who was renamed to what he had subscribed to. */
static void keep_other(pxl_listing *listing, const pxl_cursor *at)
{
    const bool own = pxl_starts(at->row.key, at->row.keylen, (const uint8_t *)"INBOX", 5);
    const pxl_slice owner = own ? listing->view->owner : (pxl_slice){NULL, 0};
    uint8_t key[PXL_NAME_MAX], other[PXL_NAME_MAX];
    const size_t skip = own ? 5 : 0, len = owner.len + at->row.keylen - skip;
    pxl_slice read;

    if (len > sizeof key) return;
    if (owner.len) memcpy(key, owner.data, owner.len);
    memcpy(key + owner.len, at->row.key + skip, at->row.keylen - skip);
    for (size_t i = owner.len; at->dots && i < len; i++)
        if (key[i] == 1) key[i] = '.';
    read = pxl_name_read_back(listing->view, key, len, other);
    if (read.len && (read.data != key || (!own && is_own(listing, key, len))))
        pxl_kept_add(listing, &(pxl_answer_row){.name = {.data = read.data == key ? key : other, .len = read.len}});
}

static void keep_others(pxl_listing *listing)
{
    pxl_cursor *at = pxl_listing_probe_at(listing, PXL_ROLE_SUBSCRIPTIONS, NULL, 0);

    listing->others_known = true;
    for (; at && at->on_row && !listing->failed; pxl_cursor_next(listing, at)) keep_other(listing, at);
    if (listing->kept_len) pxl_kept_sort(listing);
}

bool pxl_listing_subscribed(pxl_listing *listing, const uint8_t *key, size_t len)
{
    uint8_t other[PXL_NAME_MAX];
    pxl_slice read;

    if (is_stored(listing, key, len)) return true;
    if (!listing->others_known) keep_others(listing);
    read = pxl_name_read_back(listing->view, key, len, other);
    if (!read.len) return false;
    return (read.data != key && is_stored(listing, read.data, read.len)) || pxl_kept_has(listing, read);
}
