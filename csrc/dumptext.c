/* dumptext.c - the text that `ctl_mboxlist -d` of Cyrus 2.x to 3.4 prints -> records.
 *
 * Grammar:
 *
 *     dump  = *( name TAB type SP [ server "!" ] partition SP acl LF )
 *     acl   = *( identifier TAB rights TAB )
 *     type  = 1*DIGIT          the numbers of those releases: mbentry.c
 *
 * Worked example:
 *     75 73 65 72 2e 62 6f 62 09 30 20 64 65 66 61 75 6c 74 20 62 6f 62 09 6c 72 73 09 0a
 *     u  s  e  r  .  b  o  b  TAB 0    d  e  f  a  u  l  t     b  o  b  TAB l  r  s  TAB LF
 *
 * What follows the first TAB is a legacy value as mailboxes.db itself once held it, so records are
 * borrowed as they stand: an internal name and that value.  There is no uniqueid, no uidvalidity, no
 * modseq and no time in such a dump, and an absent partition or ACL is printed as "(null)".
 *
 * Source: imap/ctl_mboxlist.c of 2.4.17 and 3.2.0, dump_cb.
 */
#include "bytes.h"
#include "pxl.h"
#include "reader.h"

static bool is_digit(uint8_t octet)
{
    return octet >= '0' && octet <= '9';
}

/* Does `line` (without LF) begin `name TAB digits SP`?  Then where its value stands, else NULL. */
static const uint8_t *value_of(const uint8_t *line, const uint8_t *end)
{
    const uint8_t *tab = end > line ? memchr(line, '\t', (size_t)(end - line)) : NULL, *p;

    if (!tab || tab == line) return NULL;
    for (p = tab + 1; p < end && is_digit(*p); p++) continue;
    return p > tab + 1 && p < end && *p == ' ' ? tab + 1 : NULL;
}

/* A line like this with a second TAB; those before it may do without (an empty ACL is the same in flat). */
static bool recognise(const uint8_t *image, uint64_t len)
{
    const uint8_t *line = image, *end = image + len, *stop, *value;

    for (; line < end; line = stop + 1) {
        stop = memchr(line, '\n', (size_t)(end - line));
        if (!stop) stop = end;
        value = value_of(line, stop);
        if (!value) return 0;
        if (memchr(value, '\t', (size_t)(stop - value))) return 1;
        if (stop == end) return 0;
    }
    return 0;
}

static int open_text(pxl_reader *reader, pxl_error *error)
{
    (void)error;
    reader->source.end = reader->len;
    reader->source.keys = PXL_KEYS_PLAIN;
    return PXL_OK;
}

static int read_line(const pxl_reader *reader, pxl_record *record, uint64_t *next, pxl_error *error)
{
    const uint8_t *line = reader->image + reader->at, *end = reader->image + reader->len;
    const uint8_t *stop = memchr(line, '\n', (size_t)(end - line)), *value;

    *next = stop ? (uint64_t)(stop + 1 - reader->image) : reader->len;
    if (!stop) return pxl_fail(error, PXL_E_SHORT, "last line of a dump has no end", reader->at, 0, 0);
    value = value_of(line, stop);
    if (!value) return pxl_fail(error, PXL_E_CORRUPT, "line of a dump without TAB and type", reader->at, 0, 0);
    if (stop[-1] != '\t' && memchr(value, '\t', (size_t)(stop - value)))
        return pxl_fail(error, PXL_E_CORRUPT, "line of a dump with text after its ACL", reader->at, 0, 0);
    *record = (pxl_record){{line, (size_t)(value - 1 - line)}, {value, (size_t)(stop - value)}, reader->at};
    return PXL_OK;
}

static int next_record(pxl_reader *reader, pxl_record *record, pxl_error *error)
{
    pxl_error local;
    uint64_t next;
    int result;

    if (!error) error = &local;
    while (reader->at < reader->len) {
        uint64_t at = reader->at;
        result = read_line(reader, record, &next, error);
        reader->at = next;
        if (result == PXL_OK) return PXL_OK;
        if ((result = pxl_reader_lose(reader, result, error->message, at, next - at)) < 0) return result;
    }
    return PXL_END;
}

const pxl_format pxl_dump_text_format = {PXL_DUMP_TEXT, recognise, open_text, next_record, NULL, NULL};
