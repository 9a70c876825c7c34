/* answer.c - one row -> its flags -> octets.
 *
 * Flags are decided in one order, and the order matters: each step sees what those before left.
 * An untagged line is
 *
 *     * LIST (\Noinferiors \Noselect \NonExistent \Subscribed \HasChildren \HasNoChildren \use) "/" name
 *
 * with a name printed as an atom if it can be one, else quoted, else as a literal.
 *
 * Source: imapd.c list_response, printmyrights; imap_proxy.c print_listresponse; prot.c
 * prot_printastring; RFC 5258, 5819, 6154, 8440.
 */
#include <stdio.h>

#include "bytes.h"
#include "entry.h"
#include "listing.h"
#include "octets.h"

#define QUOTED_MAX 1024

static bool returns(const pxl_listing *listing, uint32_t option)
{
    return listing->query->options & option;
}

/* ---- octets ------------------------------------------------------------------------------------ */

static inline void put(pxl_listing *listing, const void *text, size_t len)
{
    if (!pxl_bytes_add(&listing->out, text, len)) pxl_listing_fail(listing, PXL_E_MEMORY, "out of memory");
}

static inline void put_text(pxl_listing *listing, const char *text)
{
    put(listing, text, strlen(text));
}

/* Room at the end for `n` octets, and PXL_SLACK more to write to; NULL when there is none. */
static inline uint8_t *reserve(pxl_listing *listing, size_t n)
{
    if (n + PXL_SLACK > listing->out.cap - listing->out.len && !pxl_bytes_room(&listing->out, n + PXL_SLACK)) {
        pxl_listing_fail(listing, PXL_E_MEMORY, "out of memory");
        return NULL;
    }
    return listing->out.data + listing->out.len;
}

#define NO_ATOM 1u
#define NO_QUOTED 3u

/* What an octet forbids a string that holds it to be. */
static const uint8_t FORBIDS[256] = {
    [0x00] = NO_QUOTED, [0x01 ... 0x09] = NO_ATOM, ['\n'] = NO_QUOTED, [0x0b ... 0x0c] = NO_ATOM, ['\r'] = NO_QUOTED,
    [0x0e ... 0x1e] = NO_ATOM, [' '] = NO_ATOM, ['"'] = NO_QUOTED, ['%'] = NO_QUOTED, ['('] = NO_ATOM, [')'] = NO_ATOM,
    ['*'] = NO_ATOM, ['\\'] = NO_QUOTED, ['{'] = NO_ATOM, [0x7f] = NO_ATOM, [0x80 ... 0xff] = NO_QUOTED,
};

/* What octets forbid, a vector at a time; the last one overlaps those before.  Between '+' and 'z' only
 * the backslash forbids anything, and a space no more than atoms: nearly all names are made of these.
 * In a name with any other octet each is looked up. */
#define FORBIDDEN(octets, text, len)                                                    \
    octets spaces = {0}, odd = {0};                                                     \
    uint64_t found[2] = {0, 0};                                                         \
    for (size_t i = 0; i < (len); i += sizeof(octets)) {                                \
        octets v;                                                                       \
        if (i > (len) - sizeof v) i = (len) - sizeof v;                                 \
        memcpy(&v, (text) + i, sizeof v);                                               \
        spaces |= (octets)(v == ' ');                                                   \
        odd |= ((octets)(v - '+' > 'z' - '+') & (octets)(v != ' ')) | (octets)(v == '\\'); \
    }                                                                                   \
    memcpy(found, &odd, sizeof odd);                                                    \
    if (found[0] | found[1]) return looked_up(text, len);                               \
    memcpy(found, &spaces, sizeof spaces);                                              \
    return found[0] | found[1] ? NO_ATOM : 0;

static unsigned looked_up(const uint8_t *text, size_t len)
{
    unsigned forbidden = 0;

    for (size_t i = 0; i < len; i++) forbidden |= FORBIDS[text[i]];
    return forbidden;
}

static inline unsigned forbidden_by(const uint8_t *text, size_t len)
{
    if (len >= 16) {
        FORBIDDEN(pxl_octets16, text, len)
    }
    if (len >= 8) {
        FORBIDDEN(pxl_octets8, text, len)
    }
    return looked_up(text, len);
}

/* A name between `before` and `after`, all of which may be read PXL_SLACK octets behind their ends.  Where the name
 * stands in `out` then; NULL without memory. */
PXL_STEP const uint8_t *put_name(pxl_listing *listing, pxl_slice before, const uint8_t *text, size_t len, pxl_slice after)
{
    char head[32];
    unsigned forbidden = forbidden_by(text, len);
    const uint8_t *name;
    uint8_t *p;

    if (!len || (len == 3 && !memcmp(text, "NIL", 3))) forbidden |= NO_ATOM;
    if (len >= QUOTED_MAX) forbidden = NO_QUOTED;
    if (forbidden == NO_QUOTED) {
        put(listing, before.data, before.len);
        put(listing, head, (size_t)snprintf(head, sizeof head, "{%zu}\r\n", len));
        before.len = 0;
    }
    if (!(p = reserve(listing, before.len + len + 2 + after.len))) return NULL;
    pxl_move(p, before.data, before.len);
    p += before.len;
    *p = '"';
    p += forbidden == NO_ATOM;
    name = p;
    pxl_move(p, text, len);
    p += len;
    *p = '"';
    p += forbidden == NO_ATOM;
    pxl_move(p, after.data, after.len);
    listing->out.len = (size_t)(p + after.len - listing->out.data);
    return name;
}

static void put_astring(pxl_listing *listing, const uint8_t *text, size_t len)
{
    const pxl_slice nothing = {NULL, 0};

    put_name(listing, nothing, text, len, nothing);
}

/* ---- flags ------------------------------------------------------------------------------------- */

static bool is_inbox(const pxl_answer_row *row)
{
    return pxl_same(row->name.data, row->name.len, (const uint8_t *)"INBOX", 5);
}

/* A user's deleted mailbox, with its domain: only an admin who types that means a user's. */
static bool is_foreign_deleted(const pxl_view *view, const pxl_answer_row *row)
{
    pxl_name name;

    if (view->admin || !view->crossdomains) return false;
    pxl_name_parse(view, row->key.data, row->key.len, &name);
    return name.stamp && name.local_len && pxl_name_shows_domain(view, &name);
}

/* A name without a mailbox is asked about as a client would type it, and these are none: the root of
 * all users, what holds an octet that no name may, and what is read as a name of nobody's. */
static bool means_nothing(const pxl_view *view, const pxl_answer_row *row)
{
    const pxl_slice root = view->alt ? view->user_prefix : (pxl_slice){(const uint8_t *)"user", 4};

    if (row->has_subject) return false;
    if (is_foreign_deleted(view, row)) return true;
    return pxl_same(row->name.data, row->name.len, root.data, root.len)
           || pxl_untypable(view, row->name.data, row->name.len);
}

/* The key that Cyrus asks about for this row: see pxl_name_read_back. */
static pxl_slice key_asked(const pxl_listing *listing, const pxl_answer_row *row, uint8_t *other)
{
    if (row->plain) return (pxl_slice){row->key.data, row->key.len};
    return pxl_name_read_back(listing->view, row->key.data, row->key.len, other);
}

/* Rows that folding told nothing about: ask the directory, rights or no rights.  Under altnamespace
 * INBOX's children are not below it. */
static void ask_for_children(pxl_listing *listing, const pxl_answer_row *row, uint32_t *attributes)
{
    uint8_t other[PXL_NAME_MAX];
    pxl_slice key;

    if (*attributes & (PXL_HASCHILDREN | PXL_HASNOCHILDREN)) return;
    key = key_asked(listing, row, other);
    if ((listing->view->alt && is_inbox(row)) || means_nothing(listing->view, row) || !key.len)
        *attributes |= PXL_HASNOCHILDREN;
    else if (row->children && key.data == row->key.data)
        *attributes |= row->children;
    else
        *attributes |= pxl_listing_has_children(listing, key.data, key.len) ? PXL_HASCHILDREN : PXL_HASNOCHILDREN;
}

/* A name that cannot be opened is worth a row only for what is below it, or to those who asked. */
static bool worth_a_row(const pxl_listing *listing, uint32_t attributes)
{
    if (!(attributes & (PXL_NONEXISTENT | PXL_NOSELECT)) || listing->query->form == PXL_FORM_EXTENDED) return true;
    if (listing->query->form != PXL_FORM_LSUB) return attributes & PXL_HASCHILDREN;
    return attributes & (listing->view->lsub_keeps_missing ? PXL_CHILDINFO | PXL_SUBSCRIBED : PXL_CHILDINFO);
}

static uint32_t settle(const pxl_listing *listing, uint32_t attributes)
{
    const int form = listing->query->form;

    if (form == PXL_FORM_LSUB) {
        /* Here \Noselect means: not subscribed, but something below is. */
        if (!(attributes & PXL_SUBSCRIBED) && (attributes & PXL_CHILDINFO)) attributes |= PXL_NOSELECT | PXL_HASCHILDREN;
        if (listing->view->lsub_keeps_missing && (attributes & PXL_SUBSCRIBED)) attributes &= ~(uint32_t)PXL_NOSELECT;
        attributes &= ~(uint32_t)PXL_SUBSCRIBED;
    }
    if (!returns(listing, PXL_SELECT_RECURSIVEMATCH)) attributes &= ~(uint32_t)PXL_CHILDINFO;
    if (attributes & PXL_NOINFERIORS) attributes &= ~(uint32_t)PXL_HASCHILDREN;
    if (attributes & PXL_HASCHILDREN) attributes &= ~(uint32_t)PXL_HASNOCHILDREN;
    if (form == PXL_FORM_EXTENDED) {
        if (attributes & PXL_NOINFERIORS) attributes &= ~(uint32_t)PXL_HASNOCHILDREN;
        if (attributes & PXL_NONEXISTENT) attributes &= ~(uint32_t)PXL_NOSELECT;
    }
    return attributes;
}

/* RFC 6154 attributes of the user's own mailboxes, as one string. */
static pxl_slice special_use(pxl_listing *listing, const pxl_answer_row *row)
{
    const bool xlist = listing->query->form == PXL_FORM_XLIST;
    const pxl_slice owner = listing->view->owner, none = {NULL, 0};
    uint8_t other[PXL_NAME_MAX];
    pxl_slice key;

    if (!row->has_subject || !(listing->uses || xlist)) return none;
    if (!(listing->view->special_use_always || xlist || returns(listing, PXL_RETURN_SPECIAL_USE))) return none;
    if (!owner.len || !pxl_in_tree(row->key.data, row->key.len, owner)) return none;
    if (row->key.len == owner.len) return xlist ? (pxl_slice){(const uint8_t *)"\\Inbox", 6} : none;
    key = key_asked(listing, row, other);
    return key.len ? pxl_listing_special_use(listing, key.data, key.len) : none;
}

/* ---- lines ------------------------------------------------------------------------------------- */

static void put_flags(pxl_listing *listing, uint32_t attributes)
{
    static const struct {
        uint32_t attribute;
        const char *text;
    } FLAGS[] = {
        {PXL_NOINFERIORS, "\\Noinferiors"}, {PXL_NOSELECT, "\\Noselect"},       {PXL_NONEXISTENT, "\\NonExistent"},
        {PXL_SUBSCRIBED, "\\Subscribed"},   {PXL_HASCHILDREN, "\\HasChildren"}, {PXL_HASNOCHILDREN, "\\HasNoChildren"},
    };
    const char *space = "";

    for (size_t i = 0; i < sizeof FLAGS / sizeof *FLAGS; i++) {
        if (!(attributes & FLAGS[i].attribute)) continue;
        put_text(listing, space);
        put_text(listing, FLAGS[i].text);
        space = " ";
    }
}

/* Write "* LIST (flags) "/" " and keep it in a slot of listing->heads. */
static void put_new_head(pxl_listing *listing, uint32_t attributes, size_t slot)
{
    static const char *const VERBS[] = {"LIST", "XLIST", "LSUB", "LIST"};
    const char delimiter[] = {')', ' ', '"', (char)listing->view->separator, '"', ' '};
    size_t start = listing->out.len, len;

    put_text(listing, "* ");
    put_text(listing, VERBS[listing->query->form]);
    put_text(listing, " (");
    put_flags(listing, attributes);
    put(listing, delimiter, sizeof delimiter);
    len = listing->out.len - start;
    if (listing->failed || len > sizeof listing->heads[slot].text - PXL_SLACK) return;
    listing->heads[slot].attributes = attributes;
    listing->heads[slot].len = (uint32_t)len;
    memcpy(listing->heads[slot].text, listing->out.data + start, len);
}

/* What is left to put of the head of a line: all of it if attributes like these were met before, else nothing. */
PXL_STEP pxl_slice head_left(pxl_listing *listing, uint32_t attributes)
{
    size_t slot = 0;

    while (slot < 3 && listing->heads[slot].len && listing->heads[slot].attributes != attributes) slot++;
    if (listing->heads[slot].len && listing->heads[slot].attributes == attributes)
        return (pxl_slice){listing->heads[slot].text, listing->heads[slot].len};
    put_new_head(listing, attributes, slot);
    return (pxl_slice){NULL, 0};
}

/* A use goes before the bracket that closes the flags. */
static void put_use(pxl_listing *listing, uint32_t attributes, pxl_slice use)
{
    const char delimiter[] = {')', ' ', '"', (char)listing->view->separator, '"', ' '};
    bool flags = attributes & ~(uint32_t)PXL_CHILDINFO;

    if (!use.len || listing->failed) return;
    listing->out.len -= sizeof delimiter;
    if (flags) put(listing, " ", 1);
    put(listing, use.data, use.len);
    put(listing, delimiter, sizeof delimiter);
}

static void put_list(pxl_listing *listing, const pxl_answer_row *row, uint32_t attributes, pxl_slice use)
{
    const pxl_slice head = head_left(listing, attributes);

    put(listing, head.data, head.len);
    put_use(listing, attributes, use);
    put_astring(listing, row->name.data, row->name.len);
    if (attributes & PXL_CHILDINFO) put_text(listing, " (CHILDINFO (\"SUBSCRIBED\"))");
    put_text(listing, "\r\n");
}

/* Nearly every row has none below it, and the line says so; whether one has is known when the next name comes. */
void pxl_answer_begin(pxl_listing *listing, const uint8_t *text, size_t len)
{
    static const uint8_t END[2 + PXL_SLACK] = "\r\n";
    const size_t line = listing->out.len;
    const pxl_slice head = head_left(listing, PXL_HASNOCHILDREN);

    listing->said = (pxl_slice){put_name(listing, head, text, len, (pxl_slice){END, 2}), len};
    listing->last.attributes = 0;
    listing->last.set = !listing->failed;
    if (listing->last.set) listing->line = line;
}

/* Take the "No" out of \HasNoChildren, the one flag of an ordinary line, if there are any. */
void pxl_answer_end(pxl_listing *listing)
{
    uint8_t *no = listing->out.data + listing->line + strlen("* LIST (\\Has");

    listing->line = SIZE_MAX;
    if (!(listing->last.attributes & PXL_HASCHILDREN)) return;
    listing->out.len -= strlen("No");
    memmove(no, no + strlen("No"), (size_t)(listing->out.data + listing->out.len - no));
}

/* Is the row's mailbox the view's own, as Cyrus reads its name? */
static bool is_own(const pxl_listing *listing, const pxl_answer_row *row)
{
    if (row->plain) return pxl_in_tree(row->key.data, row->key.len, listing->view->owner);
    return pxl_name_own_as_read(listing->view, row->key.data, row->key.len);
}

/* Stored rights, and what the view has by what it is. */
static uint32_t rights_of(pxl_listing *listing, const pxl_answer_row *row)
{
    uint32_t rights = pxl_listing_rights(listing, &row->subject);

    if (listing->view->admin) return rights | listing->view->admin_rights;
    return is_own(listing, row) ? rights | listing->view->owner_rights : rights;
}

static void put_myrights(pxl_listing *listing, const pxl_answer_row *row)
{
    uint32_t rights = rights_of(listing, row);
    uint8_t text[32];

    if (!(rights & (PXL_RIGHT_L | PXL_RIGHT_R | PXL_RIGHT_I | PXL_RIGHT_K | PXL_RIGHT_X | PXL_RIGHT_A))) return;
    put_text(listing, "* MYRIGHTS ");
    put_astring(listing, row->name.data, row->name.len);
    put_text(listing, " ");
    put(listing, text, pxl_rights_print(rights, text));
    put_text(listing, "\r\n");
}

static void put_status(pxl_listing *listing, const pxl_answer_row *row, pxl_slice items)
{
    if (!items.len) return;
    put_text(listing, "* STATUS ");
    put_astring(listing, row->name.data, row->name.len);
    put_text(listing, " ");
    put(listing, items.data, items.len);
    put_text(listing, "\r\n");
}

static void put_lines(pxl_listing *listing, const pxl_answer_row *row, uint32_t attributes, pxl_slice use,
                      pxl_slice status, pxl_slice metadata)
{
    put_list(listing, row, attributes, use);
    if (!row->has_subject || (attributes & PXL_NOSELECT)) return;
    put_status(listing, row, status);
    if (returns(listing, PXL_RETURN_MYRIGHTS)
        && !(listing->view->myrights_of_mailboxes && (attributes & PXL_NONEXISTENT)))
        put_myrights(listing, row);
    put(listing, metadata.data, metadata.len);
}

static void put_item(pxl_listing *listing, const pxl_answer_row *row, uint32_t attributes, pxl_slice use)
{
    /* the subject of a row that is no mailbox is one below it */
    const bool is_mailbox = row->has_subject && !(attributes & (PXL_NOSELECT | PXL_NONEXISTENT));
    const uint32_t rights = is_mailbox ? rights_of(listing, row) : 0;
    const uint32_t numbers[4] = {attributes, rights, (uint32_t)row->name.len, (uint32_t)use.len};

    put(listing, row->name.data, row->name.len);
    put(listing, "", 1);
    put(listing, use.data, use.len);
    put(listing, "", 1);
    if (!pxl_bytes_add(&listing->numbers, numbers, sizeof numbers))
        pxl_listing_fail(listing, PXL_E_MEMORY, "out of memory");
}

static inline void write_row(pxl_listing *listing, const pxl_answer_row *row, uint32_t attributes, pxl_slice use,
                             pxl_slice status, pxl_slice metadata)
{
    if (listing->output == PXL_OUTPUT_ITEMS)
        put_item(listing, row, attributes, use);
    else
        put_lines(listing, row, attributes, use, status, metadata);
}

void pxl_answer_write(pxl_listing *listing, const pxl_waiting_row *decided)
{
    write_row(listing, &decided->row, decided->row.attributes, decided->use, decided->status, decided->metadata);
}

void pxl_answer(pxl_listing *listing, pxl_answer_row *row)
{
    uint32_t attributes = row->attributes;
    pxl_slice use, none = {NULL, 0};

    if (listing->failed) return;
    if (row->has_subject && (row->subject.mbtype & PXL_INTERMEDIATE)) attributes |= PXL_NONEXISTENT;
    if ((attributes & PXL_NONEXISTENT) && listing->query->form != PXL_FORM_EXTENDED)
        attributes = (attributes | PXL_NOSELECT) & ~(uint32_t)PXL_NONEXISTENT;
    if (returns(listing, PXL_RETURN_CHILDREN)) ask_for_children(listing, row, &attributes);
    if (!worth_a_row(listing, attributes)) return;
    attributes = settle(listing, attributes);
    use = special_use(listing, row);
    if (returns(listing, PXL_SELECT_SPECIAL_USE) && !use.len) return;
    if (returns(listing, PXL_RETURN_STATUS | PXL_RETURN_METADATA))
        pxl_waiting_add(listing, row, attributes, use);
    else
        write_row(listing, row, attributes, use, none, none);
}
