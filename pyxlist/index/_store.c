/* _store.c - what every change does some times over: a look at the data file, a row found, a row set or removed.
 *
 * A durable change waits for the disk, and what runs after a wait finds its code and data in no cache of the
 * processor.  Then a step of the interpreter costs three times what it does in a loop: in Python these few functions
 * would be a tenth of the whole change.  What they do not do, the rare, stays in rows.py.
 *
 * Written against the stable ABI of CPython 3.11.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE          /* statx */
#endif
#include "_lmdb.h"
#include "postings.h"

#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/sysmacros.h>
#endif

enum {
    LARGEST_EDIT = 1 << 14   /* room for a block, a row and PXL_EDIT_ROOM; what is longer is cut anew */
};

static struct {
    PyObject *get_cursor, *put;                                     /* of a Transaction */
    PyObject *set_range, *prev, *last, *key, *item;                 /* of a Cursor */
} lmdb;

static const pxl_store_calls *core;

static PyObject *raise_damaged(void)
{
    PyObject *module = PyImport_ImportModule("pyxlist.index.faults");
    PyObject *error = module ? PyObject_CallMethod(module, "damaged", NULL) : NULL;

    Py_XDECREF(module);
    if (!error) return NULL;
    PyErr_SetObject((PyObject *)Py_TYPE(error), error);
    Py_DECREF(error);
    return NULL;
}

/* ---- blocks ------------------------------------------------------------------------------------- */

typedef struct {
    PyObject *item, *key, *value;    /* (key, value) as py-lmdb gave it, and the two borrowed from it */
    pxl_slice octets;                /* of the value */
} found_block;

static bool starts_with(pxl_slice key, pxl_slice owner)
{
    return key.len >= owner.len && !memcmp(key.data, owner.data, owner.len);
}

/* The first octets of owner and key that make a key of LMDB's. */
static PyObject *sought_of(pxl_slice owner, pxl_slice key)
{
    char sought[LONGEST_KEY];
    const size_t first = owner.len < LONGEST_KEY ? owner.len : LONGEST_KEY;
    const size_t second = key.len < LONGEST_KEY - first ? key.len : LONGEST_KEY - first;

    memcpy(sought, owner.data, first);
    if (second) memcpy(sought + first, key.data, second);
    return PyBytes_FromStringAndSize(sought, (Py_ssize_t)(first + second));
}

/* Move to the last key that is not above `sought`.  1, 0 where all are above, -1 with what was raised. */
static int move_to(PyObject *cursor, PyObject *sought)
{
    int there = truth(PyObject_CallFunctionObjArgs(lmdb.set_range, cursor, sought, NULL)), same;
    PyObject *key;

    if (there <= 0) return there ? there : moved(lmdb.last, cursor);
    if (!(key = PyObject_CallFunctionObjArgs(lmdb.key, cursor, NULL))) return -1;
    same = PyObject_RichCompareBool(key, sought, Py_EQ);
    Py_DECREF(key);
    return same ? same : moved(lmdb.prev, cursor);
}

/* The block that the cursor is on: 1, or 0 where it is not one of this owner's. */
static int current_block(PyObject *cursor, pxl_slice owner, found_block *block)
{
    pxl_slice key;

    if (!(block->item = PyObject_CallFunctionObjArgs(lmdb.item, cursor, NULL))) return -1;
    if ((block->key = PyTuple_GetItem(block->item, 0)) && octets_of(block->key, &key)
        && (block->value = PyTuple_GetItem(block->item, 1)) && octets_of(block->value, &block->octets)
        && starts_with(key, owner))
        return 1;
    Py_CLEAR(block->item);
    return PyErr_Occurred() ? -1 : 0;
}

/* The block of a list that would hold `key`: 1, 0 for an empty list, -1 with what was raised. */
static int block_holding(PyObject *txn, PyObject *table, pxl_slice owner, pxl_slice key, found_block *block)
{
    PyObject *sought = sought_of(owner, key), *cursor = NULL;
    int found = -1;

    if (sought && (cursor = PyObject_CallFunctionObjArgs(lmdb.get_cursor, txn, table, NULL))) {
        found = move_to(cursor, sought);
        if (found > 0) found = current_block(cursor, owner, block);
    }
    Py_XDECREF(sought);
    Py_XDECREF(cursor);
    return found;
}

static PyObject *store_find_block(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    found_block block;
    pxl_slice owner, key;
    int found;

    (void)module;
    if (!fast_arguments(count, 4) || !octets_of(args[2], &owner) || !octets_of(args[3], &key)) return NULL;
    found = block_holding(args[0], args[1], owner, key, &block);
    if (found <= 0) return found ? NULL : Py_NewRef(Py_None);
    return block.item;
}

/* ---- rows --------------------------------------------------------------------------------------- */

static PyObject *store_find_row(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    pxl_slice owner, key, payload;
    found_block block;
    PyObject *row = NULL;
    int found;

    (void)module;
    if (!fast_arguments(count, 4) || !octets_of(args[2], &owner) || !octets_of(args[3], &key)) return NULL;
    found = block_holding(args[0], args[1], owner, key, &block);
    if (found <= 0) return found ? NULL : Py_NewRef(Py_None);
    found = core->find(block.octets.data, block.octets.len, key.data, key.len, &payload);
    if (found < 0)
        row = raise_damaged();
    else if (found == PXL_ABSENT)
        row = Py_NewRef(Py_None);
    else
        row = PyBytes_FromStringAndSize((const char *)payload.data, (Py_ssize_t)payload.len);
    Py_DECREF(block.item);
    return row;
}

/* Put an edited block in its place where it may stand so: not empty, on one page, and the list's last or too full to be
 * joined with the one after it.  1, 0 where it may not, -1 with what was raised. */
static int put_edited(PyObject *txn, PyObject *table, const found_block *block, pxl_slice edited, PyObject *limits)
{
    unsigned joined, page;
    PyObject *octets;
    int done;

    if (!PyArg_ParseTuple(limits, "II", &joined, &page)) return -1;
    if (edited.len <= 1 || edited.len > page || (edited.len < joined && *edited.data & PXL_BLOCK_MORE)) return 0;
    if (!(octets = PyBytes_FromStringAndSize((const char *)edited.data, (Py_ssize_t)edited.len))) return -1;
    done = truth(PyObject_CallFunctionObjArgs(lmdb.put, txn, block->key, octets, Py_True, Py_True, Py_False, table, NULL));
    Py_DECREF(octets);
    return done < 0 ? -1 : 1;
}

static PyObject *store_edit_row(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    pxl_slice owner, key, payload = {NULL, 0};
    uint8_t edited[LARGEST_EDIT];
    found_block block;
    int64_t len;
    int done;

    (void)module;
    if (!fast_arguments(count, 6) || !octets_of(args[2], &owner) || !octets_of(args[3], &key)
        || (args[4] != Py_None && !octets_of(args[4], &payload)))
        return NULL;
    done = block_holding(args[0], args[1], owner, key, &block);
    if (done <= 0) return done ? NULL : PyBool_FromLong(0);
    len = core->edit(block.octets.data, block.octets.len, key.data, key.len, payload.data, payload.len, edited,
                        sizeof edited);
    if (len == PXL_E_BLOCK)
        done = raise_damaged() ? 0 : -1;
    else if (len)
        done = len < 0 ? 0 : put_edited(args[0], args[1], &block, (pxl_slice){edited, (size_t)len}, args[5]);
    Py_DECREF(block.item);
    return done < 0 ? NULL : PyBool_FromLong(done);
}

/* ---- what a change means ------------------------------------------------------------------------ */

/* Set lists[identifier + list] to the payload after the change, or None, if it is another one than before. */
static bool set_row(PyObject *lists, const pxl_change *change, const pxl_concern *who, int list)
{
    uint8_t before[15], after[15];
    char owner[PXL_IDENTIFIER_MAX + 1];
    const size_t old = core->payload(change, who, PXL_BEFORE, list, before);
    const size_t new = core->payload(change, who, PXL_AFTER, list, after);
    PyObject *key, *payload;
    bool set;

    if (old == new && !memcmp(before, after, new)) return true;
    memcpy(owner, who->identifier.data, who->identifier.len);
    owner[who->identifier.len] = (char)list;
    key = PyBytes_FromStringAndSize(owner, (Py_ssize_t)who->identifier.len + 1);
    payload = new ? PyBytes_FromStringAndSize((const char *)after, (Py_ssize_t)new) : Py_NewRef(Py_None);
    set = key && payload && !PyDict_SetItem(lists, key, payload);
    Py_XDECREF(key);
    Py_XDECREF(payload);
    return set;
}

static PyObject *lists_of(const pxl_change *change)
{
    PyObject *lists = PyDict_New();
    bool set = lists;

    for (size_t i = 0; set && i < change->len; i++)
        set = set_row(lists, change, &change->concerns[i], PXL_LIST_LOOKUP)
              && set_row(lists, change, &change->concerns[i], PXL_LIST_QUIET);
    if (!set) Py_CLEAR(lists);
    return lists;
}

static bool row_of(PyObject *row, pxl_slice *octets)
{
    *octets = (pxl_slice){NULL, 0};
    return row == Py_None || octets_of(row, octets);
}

static PyObject *store_compare_rows(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    pxl_slice key, before, after;
    pxl_change change;
    PyObject *lists;
    int result;

    (void)module;
    if (!fast_arguments(count, 3) || !octets_of(args[0], &key) || !row_of(args[1], &before) || !row_of(args[2], &after))
        return NULL;
    result = core->read(&change, key, before, after);
    if (result == PXL_E_MEMORY) return PyErr_NoMemory();
    if (result < 0) return PyErr_Format(PyExc_ValueError, "not a directory row: of %R", args[0]);
    lists = lists_of(&change);
    core->free(&change);
    return lists ? Py_BuildValue("NO", lists, change.shown ? Py_True : Py_False) : NULL;
}

/* ---- the lock ----------------------------------------------------------------------------------- */

/* Lock the writer's file if both locks can be had at once; whose turn it is next is nobody's business then. */
static PyObject *store_take_turn(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    int turn, writer, taken;

    (void)module;
    if (!fast_arguments(count, 2)) return NULL;
    turn = (int)PyLong_AsLong(args[0]);
    writer = (int)PyLong_AsLong(args[1]);
    if (PyErr_Occurred()) return NULL;
    if (flock(turn, LOCK_EX | LOCK_NB)) return PyBool_FromLong(0);
    taken = !flock(writer, LOCK_EX | LOCK_NB);
    flock(turn, LOCK_UN);
    return PyBool_FromLong(taken);
}

/* ---- the file ----------------------------------------------------------------------------------- */

/* The two numbers of a file and its length, but not its times: Linux writes those of a file that somebody asked for
 * more finely from then on, and every sync of such a file takes a fifth longer (multigrain timestamps, since 6.13). */
static int ask_for(const char *path, struct stat *status)
{
#ifdef STATX_INO
    struct statx found;

    if (statx(AT_FDCWD, path, 0, STATX_INO | STATX_SIZE, &found)) return -1;
    status->st_dev = makedev(found.stx_dev_major, found.stx_dev_minor);
    status->st_ino = found.stx_ino;
    status->st_size = (off_t)found.stx_size;
    return 0;
#else
    return stat(path, status);
#endif
}

static PyObject *store_file_at(PyObject *module, PyObject *path)
{
    struct stat status;
    pxl_slice octets;

    (void)module;
    if (!octets_of(path, &octets)) return NULL;
    if (ask_for((const char *)octets.data, &status)) return PyErr_SetFromErrno(PyExc_OSError);
    return Py_BuildValue("KK", (unsigned long long)status.st_dev, (unsigned long long)status.st_ino);
}

static PyObject *store_look_at(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    struct stat status;
    pxl_slice path, mark;

    (void)module;
    if (!fast_arguments(count, 2) || !octets_of(args[0], &path) || !octets_of(args[1], &mark)) return NULL;
    if (ask_for((const char *)path.data, &status)) return PyErr_SetFromErrno(PyExc_OSError);
    return Py_BuildValue("KKKO", (unsigned long long)status.st_dev, (unsigned long long)status.st_ino,
                         (unsigned long long)status.st_size,
                         access((const char *)mark.data, F_OK) ? Py_False : Py_True);
}

/* ---- the module --------------------------------------------------------------------------------- */

#define FAST(function) (PyCFunction)(void (*)(void))(function)

static PyMethodDef functions[] = {
    {"find_block", FAST(store_find_block), METH_FASTCALL, NULL},
    {"find_row", FAST(store_find_row), METH_FASTCALL, NULL},
    {"edit_row", FAST(store_edit_row), METH_FASTCALL, NULL},
    {"compare_rows", FAST(store_compare_rows), METH_FASTCALL, NULL},
    {"take_turn", FAST(store_take_turn), METH_FASTCALL, NULL},
    {"file_at", store_file_at, METH_O, NULL},
    {"look_at", FAST(store_look_at), METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "pyxlist.index._store", NULL, -1, functions, NULL, NULL, NULL, NULL};

static const lmdb_method wanted[] = {
    {"Transaction", "cursor", &lmdb.get_cursor}, {"Transaction", "put", &lmdb.put}, {"Cursor", "set_range", &lmdb.set_range},
    {"Cursor", "prev", &lmdb.prev},              {"Cursor", "last", &lmdb.last},    {"Cursor", "key", &lmdb.key},
    {"Cursor", "item", &lmdb.item},
};

/* The core's functions, through the module that it is in. */
static const pxl_store_calls *find_core(void)
{
    PyObject *module = PyImport_ImportModule("pyxlist._pxl"), *lib = NULL, *ffi = NULL, *table = NULL, *address = NULL;
    void *found = NULL;

    if (module && (lib = PyObject_GetAttrString(module, "lib")) && (ffi = PyObject_GetAttrString(module, "ffi"))
        && (table = PyObject_CallMethod(lib, "pxl_store_table", NULL))
        && (address = PyObject_CallMethod(ffi, "cast", "sO", "uintptr_t", table))) {
        PyObject *number = PyNumber_Long(address);
        found = number ? PyLong_AsVoidPtr(number) : NULL;
        Py_XDECREF(number);
    }
    Py_XDECREF(address);
    Py_XDECREF(table);
    Py_XDECREF(ffi);
    Py_XDECREF(lib);
    Py_XDECREF(module);
    return found;
}

PyMODINIT_FUNC PyInit__store(void)
{
    if (!(core = find_core()) || !find_methods(wanted, sizeof wanted / sizeof *wanted)) return NULL;
    return PyModule_Create(&definition);
}
