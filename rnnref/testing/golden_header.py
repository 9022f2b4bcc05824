"""Golden vectors as a C header that holds its own checker."""
from typing import TYPE_CHECKING, Iterator

import numpy

from ..arrays import Array

if TYPE_CHECKING:
    from .golden_vectors import Golden

_ABOUT = """/* Golden vectors of {title}: what an engine is given, and what it must give.

   In a test, after #include "{file}":

       my_lstm(golden_f_in_x, ..., y);
       int wrong = golden_check_f("out/y", y);          0: right; golden_check_d for double

   Or, for an engine in any language, a program that reads lines "name number number ..." and compares them:

       cc -x c -DGOLDEN_MAIN {file} -o check && my_engine | ./check          ./check --list prints all names
*/
#ifndef RNNREF_GOLDEN_H
#define RNNREF_GOLDEN_H
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
"""

_CHECKER = r"""
typedef struct {
    const char *name;               /* "out/y" */
    int is_given;                   /* 1: an engine is given it; 0: it must give it */
    int axes, shape[6], count;      /* row-major */
    const double *d;                /* in double, and rounded or computed in float */
    const float *f;
    double tolerance_f, tolerance_d;
} golden_array;

static const golden_array golden_arrays[] = {
%s
};
enum { golden_count = sizeof golden_arrays / sizeof *golden_arrays };

static const golden_array *golden_find(const char *name)
{
    for (int k = 0; k < golden_count; k++)
        if (!strcmp(golden_arrays[k].name, name)) return &golden_arrays[k];
    fprintf(stderr, "golden: no array is called %%s\n", name);
    return NULL;
}

/* How many entries are wrong; the first is printed with its place. */
static int golden_compare(const golden_array *a, const double *got, double tolerance)
{
    int wrong = 0, first = 0;
    for (int k = 0; k < a->count; k++) {
        double error = got[k] - a->d[k];
        if (!(error <= tolerance && -error <= tolerance) && wrong++ == 0) first = k;       /* NaN is wrong */
    }
    if (!wrong) return 0;
    fprintf(stderr, "golden: %%s differs in %%d of %%d entries, first at [", a->name, wrong, a->count);
    for (int axis = 0, rest = a->count, at = first; axis < a->axes; axis++) {
        rest /= a->shape[axis];
        fprintf(stderr, axis ? ", %%d" : "%%d", at / rest);
        at %%= rest;
    }
    fprintf(stderr, "]: %%.9g, expected %%.9g (tolerance %%.2g)\n", got[first], a->d[first], tolerance);
    return wrong;
}

/* 0: right; else how many entries are wrong; -1: no such array. */
static inline int golden_check_d(const char *name, const double *got)
{
    const golden_array *a = golden_find(name);
    return a ? golden_compare(a, got, a->tolerance_d) : -1;
}

static inline int golden_check_f(const char *name, const float *got)
{
    const golden_array *a = golden_find(name);
    if (!a) return -1;
    double *wide = malloc(sizeof *wide * (size_t)(a->count + 1));
    if (!wide) return -1;
    for (int k = 0; k < a->count; k++) wide[k] = got[k];
    int wrong = golden_compare(a, wide, a->tolerance_f);
    free(wide);
    return wrong;
}

#ifdef GOLDEN_MAIN
static void golden_list(void)
{
    for (int k = 0; k < golden_count; k++) {
        printf("%%s %%s", golden_arrays[k].is_given ? "given" : "wanted", golden_arrays[k].name);
        for (int axis = 0; axis < golden_arrays[k].axes; axis++)
            printf(axis ? " x %%d" : "  %%d", golden_arrays[k].shape[axis]);
        putchar('\n');
    }
}

/* Exit status 0: all that was given is right; 1: something differs; 2: nothing or something else was given. */
int main(int argc, char **argv)
{
    static char seen[golden_count];
    char name[256];
    int wrong = 0, compared = 0, is_double = argc > 1 && !strcmp(argv[1], "--double");
    if (argc > 1 && !strcmp(argv[1], "--list")) { golden_list(); return 0; }
    while (scanf("%%255s", name) == 1) {
        const golden_array *a = golden_find(name);
        if (!a) return 2;
        double *got = malloc(sizeof *got * (size_t)(a->count + 1));
        if (!got) return 2;
        for (int k = 0; k < a->count; k++)
            if (scanf("%%lf", &got[k]) != 1) {
                fprintf(stderr, "golden: %%s has %%d numbers, expected %%d\n", name, k, a->count);
                free(got);
                return 2;
            }
        wrong += golden_compare(a, got, is_double ? a->tolerance_d : a->tolerance_f) != 0;
        compared++;
        seen[a - golden_arrays] = 1;
        free(got);
    }
    for (int k = 0; k < golden_count; k++)
        if (!golden_arrays[k].is_given && !seen[k] && strncmp(golden_arrays[k].name, "step/", 5))
            printf("not compared: %%s\n", golden_arrays[k].name);
    printf("%%d arrays compared, %%d differ\n", compared, wrong);
    return compared == 0 ? 2 : wrong != 0;
}
#endif
#endif
"""


def write_header(vectors: "Golden") -> str:
    """The header: all arrays in float and double, a table of them, functions that compare, and a program.

    It needs a C99 compiler and nothing else.  Arrays are golden_f_<name> and golden_d_<name>, with _ for /.
    """
    parts = [_ABOUT.format(title=vectors.title, file=f"{vectors.name.lower()}_golden.h")]
    parts += [f"#define GOLDEN_{axis} {n}" for axis, n in vectors.sizes.items()]
    for name, a in vectors.float64.items():
        single = vectors.float64[name] if vectors.is_given(name) else vectors.float32[name]
        parts += ["", *_write_array("double", f"golden_d_{_to_identifier(name)}", a, "{:.17g}"),
                  *_write_array("float", f"golden_f_{_to_identifier(name)}", single.astype("float32"), "{:.9g}")]
    return "\n".join(parts) + "\n" + _CHECKER % ",\n".join(_write_rows(vectors))


def _to_identifier(name: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in name)


def _write_array(kind: str, name: str, a: Array, form: str) -> Iterator[str]:
    numbers = [form.format(float(n)) for n in a.ravel()] or ["0"]
    yield f"static const {kind} {name}[{len(numbers)}] = {{"
    for start in range(0, len(numbers), 6):
        yield "    " + ", ".join(numbers[start:start + 6]) + ","
    yield "};"


def _write_rows(vectors: "Golden") -> Iterator[str]:
    for name, a in vectors.float64.items():
        shape = ", ".join(map(str, numpy.shape(a) or (1,)))
        single, double = vectors.tolerance[name]
        identifier = _to_identifier(name)
        yield (f'    {{"{name}", {int(vectors.is_given(name))}, {max(a.ndim, 1)}, {{{shape}}}, {a.size}, '
               f"golden_d_{identifier}, golden_f_{identifier}, {single:.3g}, {double:.3g}}}")
