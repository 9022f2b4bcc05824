// What every rule has.  Twin of rules/rule.py.
//
// A rule is a struct of its options, in the order of its row in texts.py, with the arithmetic A as first parameter:
//
//   gates, stored, weights    how many blocks ax has, how many numbers are kept, how many parameters have a gradient
//   sums, sees_h, has_c       it sees ax + ah only; it sees the old h; its state has a c
//   Kept                      the stored numbers in the order of Python's Kept, then what it sees of the states
//   forward(u, ax, ah, s, k)                    -> the new state; fills k
//   recall(k, before, after)                    fills in k what is not stored but in the states
//   backward(u, k, dy, d, dax, dah, dp)         -> the gradient of the old state
//
// All of one unit `u` of one row.  Same names and same order of operations as the rule in Python.
#pragma once
#include "elementwise.cuh"

namespace rnnref {

template <class A> struct State { A h, c; };      // without has_c nobody looks at c

// Number j of a struct whose fields are all A
template <class A, class Fields> RNNREF A& number(Fields& fields, int j) {
  static_assert(sizeof(Fields) % sizeof(A) == 0, "all fields are A");
  return reinterpret_cast<A*>(&fields)[j];
}

}  // namespace rnnref
