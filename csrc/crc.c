/* crc.c - CRC-32 as zlib computes it: reflected polynomial 0xEDB88320, all-ones start and end.
 *
 * Three ways to the same number, chosen once when the library is loaded:
 *
 *     table    eight octets a step ("slicing by 8"), everywhere
 *     fold     carry-less multiplication, x86-64 processors that have PCLMULQDQ
 *     crc32x   the processor's own instruction, builds for ARM that may assume it
 *
 * How fold works.  A message is a polynomial over GF(2) and its CRC the remainder by P.  Sixteen
 * octets X that stand D bits before another sixteen may be replaced by X * x^D mod P added into
 * those: the remainder of the whole stays.  X is two halves of 64 bits, so one step is two
 * multiplications by 32-bit constants, K(D + 32) for the half that comes first and K(D - 32) for
 * the other, where
 *
 *     K(n) = (x^n mod P), its 32 bits reflected, shifted left by one
 *
 * (the shift makes up for the product of two reflected numbers being one bit short; the 32 for
 * the constant taking the place of 64 bits).  Four such steps run side by side 512 bits apart while
 * 64 octets are left, then one at 128 bits.  Zeros in front change no remainder, so octets that make
 * no sixteen are taken first, with zeros before them, and the end is always a whole sixteen.
 *
 * Those sixteen are the remainder of everything before them times x^32 short of being the CRC.  Two
 * more steps leave 64 bits, and Barrett's division the last 32: multiplied by floor(x^64 / P), the
 * front half is the quotient, and the quotient times P is what to take away.
 *
 * Source: V. Gopal et al., "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ", Intel
 * 2009; the constants were computed from the formula above.
 */
#include "bytes.h"
#include "pxl.h"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__ARM_FEATURE_CRC32)
#include <arm_acle.h>
#endif

#define POLYNOMIAL 0xEDB88320u

static uint32_t table[8][256];

/* All `update`s take and give the state between octets: the CRC without its final inversion. */
static uint32_t update_table(uint32_t c, const uint8_t *data, size_t len)
{
    for (; len >= 8; len -= 8, data += 8) {
        uint32_t low = c ^ pxl_le32(data), high = pxl_le32(data + 4);
        c = table[7][low & 0xff] ^ table[6][(low >> 8) & 0xff] ^ table[5][(low >> 16) & 0xff] ^ table[4][low >> 24]
            ^ table[3][high & 0xff] ^ table[2][(high >> 8) & 0xff] ^ table[1][(high >> 16) & 0xff] ^ table[0][high >> 24];
    }
    while (len--) c = table[0][(c ^ *data++) & 0xff] ^ (c >> 8);
    return c;
}

static uint32_t (*update)(uint32_t, const uint8_t *, size_t) = update_table;

#if defined(__x86_64__)

#define FOLD __attribute__((target("pclmul,sse4.1"))) static

/* `x`, moved over the distance whose two constants are in `k`, into `onto`. */
FOLD inline __m128i fold(__m128i x, __m128i k, __m128i onto)
{
    __m128i first = _mm_clmulepi64_si128(x, k, 0x00), second = _mm_clmulepi64_si128(x, k, 0x11);

    return _mm_xor_si128(_mm_xor_si128(first, second), onto);
}

FOLD inline __m128i load(const uint8_t *data)
{
    return _mm_loadu_si128((const __m128i *)(const void *)data);
}

/* `x` moved `n` octets to its end, zeros before; or, negative, to its front, zeros behind. */
FOLD inline __m128i shift(__m128i x, ptrdiff_t n)
{
    static const uint8_t places[48] = {
        0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
        0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,
        0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
    };

    return _mm_shuffle_epi8(x, load(places + 16 - n));
}

/* The state after the sixteen octets `x`, from state 0. */
FOLD inline uint32_t reduce(__m128i x, __m128i by128)
{
    const __m128i by64 = _mm_cvtsi64_si128(0x163cd6124);             /* K(64) */
    const __m128i barrett = _mm_set_epi64x(0x1f7011641, 0x1db710641);  /* floor(x^64 / P), P */
    const __m128i low = _mm_set_epi32(0, -1, 0, -1);
    __m128i quotient;

    x = _mm_xor_si128(_mm_srli_si128(x, 8), _mm_clmulepi64_si128(x, by128, 0x10));
    x = _mm_xor_si128(_mm_srli_si128(x, 4), _mm_clmulepi64_si128(_mm_and_si128(x, low), by64, 0x00));
    quotient = _mm_and_si128(_mm_clmulepi64_si128(_mm_and_si128(x, low), barrett, 0x10), low);
    return (uint32_t)_mm_extract_epi32(_mm_xor_si128(x, _mm_clmulepi64_si128(quotient, barrett, 0x00)), 1);
}

FOLD uint32_t update_fold(uint32_t c, const uint8_t *data, size_t len)
{
    const __m128i by512 = _mm_set_epi64x(0x1c6e41596, 0x154442bd4);  /* K(480), K(544) */
    const __m128i by128 = _mm_set_epi64x(0x0ccaa009e, 0x1751997d0);  /* K(96), K(160) */
    const uint8_t *end = data + len;
    __m128i x, state = _mm_cvtsi32_si128((int)c);
    ptrdiff_t odd = (ptrdiff_t)(len % 16);

    if (len < 16) return update_table(c, data, len);
    x = _mm_xor_si128(load(data), state);
    if (odd) {
        x = fold(shift(x, 16 - odd), by128, _mm_xor_si128(load(data + odd), shift(state, -odd)));
        data += odd;
    }
    if (end - data >= 128) {
        __m128i x1 = load(data + 16), x2 = load(data + 32), x3 = load(data + 48);
        for (data += 64; end - data >= 64; data += 64) {
            x = fold(x, by512, load(data));
            x1 = fold(x1, by512, load(data + 16));
            x2 = fold(x2, by512, load(data + 32));
            x3 = fold(x3, by512, load(data + 48));
        }
        x = fold(fold(fold(x, by128, x1), by128, x2), by128, x3);
    } else {
        data += 16;
    }
    for (; data < end; data += 16) x = fold(x, by128, load(data));
    return reduce(x, by128);
}

static void choose(void)
{
    __builtin_cpu_init();
    if (__builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1")) update = update_fold;
}

#elif defined(__ARM_FEATURE_CRC32)

static uint32_t update_crc32x(uint32_t c, const uint8_t *data, size_t len)
{
    for (; len >= 8; len -= 8, data += 8) c = __crc32d(c, pxl_le64(data));
    while (len--) c = __crc32b(c, *data++);
    return c;
}

static void choose(void)
{
    update = update_crc32x;
}

#else

static void choose(void)
{
}

#endif

__attribute__((constructor)) static void prepare(void)
{
    for (uint32_t n = 0; n < 256; n++) {
        uint32_t c = n;
        for (int k = 0; k < 8; k++) c = c & 1 ? POLYNOMIAL ^ (c >> 1) : c >> 1;
        table[0][n] = c;
    }
    for (uint32_t n = 0; n < 256; n++)
        for (int k = 1; k < 8; k++) table[k][n] = table[0][table[k - 1][n] & 0xff] ^ (table[k - 1][n] >> 8);
    choose();
}

uint32_t pxl_crc32(const uint8_t *data, size_t len)
{
    return ~update(0xFFFFFFFFu, data, len);
}

uint32_t pxl_crc32_portable(const uint8_t *data, size_t len)
{
    return ~update_table(0xFFFFFFFFu, data, len);
}
