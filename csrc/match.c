/* match.c - LIST patterns against external names.
 *
 * A name is matched by its longest leading run of whole components that some pattern matches
 * completely; the mailbox "a/b/c" answers the pattern "a/%" as "a/b".  All patterns run as one
 * kind of automaton: bit n of a set is "the first n tokens are matched", one step an octet, and
 * wildcards are bits that keep themselves.  When the set runs empty no longer name with the same
 * beginning can match either, which is what lets a listing leap over whole subtrees.
 *
 * '*' takes any octets, '%' any but the separator; a run of wildcards counts as '*' if it holds
 * one.  Everything else stands for itself, '?' included.
 *
 * Source: RFC 3501 6.3.8; glob.c as Cyrus 3.6.1 was observed to apply it.
 */
#include <stdlib.h>

#include "bytes.h"
#include "listing.h"

#define WORD_BITS 64u

int pxl_pattern_compile(pxl_pattern *pattern, const uint8_t *text, size_t len)
{
    size_t words = len / WORD_BITS + 1, n = 0;
    uint64_t *table = calloc(words * (256 + 2), sizeof *table);

    if (!table) return PXL_E_MEMORY;
    *pattern = (pxl_pattern){.words = words, .literals = table, .any = table + 256 * words, .level = table + 257 * words};
    for (size_t i = 0; i < len; n++) {
        uint64_t bit = (uint64_t)1 << (n % WORD_BITS);
        size_t word = n / WORD_BITS;
        if (text[i] != '*' && text[i] != '%') {
            pattern->literals[text[i++] * words + word] |= bit;
            continue;
        }
        bool any = false;
        for (; i < len && (text[i] == '*' || text[i] == '%'); i++) any |= text[i] == '*';
        (any ? pattern->any : pattern->level)[word] |= bit;
    }
    pattern->tokens = n;
    return PXL_OK;
}

void pxl_pattern_free(pxl_pattern *pattern)
{
    free(pattern->literals);
}

/* One word of state is enough for patterns of up to 63 octets: nearly all. */
static size_t match_short(const pxl_pattern *pattern, const uint8_t *name, size_t len, uint8_t separator, size_t *dead)
{
    const uint64_t any = pattern->any[0], level = pattern->level[0], wild = any | level;
    const uint64_t done = (uint64_t)1 << pattern->tokens;
    const uint64_t rest = any & done >> 1; /* a last token that takes whatever follows */
    uint64_t set = 1 | (1 & wild) << 1;
    size_t matched = 0, i;

    for (i = 0; i < len && set; i++) {
        uint8_t c = name[i];
        if (set & rest) break;
        if (c == separator && (set & done)) matched = i;
        set = (set & pattern->literals[c]) << 1 | (set & any) | (c == separator ? 0 : set & level);
        set |= (set & wild) << 1;
    }
    if ((i == len && (set & done)) || (set & rest)) matched = len;
    *dead = set ? 0 : i;
    return matched;
}

static void close_set(const pxl_pattern *pattern, uint64_t *set)
{
    uint64_t carry = 0;

    for (size_t w = 0; w < pattern->words; w++) {
        uint64_t wild = set[w] & (pattern->any[w] | pattern->level[w]);
        set[w] |= wild << 1 | carry;
        carry = wild >> (WORD_BITS - 1);
    }
}

/* One octet; true while any state is left. */
static bool step(const pxl_pattern *pattern, uint64_t *set, uint8_t c, bool at_separator)
{
    uint64_t carry = 0, left = 0;

    for (size_t w = 0; w < pattern->words; w++) {
        uint64_t on = set[w] & pattern->literals[c * pattern->words + w];
        uint64_t stay = set[w] & (pattern->any[w] | (at_separator ? 0 : pattern->level[w]));
        set[w] = on << 1 | carry | stay;
        carry = on >> (WORD_BITS - 1);
    }
    close_set(pattern, set);
    for (size_t w = 0; w < pattern->words; w++) left |= set[w];
    return left != 0;
}

static size_t match_long(const pxl_pattern *pattern, const uint8_t *name, size_t len, uint8_t separator, size_t *dead)
{
    uint64_t set[PXL_PATTERN_MAX / WORD_BITS + 1] = {1};
    const size_t word = pattern->tokens / WORD_BITS;
    const uint64_t done = (uint64_t)1 << (pattern->tokens % WORD_BITS);
    size_t matched = 0;
    bool alive = true;

    *dead = 0;
    close_set(pattern, set);
    for (size_t i = 0; i < len && alive; i++) {
        if (name[i] == separator && (set[word] & done)) matched = i;
        alive = step(pattern, set, name[i], name[i] == separator);
        if (!alive) *dead = i + 1;
    }
    return alive && (set[word] & done) ? len : matched;
}

size_t pxl_pattern_match(const pxl_pattern *pattern, const uint8_t *name, size_t len, uint8_t separator, size_t *dead)
{
    if (pattern->words == 1) return match_short(pattern, name, len, separator, dead);
    return match_long(pattern, name, len, separator, dead);
}

size_t pxl_patterns_match(const pxl_query *query, const uint8_t *name, size_t len, size_t *dead)
{
    size_t longest = 0, dies;
    bool alive = false;

    *dead = 0;
    if (query->count == 1) return pxl_pattern_match(query->patterns, name, len, query->separator, dead);
    for (size_t i = 0; i < query->count; i++) {
        size_t matched = pxl_pattern_match(&query->patterns[i], name, len, query->separator, &dies);
        if (matched > longest) longest = matched;
        if (dies > *dead) *dead = dies;
        alive |= !dies;
    }
    if (alive) *dead = 0;
    return longest;
}

/* ---- queries ----------------------------------------------------------------------------------- */

pxl_query *pxl_query_new(int form, uint32_t options, uint8_t separator)
{
    pxl_query *query = calloc(1, sizeof *query);

    if (!query) return NULL;
    query->form = form;
    query->options = options;
    query->separator = separator;
    return query;
}

void pxl_query_free(pxl_query *query)
{
    if (!query) return;
    for (size_t i = 0; i < query->count; i++) pxl_pattern_free(&query->patterns[i]);
    free(query->patterns);
    free(query->common.data);
    free(query);
}

static size_t literal_length(const uint8_t *pattern, size_t len)
{
    size_t n = 0;

    while (n < len && pattern[n] != '*' && pattern[n] != '%' && pattern[n] != '?') n++;
    return n;
}

/* Keep the literal beginning that all patterns share, and whether a single pattern is that
 * beginning and then "*%", which alone makes ancestors answer too. */
static bool note_common(pxl_query *query, const uint8_t *pattern, size_t len)
{
    size_t literal = literal_length(pattern, len);

    if (query->count) {
        query->common.len = pxl_shared(query->common.data, query->common.len, pattern, literal);
        query->ancestors = false;
        return true;
    }
    query->ancestors = len == literal + 2 && pattern[literal] == '*' && pattern[literal + 1] == '%';
    return pxl_bytes_add(&query->common, pattern, literal);
}

int pxl_query_add(pxl_query *query, const uint8_t *pattern, size_t len)
{
    pxl_pattern *grown;
    int result;

    if (len > PXL_PATTERN_MAX) return PXL_ABSENT; /* longer than any name: matches nothing */
    grown = realloc(query->patterns, (query->count + 1) * sizeof *grown);
    if (!grown) return PXL_E_MEMORY;
    query->patterns = grown;
    if (!note_common(query, pattern, len)) return PXL_E_MEMORY;
    result = pxl_pattern_compile(&query->patterns[query->count], pattern, len);
    if (result == PXL_OK) query->count++;
    query->everything = query->count == 1 && query->patterns->tokens == 1 && (query->patterns->any[0] & 1);
    return result;
}
