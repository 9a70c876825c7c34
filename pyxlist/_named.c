/* _named.c - objects of a NamedTuple, made at once.
 *
 * A LIST as objects is mostly the making of them: `tuple.__new__` makes a tuple, then another one of the type that it
 * copies the first to, and both by way of argument parsing.
 *
 * Written against the stable ABI of CPython 3.11.
 */
#include <Python.h>

/* How `kind` makes room for its objects; NULL with TypeError if they are no tuples. */
static allocfunc room_of(PyObject *kind)
{
    if (PyType_Check(kind) && PyType_IsSubtype((PyTypeObject *)kind, &PyTuple_Type))
        return (allocfunc)PyType_GetSlot((PyTypeObject *)kind, Py_tp_alloc);
    PyErr_SetString(PyExc_TypeError, "expected a type of tuples");
    return NULL;
}

static PyObject *named_new(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    allocfunc room;
    PyObject *made;

    (void)module;
    if (count < 1) return PyErr_Format(PyExc_TypeError, "takes a type and its fields");
    if (!(room = room_of(args[0])) || !(made = room((PyTypeObject *)args[0], count - 1))) return NULL;
    for (Py_ssize_t i = 1; i < count; i++) PyTuple_SetItem(made, i - 1, Py_NewRef(args[i]));
    return made;
}

/* Are all columns lists of one length?  -1 with what was raised if not. */
static Py_ssize_t length_of(PyObject *const *columns, Py_ssize_t count)
{
    Py_ssize_t len = 0;

    for (Py_ssize_t i = 0; i < count; i++) {
        Py_ssize_t other;
        if (!PyList_Check(columns[i])) return PyErr_SetString(PyExc_TypeError, "expected columns as lists"), -1;
        other = PyList_Size(columns[i]);
        if (i && other != len) return PyErr_SetString(PyExc_ValueError, "columns of different lengths"), -1;
        len = other;
    }
    return len;
}

static PyObject *named_rows(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    allocfunc room;
    PyObject *rows, *made;
    Py_ssize_t len;

    (void)module;
    if (count < 1) return PyErr_Format(PyExc_TypeError, "takes a type and its columns");
    if (!(room = room_of(args[0])) || (len = length_of(args + 1, count - 1)) < 0 || !(rows = PyList_New(len))) return NULL;
    for (Py_ssize_t row = 0; row < len; row++) {
        if (!(made = room((PyTypeObject *)args[0], count - 1))) {
            Py_DECREF(rows);
            return NULL;
        }
        PyList_SetItem(rows, row, made);
        for (Py_ssize_t i = 1; i < count; i++)
            PyTuple_SetItem(made, i - 1, Py_NewRef(PyList_GetItem(args[i], row)));
    }
    return rows;
}

static PyMethodDef methods[] = {
    {"new", (PyCFunction)(void (*)(void))named_new, METH_FASTCALL, NULL},
    {"rows", (PyCFunction)(void (*)(void))named_rows, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "pyxlist._named", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__named(void)
{
    return PyModule_Create(&definition);
}
