// Vectors of float32, read from and written to memory in float32 or bfloat16, and tiles of a feature
// map (B, C, P).
//
// Sums over pixels are float32 within a tile, float64 beyond, one row for each thread, which are
// added in order; so results are the same in every run with as many threads.
// What an inner loop reads again and again it holds by value: through a pointer, the compiler would
// have to fear that the loop's own stores change it.

#pragma once

#include <omp.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>

namespace {

#if defined(__AVX2__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif

template <int lanes>
struct Vector {
  typedef float type __attribute__((vector_size(lanes * sizeof(float))));
};
template <>
struct Vector<1> {
  typedef float type;
};
template <class T>
constexpr int width = sizeof(T) / sizeof(float);

// A vector's bits, and integers of half the width.
template <int lanes>
struct Integers {
  typedef uint32_t type __attribute__((vector_size(lanes * sizeof(uint32_t))));
  typedef uint16_t half __attribute__((vector_size(lanes * sizeof(uint16_t))));
};
template <>
struct Integers<1> {
  typedef uint32_t type;
  typedef uint16_t half;
};
template <class T>
using Bits = typename Integers<width<T>>::type;
template <class T>
using HalfBits = typename Integers<width<T>>::half;

// Returns a value of another type with the same bits.
template <class To, class From>
inline To same_bits(From from) {
  static_assert(sizeof(To) == sizeof(From), "a value of the same size");
  To to;
  std::memcpy(&to, &from, sizeof(To));
  return to;
}

template <class To, class From>
inline To converted(From from) {
  if constexpr (std::is_arithmetic_v<To>) {
    return static_cast<To>(from);
  } else {
    return __builtin_convertvector(from, To);
  }
}

template <class T>
inline T load(const float* from) {
  T value;
  std::memcpy(&value, from, sizeof(T));
  return value;
}

template <class T>
inline void store(float* to, T value) {
  std::memcpy(to, &value, sizeof(T));
}

// The upper half of a float32.
struct BFloat16 {
  uint16_t bits;
};

template <class T>
inline T load(const BFloat16* from) {
  HalfBits<T> bits;
  std::memcpy(&bits, from, sizeof(bits));
  return same_bits<T>(converted<Bits<T>>(bits) << 16);
}

// Rounds to the nearest, of two to the even one.
template <class T>
inline void store(BFloat16* to, T value) {
  const Bits<T> bits = same_bits<Bits<T>>(value), nan = Bits<T>{} + 0x7fc0;
  const Bits<T> rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  const HalfBits<T> half = converted<HalfBits<T>>(value == value ? rounded : nan);
  std::memcpy(to, &half, sizeof(half));
}

template <class T>
inline float total(T value) {
  if constexpr (width<T> == 1) {
    return value;
  } else {
    using Half = typename Vector<width<T> / 2>::type;
    Half halves[2];
    std::memcpy(halves, &value, sizeof(T));
    return total<Half>(halves[0] + halves[1]);
  }
}

// Calls step(pixel, a vector's zero) for all n pixels, with shorter vectors at the end.
template <int lanes = kLanes, class Step>
inline void along(int64_t n, const Step& step, int64_t start = 0) {
  using T = typename Vector<lanes>::type;
  for (; start + lanes <= n; start += lanes) step(start, T{});
  if constexpr (lanes > 1) {
    along<(lanes > 4 ? lanes / 2 : 1)>(n, step, start);
  }
}

// Sums of one channel over the pixels of a tile.
template <int M>
struct Sums {
  using T = typename Vector<kLanes>::type;
  T wide[M] = {};
  float narrow[M] = {};

  template <class S>
  inline void add(int j, S value) {
    if constexpr (width<S> == kLanes) {
      wide[j] += value;
    } else {
      narrow[j] += total(value);
    }
  }
  inline double of(int j) const { return total(wide[j]) + narrow[j]; }
};

struct Shape {
  int64_t samples, channels, pixels;
};

// A part of the feature map: channels and pixels of some samples.
struct Tile {
  int64_t sample, samples, channel, channels, pixel, pixels;
};

// Calls work(tile) for tiles of at most so many samples, channels and pixels, on so many threads.
template <class Work>
inline void over_tiles(const Shape& shape, int64_t samples, int64_t channels, int64_t pixels,
                       int threads, const Work& work) {
  const int64_t sets = (shape.samples + samples - 1) / samples;
  const int64_t rows = (shape.channels + channels - 1) / channels;
  const int64_t most = (shape.pixels + pixels - 1) / pixels;
  pixels = ((shape.pixels + most - 1) / most + 15) / 16 * 16;  // equal, and whole vectors
  const int64_t columns = (shape.pixels + pixels - 1) / pixels;
#pragma omp parallel for num_threads(threads) schedule(static)
  for (int64_t index = 0; index < sets * columns * rows; ++index) {
    const int64_t channel = index % rows * channels, pixel = index / rows % columns * pixels;
    const int64_t sample = index / rows / columns * samples;
    work(Tile{sample, std::min(samples, shape.samples - sample), channel,
              std::min(channels, shape.channels - channel), pixel,
              std::min(pixels, shape.pixels - pixel)});
  }
}

// Where the channels do not meet, tiles are long, for memory is fastest in a row.
template <class Work>
inline void over_rows(const Shape& shape, int64_t samples, int threads, const Work& work) {
  over_tiles(shape, samples, 64, 4096, threads, work);
}

}  // namespace
