/* _lmdb.h - py-lmdb's own methods, as the C of this room calls them: with what they are of, which spares an object for
 * each call.  Through them transactions, and what ends them, stay py-lmdb's business.
 */
#ifndef PXL_LMDB_H
#define PXL_LMDB_H

#include <Python.h>

#include <stdbool.h>
#include <stddef.h>

#include "pxl.h"

enum {
    LONGEST_KEY = 511        /* that LMDB takes; layout.py */
};

typedef struct {
    const char *type, *name;
    PyObject **method;
} lmdb_method;

/* Find all of them, once; false with what was raised. */
static inline bool find_methods(const lmdb_method *wanted, size_t count)
{
    PyObject *library = PyImport_ImportModule("lmdb"), *type;

    for (size_t i = 0; library && i < count; i++) {
        type = PyObject_GetAttrString(library, wanted[i].type);
        *wanted[i].method = type ? PyObject_GetAttrString(type, wanted[i].name) : NULL;
        Py_XDECREF(type);
        if (!*wanted[i].method) Py_CLEAR(library);
    }
    Py_XDECREF(library);
    return library;
}

static inline bool octets_of(PyObject *bytes, pxl_slice *octets)
{
    Py_ssize_t len;
    char *data;

    if (PyBytes_AsStringAndSize(bytes, &data, &len) < 0) return false;
    *octets = (pxl_slice){(const uint8_t *)data, (size_t)len};
    return true;
}

/* 1 for a method's True, 0 for its False, -1 when it raised.  Takes the reference. */
static inline int truth(PyObject *result)
{
    int value;

    if (!result) return -1;
    value = PyObject_IsTrue(result);
    Py_DECREF(result);
    return value;
}

static inline int moved(PyObject *method, PyObject *cursor)
{
    return truth(PyObject_CallFunctionObjArgs(method, cursor, NULL));
}

static inline bool fast_arguments(Py_ssize_t got, Py_ssize_t wanted)
{
    if (got != wanted) PyErr_Format(PyExc_TypeError, "takes %zd arguments, got %zd", wanted, got);
    return got == wanted;
}

#endif
