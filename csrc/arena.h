/* arena.h - inside the core: octets that stay where they are until all of them are freed. */
#ifndef PXL_ARENA_H
#define PXL_ARENA_H

#include <stdlib.h>
#include <string.h>

#include "pxl.h"

#define PXL_ARENA_CHUNK ((size_t)1 << 18)

typedef struct pxl_chunk {
    struct pxl_chunk *before;
    size_t used, cap;
    uint8_t data[];
} pxl_chunk;

/* Starts as {NULL}. */
typedef struct {
    pxl_chunk *last;
} pxl_arena;

/* A copy of `text` that lives as long as the arena; NULL when there is no memory. */
static inline uint8_t *pxl_arena_keep(pxl_arena *arena, pxl_slice text)
{
    pxl_chunk *c = arena->last;
    uint8_t *place;

    if (!c || c->cap - c->used < text.len) {
        size_t cap = text.len > PXL_ARENA_CHUNK ? text.len : PXL_ARENA_CHUNK;
        if (cap > SIZE_MAX - sizeof *c || !(c = malloc(sizeof *c + cap))) return NULL;
        *c = (pxl_chunk){.before = arena->last, .cap = cap};
        arena->last = c;
    }
    place = c->data + c->used;
    if (text.len) memcpy(place, text.data, text.len);
    c->used += text.len;
    return place;
}

static inline void pxl_arena_free(pxl_arena *arena)
{
    while (arena->last) {
        pxl_chunk *before = arena->last->before;
        free(arena->last);
        arena->last = before;
    }
}

#endif
