/* xxh3.c - XXH3-64 with seed 0 and the default secret: the checksum of twom.
 *
 * The function mixes octets of the input with octets of a fixed secret by wide multiplication.
 * Which octets meet depends on the length only:
 *
 *     0            a constant of the secret            17..128   pairs of 16 from both ends inwards
 *     1..3         three octets and the length         129..240  every 16 once, in two turns
 *     4..8         first and last four                 241..     stripes of 64 into eight lanes,
 *     9..16        first and last eight                          stirred after each 1024
 *
 * Worked example: the octets "abc" give 0x78af5f94892f3950; twom stores the low 32 bits.
 *
 * Source: "XXH3 algorithm overview", xxHash specification (doc/xxhash_spec.md) 0.2.0.
 */
#include "bytes.h"
#include "pxl.h"

#define PRIME32_1 0x9E3779B1u
#define PRIME32_2 0x85EBCA77u
#define PRIME32_3 0xC2B2AE3Du
#define PRIME64_1 0x9E3779B185EBCA87u
#define PRIME64_2 0xC2B2AE3D27D4EB4Fu
#define PRIME64_3 0x165667B19E3779F9u
#define PRIME64_4 0x85EBCA77C2B2AE63u
#define PRIME64_5 0x27D4EB2F165667C5u
#define PRIME_MX1 0x165667919E3779F9u
#define PRIME_MX2 0x9FB21C651E98DF25u

enum {
    STRIPE = 64,
    LANES = 8,
    SECRET_LEN = 192,
    BLOCK = 1024             /* stripes before the secret, moved on by 8 each, is used up */
};

static const uint8_t SECRET[SECRET_LEN] = {
    0xb8, 0xfe, 0x6c, 0x39, 0x23, 0xa4, 0x4b, 0xbe, 0x7c, 0x01, 0x81, 0x2c, 0xf7, 0x21, 0xad, 0x1c,
    0xde, 0xd4, 0x6d, 0xe9, 0x83, 0x90, 0x97, 0xdb, 0x72, 0x40, 0xa4, 0xa4, 0xb7, 0xb3, 0x67, 0x1f,
    0xcb, 0x79, 0xe6, 0x4e, 0xcc, 0xc0, 0xe5, 0x78, 0x82, 0x5a, 0xd0, 0x7d, 0xcc, 0xff, 0x72, 0x21,
    0xb8, 0x08, 0x46, 0x74, 0xf7, 0x43, 0x24, 0x8e, 0xe0, 0x35, 0x90, 0xe6, 0x81, 0x3a, 0x26, 0x4c,
    0x3c, 0x28, 0x52, 0xbb, 0x91, 0xc3, 0x00, 0xcb, 0x88, 0xd0, 0x65, 0x8b, 0x1b, 0x53, 0x2e, 0xa3,
    0x71, 0x64, 0x48, 0x97, 0xa2, 0x0d, 0xf9, 0x4e, 0x38, 0x19, 0xef, 0x46, 0xa9, 0xde, 0xac, 0xd8,
    0xa8, 0xfa, 0x76, 0x3f, 0xe3, 0x9c, 0x34, 0x3f, 0xf9, 0xdc, 0xbb, 0xc7, 0xc7, 0x0b, 0x4f, 0x1d,
    0x8a, 0x51, 0xe0, 0x4b, 0xcd, 0xb4, 0x59, 0x31, 0xc8, 0x9f, 0x7e, 0xc9, 0xd9, 0x78, 0x73, 0x64,
    0xea, 0xc5, 0xac, 0x83, 0x34, 0xd3, 0xeb, 0xc3, 0xc5, 0x81, 0xa0, 0xff, 0xfa, 0x13, 0x63, 0xeb,
    0x17, 0x0d, 0xdd, 0x51, 0xb7, 0xf0, 0xda, 0x49, 0xd3, 0x16, 0x55, 0x26, 0x29, 0xd4, 0x68, 0x9e,
    0x2b, 0x16, 0xbe, 0x58, 0x7d, 0x47, 0xa1, 0xfc, 0x8f, 0xf8, 0xb8, 0xd1, 0x7a, 0xd0, 0x31, 0xce,
    0x45, 0xcb, 0x3a, 0x8f, 0x95, 0x16, 0x04, 0x28, 0xaf, 0xd7, 0xfb, 0xca, 0xbb, 0x4b, 0x40, 0x7e,
};

static inline uint64_t avalanche(uint64_t h)
{
    h ^= h >> 37;
    h *= PRIME_MX1;
    return h ^ (h >> 32);
}

static inline uint64_t avalanche_old(uint64_t h)
{
    h ^= h >> 33;
    h *= PRIME64_2;
    h ^= h >> 29;
    h *= PRIME64_3;
    return h ^ (h >> 32);
}

static inline uint64_t rotate(uint64_t x, int n)
{
    return (x << n) | (x >> (64 - n));
}

static inline uint64_t mix16(const uint8_t *data, const uint8_t *secret)
{
    return pxl_multiply_fold(pxl_le64(data) ^ pxl_le64(secret), pxl_le64(data + 8) ^ pxl_le64(secret + 8));
}

static uint64_t hash_1to3(const uint8_t *data, size_t len)
{
    uint32_t combined = ((uint32_t)data[0] << 16) | ((uint32_t)data[len / 2] << 24) | data[len - 1]
                        | ((uint32_t)len << 8);

    return avalanche_old(combined ^ (uint64_t)(pxl_le32(SECRET) ^ pxl_le32(SECRET + 4)));
}

static uint64_t hash_4to8(const uint8_t *data, size_t len)
{
    uint64_t both = pxl_le32(data + len - 4) + ((uint64_t)pxl_le32(data) << 32);
    uint64_t h = both ^ pxl_le64(SECRET + 8) ^ pxl_le64(SECRET + 16);

    h ^= rotate(h, 49) ^ rotate(h, 24);
    h *= PRIME_MX2;
    h ^= (h >> 35) + len;
    h *= PRIME_MX2;
    return h ^ (h >> 28);
}

static uint64_t hash_9to16(const uint8_t *data, size_t len)
{
    uint64_t low = pxl_le64(data) ^ pxl_le64(SECRET + 24) ^ pxl_le64(SECRET + 32);
    uint64_t high = pxl_le64(data + len - 8) ^ pxl_le64(SECRET + 40) ^ pxl_le64(SECRET + 48);

    return avalanche(len + __builtin_bswap64(low) + high + pxl_multiply_fold(low, high));
}

static uint64_t hash_17to128(const uint8_t *data, size_t len)
{
    uint64_t sum = len * PRIME64_1;

    for (size_t i = (len - 1) / 32 + 1; i-- > 0;)
        sum += mix16(data + 16 * i, SECRET + 32 * i) + mix16(data + len - 16 * (i + 1), SECRET + 32 * i + 16);
    return avalanche(sum);
}

static uint64_t hash_129to240(const uint8_t *data, size_t len)
{
    uint64_t sum = len * PRIME64_1;

    for (size_t i = 0; i < 8; i++) sum += mix16(data + 16 * i, SECRET + 16 * i);
    sum = avalanche(sum);
    for (size_t i = 8; i < len / 16; i++) sum += mix16(data + 16 * i, SECRET + 16 * (i - 8) + 3);
    return avalanche(sum + mix16(data + len - 16, SECRET + 136 - 17));
}

static inline void add_stripe(uint64_t lanes[LANES], const uint8_t *data, const uint8_t *secret)
{
    for (int i = 0; i < LANES; i++) {
        uint64_t value = pxl_le64(data + 8 * i), key = value ^ pxl_le64(secret + 8 * i);
        lanes[i ^ 1] += value;
        lanes[i] += (key & 0xFFFFFFFF) * (key >> 32);
    }
}

static void stir(uint64_t lanes[LANES])
{
    for (int i = 0; i < LANES; i++) {
        uint64_t lane = lanes[i] ^ (lanes[i] >> 47) ^ pxl_le64(SECRET + SECRET_LEN - STRIPE + 8 * i);
        lanes[i] = lane * PRIME32_1;
    }
}

static uint64_t hash_long(const uint8_t *data, size_t len)
{
    uint64_t lanes[LANES] = {PRIME32_3, PRIME64_1, PRIME64_2, PRIME64_3, PRIME64_4, PRIME32_2, PRIME64_5, PRIME32_1};
    uint64_t sum = len * PRIME64_1;
    size_t at = 0;

    /* The last stripe is taken from the end of the input, so it always stays out of the loop. */
    for (size_t stripe = 0; len - at > STRIPE; at += STRIPE) {
        add_stripe(lanes, data + at, SECRET + 8 * stripe);
        if (++stripe == BLOCK / STRIPE && len - at > STRIPE) {
            stir(lanes);
            stripe = 0;
        }
    }
    add_stripe(lanes, data + len - STRIPE, SECRET + SECRET_LEN - STRIPE - 7);
    for (int i = 0; i < LANES; i += 2)
        sum += pxl_multiply_fold(lanes[i] ^ pxl_le64(SECRET + 11 + 8 * i), lanes[i + 1] ^ pxl_le64(SECRET + 11 + 8 * i + 8));
    return avalanche(sum);
}

uint64_t pxl_xxh3(const uint8_t *data, size_t len)
{
    if (len > 240) return hash_long(data, len);
    if (len > 128) return hash_129to240(data, len);
    if (len > 16) return hash_17to128(data, len);
    if (len > 8) return hash_9to16(data, len);
    if (len > 3) return hash_4to8(data, len);
    if (len) return hash_1to3(data, len);
    return avalanche_old(pxl_le64(SECRET + 56) ^ pxl_le64(SECRET + 64));
}
