// The interface of rules, as in rnnref/rules/rule.py.
//
// A rule is a struct of its options, in the order of its row in kernel_table.py.  Its first template parameter is the
// type of arithmetic, A.  It has
//
//   gates, stored, weights    how many blocks ax has, how many numbers are kept, how many parameters have a gradient
//   sums, sees_h, has_c       it reads ax + ah only; it reads the old h itself; its state has a c
//   Kept                      the stored numbers in the order of Python's Kept, then what it reads of the states
//   forward(u, ax, ah, s, k)                    -> the new state; fills k
//   recall(k, before, after)                    fills the fields of k that are not stored, from the states
//   backward(u, k, dy, d, dax, dah, dp)         -> the gradient of the old state
//
// All of one unit `u` of one row.  Same names and same order of operations as the rule in Python.
#pragma once
#include "elementwise.cuh"

namespace rnnref {

template <class A> struct State { A h, c; };      // without has_c, c is never read

// Number j of a struct whose fields are all A
template <class A, class Fields> RNNREF A& number(Fields& fields, int j) {
  static_assert(sizeof(Fields) % sizeof(A) == 0, "all fields are A");
  return reinterpret_cast<A*>(&fields)[j];
}

}  // namespace rnnref
