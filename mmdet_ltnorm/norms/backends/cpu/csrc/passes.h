// What passes over pixels share, however a feature map lies in memory.

#pragma once

#include "tiles.h"

namespace {

// exp(x) for x <= 0 to 1e-7, and 0 below what SMALLEST_RESPONSIBILITY cuts off anyway.
template <class T>
inline T exponential(T x) {
  constexpr float least = -80.f;
  T clipped = x < least ? T{} + least : x;
  T shifted = clipped * 1.44269504f + 12582912.f;  // 1.5 * 2^23 rounds to an integer
  T integer = shifted - 12582912.f;
  // The logarithm of 2 in two parts, and the minimax polynomial of exp on [-ln 2 / 2, ln 2 / 2].
  T r = (clipped - integer * 0.693359375f) + integer * 2.12194440e-4f;
  T y = 1.9875691500e-4f + T{};
  y = y * r + 1.3981999507e-3f;
  y = y * r + 8.3334519073e-3f;
  y = y * r + 4.1665795894e-2f;
  y = y * r + 1.6666665459e-1f;
  y = y * r + 5.0000001201e-1f;
  y = y * r * r + r + 1.f;
  return y * same_bits<T>((same_bits<Bits<T>>(shifted) + 127) << 23);
}

// Makes responsibilities of the logits of n pixels; a component's are adjacent.
template <int M>
inline void softmax(float* w, int64_t n, int64_t stride, float least) {
  along(n, [=](int64_t p, auto zero) {
    using T = decltype(zero);
    T value[M], largest = load<T>(w + p), sum = zero;
    for (int j = 0; j < M; ++j) {
      value[j] = load<T>(w + j * stride + p);
      largest = value[j] > largest ? value[j] : largest;
    }
    for (int j = 0; j < M; ++j) sum += value[j] = exponential<T>(value[j] - largest);
    for (int j = 0; j < M; ++j) {
      value[j] /= sum;
      store(w + j * stride + p, value[j] < least ? zero : value[j]);
    }
  });
}

// Runs the template for so many components, at most 8, and numbers in float32 or bfloat16.
template <template <int, class> class Pass, int M = 8, class... Args>
void dispatch(int components, bool bfloat16, Args... args) {
  if (components == M) {
    (bfloat16 ? Pass<M, BFloat16>::run : Pass<M, float>::run)(args...);
  } else if constexpr (M > 1) {
    dispatch<Pass, M - 1>(components, bfloat16, args...);
  }
}

}  // namespace
