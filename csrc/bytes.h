/* bytes.h - the only place that loads integers from memory.
 *
 * Loads take a checked position: callers ask pxl_has() before they load, with every number that
 * came from a file on the side of the comparison where it cannot overflow (n > len - off).
 * Also the varint of the row blocks, and comparing slices in octet order.
 */
#ifndef PXL_BYTES_H
#define PXL_BYTES_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "pxl.h"

/* A step of what every row goes through: a call for each would cost as much as most of them do. */
#define PXL_STEP static inline __attribute__((always_inline))

/* Do `n` octets lie at `off` of a buffer of `len`?  Safe for any three numbers. */
static inline bool pxl_has(uint64_t len, uint64_t off, uint64_t n)
{
    return off <= len && n <= len - off;
}

static inline uint16_t pxl_be16(const uint8_t *p)
{
    return (uint16_t)((p[0] << 8) | p[1]);
}

static inline uint32_t pxl_be32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    v = __builtin_bswap32(v);
#endif
    return v;
}

static inline uint64_t pxl_be64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    v = __builtin_bswap64(v);
#endif
    return v;
}

static inline uint16_t pxl_le16(const uint8_t *p)
{
    return (uint16_t)(p[0] | (p[1] << 8));
}

static inline uint32_t pxl_le32(const uint8_t *p)
{
    return (uint32_t)p[0] | ((uint32_t)p[1] << 8) | ((uint32_t)p[2] << 16) | ((uint32_t)p[3] << 24);
}

static inline uint64_t pxl_le64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    v = __builtin_bswap64(v);
#endif
    return v;
}

/* Both halves of the 128-bit product, added without carry. */
static inline uint64_t pxl_multiply_fold(uint64_t a, uint64_t b)
{
    __extension__ typedef unsigned __int128 wide;
    wide product = (wide)a * b;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* LEB128 of at most five octets.  Moves `*p` on and returns true, or leaves it and returns false
 * when the number does not end before `end` or exceeds 32 bits. */
static inline bool pxl_varint_get(const uint8_t **p, const uint8_t *end, uint32_t *value)
{
    const uint8_t *q = *p;
    uint64_t v = 0;

    if (q < end && *q < 0x80) { /* nearly every one */
        *value = *q;
        *p = q + 1;
        return true;
    }
    if (end - q >= 2 && q[1] < 0x80) { /* rights */
        *value = (uint32_t)(q[0] & 0x7f) | (uint32_t)q[1] << 7;
        *p = q + 2;
        return true;
    }
    for (unsigned shift = 0; shift < 35; shift += 7) {
        if (q == end) return false;
        v |= (uint64_t)(*q & 0x7f) << shift;
        if (!(*q++ & 0x80)) {
            if (v > UINT32_MAX) return false;
            *p = q;
            *value = (uint32_t)v;
            return true;
        }
    }
    return false;
}

/* Writes at most five octets at `p`, returns the octet after them. */
static inline uint8_t *pxl_varint_put(uint8_t *p, uint32_t value)
{
    while (value >= 0x80) {
        *p++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *p++ = (uint8_t)value;
    return p;
}

#define PXL_SLACK 16         /* octets after a text that may be read, or written to, so that short ones are moved whole */

/* Copy `n` octets and up to PXL_SLACK - 1 after them: for places that have room for that.  Short texts are
 * most of an answer, and calling memcpy for each costs more than they do. */
static inline void pxl_move(uint8_t *to, const uint8_t *from, size_t n)
{
    for (size_t i = 0; i < n; i += PXL_SLACK) memcpy(to + i, from + i, PXL_SLACK);
}

/* Copy `n` octets and none besides.  Where a compiler knows the most that n can be it makes memcpy a string
 * instruction, which takes longer to start than a name takes to copy. */
static inline void pxl_copy(uint8_t *to, const uint8_t *from, size_t n)
{
    if (n >= 8) {
        for (size_t i = 0; i < n - 8; i += 8) memcpy(to + i, from + i, 8);
        memcpy(to + n - 8, from + n - 8, 8);
    } else if (n >= 4) {
        memcpy(to, from, 4);
        memcpy(to + n - 4, from + n - 4, 4);
    } else {
        for (size_t i = 0; i < n; i++) to[i] = from[i];
    }
}

/* Octet order, a prefix before its longer form: what every key in this project is sorted by.  Keys
 * are short and this is the innermost loop, so it compares words in place of calling memcmp. */
static inline int pxl_compare(const uint8_t *a, size_t alen, const uint8_t *b, size_t blen)
{
    size_t n = alen < blen ? alen : blen, i = 0;

    for (; i + 8 <= n; i += 8) {
        uint64_t x = pxl_be64(a + i), y = pxl_be64(b + i);
        if (x != y) return x < y ? -1 : 1;
    }
    if (n >= 8) { /* the last word overlaps what is equal: no loop whose end is hard to foresee */
        uint64_t x = pxl_be64(a + n - 8), y = pxl_be64(b + n - 8);
        if (x != y) return x < y ? -1 : 1;
    } else {
        for (; i < n; i++)
            if (a[i] != b[i]) return a[i] < b[i] ? -1 : 1;
    }
    return (alen > blen) - (alen < blen);
}

static inline bool pxl_same(const uint8_t *a, size_t alen, const uint8_t *b, size_t blen)
{
    return alen == blen && !pxl_compare(a, alen, b, blen);
}

static inline bool pxl_starts(const uint8_t *a, size_t alen, const uint8_t *b, size_t blen)
{
    return alen >= blen && !pxl_compare(a, blen, b, blen);
}

/* Leading octets that two strings share. */
static inline size_t pxl_shared(const uint8_t *a, size_t alen, const uint8_t *b, size_t blen)
{
    size_t limit = alen < blen ? alen : blen, n = 0;

    for (; n + 8 <= limit; n += 8) {
        uint64_t differ = pxl_be64(a + n) ^ pxl_be64(b + n);
        if (differ) return n + (size_t)__builtin_clzll(differ) / 8;
    }
    if (limit >= 8) { /* as pxl_compare */
        uint64_t differ = pxl_be64(a + limit - 8) ^ pxl_be64(b + limit - 8);
        return differ ? limit - 8 + (size_t)__builtin_clzll(differ) / 8 : limit;
    }
    while (n < limit && a[n] == b[n]) n++;
    return n;
}

#endif
