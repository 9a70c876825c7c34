/* _blocks.c - a listing kernel at work on one snapshot: its blocks through py-lmdb, without a step of the interpreter.
 *
 * The kernel (csrc/listing.c) knows no Python.  Here it is started on the first block of each list it reads, run, and
 * given what more it asks for.  An interpreter between the kernel and LMDB would add a microsecond to an ordinary LIST
 * of five, and one and a half to each further block: that is why this room is not written in Python.
 *
 * The GIL is held but for what py-lmdb does without it, once or more for each block; the kernel needs some
 * microseconds from one block to the next, and to let go and come back would cost a tenth of that.
 *
 * Written against the stable ABI of CPython 3.11.
 */
#include "_lmdb.h"

#include <string.h>

#include "entry.h"

enum {
    LEAP_END = PXL_SEPARATOR + 1   /* what a leap over a tree ends in */
};

static struct {
    PyObject *get, *cursor;                                   /* of a Transaction */
    PyObject *set_key, *set_range, *prev, *next, *last, *item, *find;  /* of a Cursor; `find` is its get */
} lmdb;
static PyObject *no_octets;

typedef struct {             /* a list that blocks were asked of */
    uint32_t number;
    PyObject *cursor, *owner;    /* owner: what keys of this list begin with */
    PyObject *block;             /* the last one given; the kernel reads it in place */
} opened_list;

typedef struct {
    PyObject_HEAD
    const pxl_listing_calls *calls;
    pxl_listing *listing;        /* whose fetch comes here; its owner outlives every call */
    PyObject *txn, *lists;       /* the snapshot at hand, and who knows its lists; NULL between two */
    PyObject **first_blocks;     /* of the lists of the plan */
    pxl_slice *first;            /* their octets */
    size_t first_count, first_cap;
    opened_list *opened;
    size_t opened_count, opened_cap;
    PyObject *error[3];          /* what a fetch raised */
    unsigned long long fetched;  /* blocks asked for by a key, ever */
} block_reader;

/* ---- what is held ------------------------------------------------------------------------------- */

static void forget_snapshot(block_reader *self)
{
    for (; self->opened_count; self->opened_count--) {
        opened_list *list = &self->opened[self->opened_count - 1];
        Py_CLEAR(list->block);
        Py_CLEAR(list->cursor);
        Py_CLEAR(list->owner);
    }
    for (; self->first_count; self->first_count--) Py_DECREF(self->first_blocks[self->first_count - 1]);
    Py_CLEAR(self->txn);
    Py_CLEAR(self->lists);
}

static void forget_error(block_reader *self)
{
    for (size_t i = 0; i < 3; i++) Py_CLEAR(self->error[i]);
}

static bool more_first(block_reader *self, size_t count)
{
    PyObject **blocks;
    pxl_slice *first;

    if (count <= self->first_cap) return true;
    if (!(blocks = PyMem_Realloc(self->first_blocks, count * sizeof *blocks))) return false;
    self->first_blocks = blocks;
    if (!(first = PyMem_Realloc(self->first, count * sizeof *first))) return false;
    self->first = first;
    self->first_cap = count;
    return true;
}

/* ---- blocks that the kernel asks for ------------------------------------------------------------- */

static opened_list *open_list(block_reader *self, uint32_t number)
{
    PyObject *table, *owner, *told;
    opened_list *list;

    if (self->opened_count == self->opened_cap) {
        size_t cap = self->opened_cap ? 2 * self->opened_cap : 8;
        if (!(list = PyMem_Realloc(self->opened, cap * sizeof *list))) return (void)PyErr_NoMemory(), NULL;
        self->opened = list;
        self->opened_cap = cap;
    }
    told = PyObject_CallMethod(self->lists, "list_of", "I", (unsigned)(number & ~(uint32_t)PXL_PROBE));
    if (!told) return NULL;
    list = &self->opened[self->opened_count];
    *list = (opened_list){.number = number};
    if ((table = PyTuple_GetItem(told, 0)) && (owner = PyTuple_GetItem(told, 1))
        && (list->cursor = PyObject_CallFunctionObjArgs(lmdb.cursor, self->txn, table, NULL))) {
        list->owner = owner;
        Py_INCREF(owner);
        self->opened_count++;
    }
    Py_DECREF(told);
    return list->cursor ? list : NULL;
}

static opened_list *list_of(block_reader *self, uint32_t number, bool *fresh)
{
    for (size_t i = 0; i < self->opened_count; i++)
        if (self->opened[i].number == number) return &self->opened[i];
    *fresh = true;
    return open_list(self, number);
}

/* Give `value`, a block of the list's; it is held until the next one. */
static int hold(opened_list *list, PyObject *value, pxl_slice *block)
{
    PyObject *before = list->block;

    if (!octets_of(value, block)) return PXL_E_FETCH;
    list->block = value;
    Py_INCREF(value);
    Py_XDECREF(before);
    return PXL_OK;
}

/* Give the block that the cursor is on, if it is one of the list's. */
static int give_current(opened_list *list, pxl_slice *block)
{
    PyObject *item = PyObject_CallFunctionObjArgs(lmdb.item, list->cursor, NULL), *value;
    pxl_slice key, owner;
    int result = PXL_E_FETCH;

    if (!item) return PXL_E_FETCH;
    value = PyTuple_GetItem(item, 1);
    if (value && octets_of(PyTuple_GetItem(item, 0), &key) && octets_of(list->owner, &owner)) {
        bool owned = key.len >= owner.len && !memcmp(key.data, owner.data, owner.len);
        result = owned ? hold(list, value, block) : PXL_ABSENT;
    }
    Py_DECREF(item);
    return result;
}

/* Give the block of this very key; absent if there is none. */
static int give_named(opened_list *list, PyObject *key, pxl_slice *block)
{
    PyObject *value = PyObject_CallFunctionObjArgs(lmdb.find, list->cursor, key, NULL);
    int result;

    if (!value) return PXL_E_FETCH;
    result = value == Py_None ? PXL_ABSENT : hold(list, value, block);
    Py_DECREF(value);
    return result;
}

/* Give the last block that begins before `key`. */
static int give_before(opened_list *list, PyObject *key, pxl_slice *block)
{
    int found = truth(PyObject_CallFunctionObjArgs(lmdb.set_range, list->cursor, key, NULL));

    if (found >= 0) found = moved(found ? lmdb.prev : lmdb.last, list->cursor);
    if (found <= 0) return found ? PXL_E_FETCH : PXL_ABSENT;
    return give_current(list, block);
}

/* Give the block that would hold `key`: the last one that begins at or before it. */
static int give_holding(opened_list *list, const uint8_t *key, size_t len, pxl_slice *block)
{
    char sought[LONGEST_KEY + 1];
    PyObject *octets;
    pxl_slice owner;
    size_t at;
    bool named;
    int result = PXL_ABSENT;

    if (!octets_of(list->owner, &owner)) return PXL_E_FETCH;
    if (owner.len > LONGEST_KEY) return (void)PyErr_SetString(PyExc_ValueError, "a list's key is too long"), PXL_E_FETCH;
    if (len > LONGEST_KEY - owner.len) len = LONGEST_KEY - owner.len;
    at = owner.len + len;
    memcpy(sought, owner.data, owner.len);
    if (len) memcpy(sought + owner.len, key, len);
    /* The lowest key above is an octet longer.  Where none is, and where a block probably is called like this very
     * key, as it is where a leap ends (csrc/rows.c, maybe_cut), look for that one first. */
    named = at == LONGEST_KEY || (len && sought[at - 1] == LEAP_END);
    if (!named) sought[at++] = 0;
    if (!(octets = PyBytes_FromStringAndSize(sought, (Py_ssize_t)at))) return PXL_E_FETCH;
    if (named) result = give_named(list, octets, block);
    if (result == PXL_ABSENT) result = give_before(list, octets, block);
    Py_DECREF(octets);
    return result;
}

/* Give the block after the one given last; of a list that none was asked of, the one after its first. */
static int give_next(opened_list *list, bool fresh, pxl_slice *block)
{
    int found = fresh ? truth(PyObject_CallFunctionObjArgs(lmdb.set_key, list->cursor, list->owner, NULL)) : 1;

    if (found >= 0) found = moved(lmdb.next, list->cursor);
    if (found <= 0) return found ? PXL_E_FETCH : PXL_ABSENT;
    return give_current(list, block);
}

static int give(block_reader *self, uint32_t number, const uint8_t *key, size_t len, bool after, pxl_slice *block)
{
    bool fresh = false;
    opened_list *list;

    if (PyErr_CheckSignals() < 0 || !(list = list_of(self, number, &fresh))) return PXL_E_FETCH;
    self->fetched += !after;
    return after ? give_next(list, fresh, block) : give_holding(list, key, len, block);
}

/* The kernel's fetch.  What is raised waits until the kernel has come to its end. */
static int fetch(void *reader, uint32_t number, const uint8_t *key, size_t len, int after, pxl_slice *block)
{
    block_reader *self = reader;
    int result;

    result = give(self, number, key, len, after, block);
    if (result == PXL_E_FETCH) {
        forget_error(self);
        PyErr_Fetch(&self->error[0], &self->error[1], &self->error[2]);
    }
    return result;
}

/* ---- calls from Python --------------------------------------------------------------------------- */

/* Call for a view's memory before it is needed: with many users it is in no cache, and a look into LMDB takes as long
 * as it does to come. */
static void call_for(const pxl_view *view)
{
    for (size_t at = 0; at < sizeof *view; at += 64) __builtin_prefetch((const char *)view + at);
}

/* Take a snapshot, and read the first block of each list in (owner, table, owner, table ...). */
static bool read_first(block_reader *self, PyObject *txn, PyObject *lists, PyObject *keys, const pxl_plan *plan)
{
    const Py_ssize_t count = PyTuple_Size(keys);

    if (count < 0) return false;
    if (!more_first(self, (size_t)count / 2)) return (void)PyErr_NoMemory(), false;
    self->txn = txn;
    self->lists = lists;
    Py_INCREF(txn);
    Py_INCREF(lists);
    for (Py_ssize_t i = 0; i + 1 < count; i += 2) {
        PyObject *block = PyObject_CallFunctionObjArgs(lmdb.get, txn, PyTuple_GetItem(keys, i), no_octets,
                                                       PyTuple_GetItem(keys, i + 1), NULL);
        if (!block) return false;
        if (!i) call_for(plan->view);
        self->first_blocks[self->first_count] = block;
        if (!octets_of(block, &self->first[self->first_count++])) return false;
    }
    return true;
}

static bool begin(block_reader *self, PyObject *txn, PyObject *lists, PyObject *keys, const pxl_plan *plan)
{
    forget_snapshot(self);
    forget_error(self);
    __builtin_prefetch(plan);
    if (read_first(self, txn, lists, keys, plan)) return true;
    forget_snapshot(self);
    return false;
}

/* Raise what a fetch raised, if one did. */
static bool raises(block_reader *self)
{
    if (!self->error[0]) return false;
    PyErr_Restore(self->error[0], self->error[1], self->error[2]);
    self->error[0] = self->error[1] = self->error[2] = NULL;
    return true;
}

static PyObject *reader_answer(PyObject *object, PyObject *const *args, Py_ssize_t count)
{
    block_reader *self = (block_reader *)object;
    const pxl_plan *plan;
    const pxl_query *query;
    PyObject *answer;
    pxl_slice octets;
    int result;

    if (!fast_arguments(count, 5) || !(plan = PyLong_AsVoidPtr(args[3])) || !(query = PyLong_AsVoidPtr(args[4]))
        || !begin(self, args[0], args[1], args[2], plan))
        return NULL;
    result = self->calls->start(self->listing, plan, query, PXL_OUTPUT_IMAP, self->first);
    if (result == PXL_OK) result = self->calls->run(self->listing, SIZE_MAX);
    forget_snapshot(self);
    if (raises(self)) return NULL;
    if (result < 0) Py_RETURN_NONE;
    octets = self->calls->output(self->listing);
    answer = PyBytes_FromStringAndSize((const char *)octets.data, (Py_ssize_t)octets.len);
    self->calls->spare(self->listing);
    return answer;
}

static PyObject *reader_start(PyObject *object, PyObject *args)
{
    block_reader *self = (block_reader *)object;
    PyObject *txn, *lists, *keys, *plan_at, *query_at;
    const pxl_plan *plan;
    const pxl_query *query;
    int output;

    if (!PyArg_ParseTuple(args, "OOOOOi:start", &txn, &lists, &keys, &plan_at, &query_at, &output)
        || !(plan = PyLong_AsVoidPtr(plan_at)) || !(query = PyLong_AsVoidPtr(query_at))
        || !begin(self, txn, lists, keys, plan))
        return NULL;
    return PyLong_FromLong(self->calls->start(self->listing, plan, query, output, self->first));
}

static PyObject *reader_run(PyObject *object, PyObject *limit)
{
    block_reader *self = (block_reader *)object;
    const size_t octets = PyLong_AsSize_t(limit);
    int result;

    if (octets == (size_t)-1 && PyErr_Occurred()) return NULL;
    result = self->calls->run(self->listing, octets);
    return raises(self) ? NULL : PyLong_FromLong(result);
}

static PyObject *reader_go_on(PyObject *object, PyObject *txn)
{
    block_reader *self = (block_reader *)object;

    Py_INCREF(txn);
    Py_XDECREF(self->txn);
    self->txn = txn;
    Py_RETURN_NONE;
}

static PyObject *reader_rewind(PyObject *object, PyObject *ignored)
{
    block_reader *self = (block_reader *)object;
    PyObject *lists = self->lists;

    (void)ignored;
    Py_XINCREF(lists);
    forget_snapshot(self);
    self->lists = lists;
    self->calls->rewind(self->listing);
    Py_RETURN_NONE;
}

static PyObject *reader_forget(PyObject *object, PyObject *ignored)
{
    (void)ignored;
    forget_snapshot((block_reader *)object);
    Py_RETURN_NONE;
}

static PyObject *reader_serve(PyObject *object, PyObject *listing)
{
    ((block_reader *)object)->listing = PyLong_AsVoidPtr(listing);
    return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
}

static PyObject *reader_address(PyObject *object, void *closure)
{
    (void)closure;
    return PyLong_FromVoidPtr(object);
}

static PyObject *reader_fetched(PyObject *object, void *closure)
{
    (void)closure;
    return PyLong_FromUnsignedLongLong(((block_reader *)object)->fetched);
}

/* ---- the type and its module --------------------------------------------------------------------- */

static int reader_init(PyObject *object, PyObject *args, PyObject *keywords)
{
    PyObject *calls;

    (void)keywords;
    if (!PyArg_ParseTuple(args, "O:BlockReader", &calls)) return -1;
    ((block_reader *)object)->calls = PyLong_AsVoidPtr(calls);
    return PyErr_Occurred() ? -1 : 0;
}

static void reader_dealloc(PyObject *object)
{
    block_reader *self = (block_reader *)object;
    PyTypeObject *type = Py_TYPE(object);

    forget_snapshot(self);
    forget_error(self);
    PyMem_Free(self->first_blocks);
    PyMem_Free(self->first);
    PyMem_Free(self->opened);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
    Py_DECREF(type);
}

static PyMethodDef methods[] = {
    {"serve", reader_serve, METH_O, NULL},
    {"answer", (PyCFunction)(void (*)(void))reader_answer, METH_FASTCALL, NULL},
    {"start", reader_start, METH_VARARGS, NULL},
    {"run", reader_run, METH_O, NULL},
    {"rewind", reader_rewind, METH_NOARGS, NULL},
    {"go_on", reader_go_on, METH_O, NULL},
    {"forget", reader_forget, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef attributes[] = {
    {"address", reader_address, NULL, NULL, NULL},
    {"fetched", reader_fetched, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_init, (void *)reader_init},
    {Py_tp_dealloc, (void *)reader_dealloc},
    {Py_tp_methods, methods},
    {Py_tp_getset, attributes},
    {0, NULL},
};

static PyType_Spec spec = {"pyxlist.index._blocks.BlockReader", sizeof(block_reader), 0, Py_TPFLAGS_DEFAULT, slots};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "pyxlist.index._blocks", NULL, -1, NULL, NULL, NULL, NULL, NULL};

static const lmdb_method wanted[] = {
    {"Transaction", "get", &lmdb.get},        {"Transaction", "cursor", &lmdb.cursor}, {"Cursor", "prev", &lmdb.prev},
    {"Cursor", "set_key", &lmdb.set_key},     {"Cursor", "next", &lmdb.next},          {"Cursor", "last", &lmdb.last},
    {"Cursor", "set_range", &lmdb.set_range}, {"Cursor", "item", &lmdb.item},          {"Cursor", "get", &lmdb.find},
};

PyMODINIT_FUNC PyInit__blocks(void)
{
    PyObject *module, *type;

    if (!find_methods(wanted, sizeof wanted / sizeof *wanted) || !(no_octets = PyBytes_FromStringAndSize(NULL, 0))) return NULL;
    if (!(module = PyModule_Create(&definition))) return NULL;
    type = PyType_FromSpec(&spec);
    if (!type || PyModule_AddObjectRef(module, "BlockReader", type) < 0
        || PyModule_AddObject(module, "FETCH", PyLong_FromVoidPtr((void *)fetch)) < 0) {
        Py_XDECREF(type);
        Py_DECREF(module);
        return NULL;
    }
    Py_DECREF(type);
    return module;
}
