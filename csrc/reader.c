/* reader.c - which cyrusdb format an image is in, and the one interface they share.
 *
 * Formats are recognised by content, never by name.  Order of asking matters once: flat has no
 * magic, so it comes last and takes what is left if that looks like `key TAB value LF` lines; a text
 * dump has none either and differs only by the TABs in its ACLs, which flat would have escaped.
 */
#include <stdlib.h>

#include "bytes.h"
#include "pxl.h"
#include "reader.h"

static const pxl_format *const FORMATS[] = {
    &pxl_twoskip_format,
    &pxl_skiplist_format,
    &pxl_twom_format,
    &pxl_dump_json_format,
    &pxl_dump_text_format,
    &pxl_flat_format,
};

int pxl_fail(pxl_error *error, int code, const char *message, uint64_t offset, uint64_t expected, uint64_t got)
{
    if (error) *error = (pxl_error){code, message, offset, expected, got};
    return code;
}

int pxl_reader_open(pxl_reader **out, uint8_t *image, uint64_t len, int options, pxl_error *error)
{
    const pxl_format *format = NULL;
    pxl_reader *reader;
    int result;

    *out = NULL;
    for (size_t i = 0; i < sizeof FORMATS / sizeof *FORMATS && !format; i++)
        if (FORMATS[i]->recognise(image, len < PXL_SNIFFED ? len : PXL_SNIFFED)) format = FORMATS[i];
    if (!format) return pxl_fail(error, PXL_E_FORMAT, "no known format of a Cyrus database", 0, 0, 0);

    reader = calloc(1, sizeof *reader);
    if (!reader) return pxl_fail(error, PXL_E_MEMORY, "out of memory", 0, sizeof *reader, 0);
    reader->format = format;
    reader->image = image;
    reader->len = len;
    reader->options = options;
    reader->source.format = format->format;
    result = format->open(reader, error);
    if (result < 0) {
        pxl_reader_close(reader);
        return result;
    }
    *out = reader;
    return PXL_OK;
}

int pxl_reader_load(pxl_reader *reader, uint64_t have, pxl_error *error)
{
    int result;

    if (reader->loaded) return PXL_OK;
    if (have > reader->len) return pxl_fail(error, PXL_E_ARGUMENT, "more octets than the image has", 0, reader->len, have);
    if (reader->format->load)
        result = reader->format->load(reader, have, error);
    else
        result = have < reader->len ? PXL_MORE : PXL_OK;
    if (reader->log.puts_len > reader->source.sound) reader->source.sound = reader->log.puts_len;
    reader->loaded = result == PXL_OK;
    return result;
}

int pxl_reader_next(pxl_reader *reader, pxl_record *record, pxl_error *error)
{
    int result = reader->loaded ? PXL_OK : pxl_reader_load(reader, reader->len, error);

    if (result != PXL_OK) return result;
    result = reader->format->next(reader, record, error);
    if (result == PXL_END) pxl_log_free(&reader->log); /* what comes after reading needs the memory */
    return result;
}

bool pxl_reader_salvages(const pxl_reader *reader)
{
    return reader->options & PXL_SALVAGE;
}

int pxl_reader_lose(pxl_reader *reader, int code, const char *message, uint64_t offset, uint64_t len)
{
    pxl_loss *last = reader->losses_len ? &reader->losses[reader->losses_len - 1] : NULL;

    if (!pxl_reader_salvages(reader)) return code;
    reader->source.lost_bytes += len;
    if (last && last->len && last->offset + last->len == offset) {
        last->len += len;
        return PXL_OK;
    }
    reader->source.lost++;
    if (!reader->losses && !(reader->losses = calloc(PXL_LOSSES_KEPT, sizeof *reader->losses))) return PXL_E_MEMORY;
    if (reader->losses_len < PXL_LOSSES_KEPT) reader->losses[reader->losses_len++] = (pxl_loss){offset, len, message};
    return PXL_OK;
}

size_t pxl_reader_losses(const pxl_reader *reader, const pxl_loss **losses)
{
    *losses = reader->losses;
    return reader->losses_len;
}

const pxl_source *pxl_reader_source(const pxl_reader *reader)
{
    return &reader->source;
}

uint64_t pxl_reader_at(const pxl_reader *reader)
{
    uint64_t count = reader->source.records;

    if (!reader->loaded || !count) return reader->at;
    return (uint64_t)((double)reader->source.end * (double)reader->next / (double)count);
}

void pxl_reader_close(pxl_reader *reader)
{
    if (!reader) return;
    if (reader->format->close) reader->format->close(reader);
    pxl_log_free(&reader->log);
    free(reader->losses);
    free(reader);
}

int pxl_reader_drain(pxl_reader *reader, uint64_t *records, pxl_error *error)
{
    pxl_record record;
    int result;

    for (*records = 0; (result = pxl_reader_next(reader, &record, error)) == PXL_OK; ++*records)
        continue;
    return result == PXL_END ? PXL_OK : result;
}
