// The passes of pixels.py over a feature map (B, C, P) of float32 whose pixels are adjacent.
//
// A tile of some pixels of one sample, all channels, is what the second-level cache holds: the
// expectation reads it twice. Sums over pixels are float32 within a tile, float64 beyond, one row
// for each thread, which the caller adds; so results are the same in every run with as many threads.
// What an inner loop reads again and again it holds by value: through a pointer, the compiler would
// have to fear that the loop's own stores change it.

#include <omp.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace {

#if defined(__AVX2__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif
// A tile of all channels has so many numbers, or pixels.
constexpr int64_t kTileNumbers = 1 << 16;
constexpr int64_t kLeastPixels = 64;
// So many channels share what is read and written of the logits.
constexpr int kChannels = 4;

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
  if constexpr (width<T> == 1) {
    uint32_t bits;
    std::memcpy(&bits, &shifted, sizeof(bits));
    bits = (bits + 127) << 23;
    float power;
    std::memcpy(&power, &bits, sizeof(bits));
    return y * power;
  } else {
    typedef uint32_t I __attribute__((vector_size(sizeof(T))));
    I bits;
    std::memcpy(&bits, &shifted, sizeof(T));
    bits = (bits + 127) << 23;
    T power;
    std::memcpy(&power, &bits, sizeof(T));
    return y * power;
  }
}

struct Shape {
  int64_t samples, channels, pixels;
};

// A part of the feature map: channels and pixels of one sample.
struct Tile {
  int64_t sample, channel, channels, pixel, pixels;
};

// Calls work(tile) for tiles of at most so many channels and pixels, on so many threads.
template <class Work>
inline void over_tiles(const Shape& shape, int64_t channels, int64_t pixels, int threads,
                       const Work& work) {
  const int64_t rows = (shape.channels + channels - 1) / channels;
  const int64_t most = (shape.pixels + pixels - 1) / pixels;
  pixels = ((shape.pixels + most - 1) / most + 15) / 16 * 16;  // equal, and whole vectors
  const int64_t columns = (shape.pixels + pixels - 1) / pixels;
#pragma omp parallel for num_threads(threads) schedule(static)
  for (int64_t index = 0; index < shape.samples * columns * rows; ++index) {
    const int64_t channel = index % rows * channels, pixel = index / rows % columns * pixels;
    work(Tile{index / rows / columns, channel, std::min(channels, shape.channels - channel), pixel,
              std::min(pixels, shape.pixels - pixel)});
  }
}

// Where the channels do not meet, tiles are long, for memory is fastest in a row.
template <class Work>
inline void over_rows(const Shape& shape, int threads, const Work& work) {
  over_tiles(shape, 64, 4096, threads, work);
}

// A channel's numbers in a table (C, M).
template <int M>
struct Row {
  float of[M];
};

template <int M>
inline Row<M> row(const float* table, int64_t channel) {
  return load<Row<M>>(table + channel * M);
}

// Adds to each pixel's logits linear * (x - centre) + square * (x - centre)^2 over some channels;
// the tables are (C, M).
template <int M, int channels>
inline void add_logits(const float* x, float* w, int64_t n, int64_t stride, const float* linear,
                       const float* square, const float* centre) {
  along(n, [=](int64_t p, auto zero) {
    using T = decltype(zero);
    T logit[M];
    for (int j = 0; j < M; ++j) logit[j] = load<T>(w + j * stride + p);
    for (int c = 0; c < channels; ++c) {
      const T offset = load<T>(x + c * stride + p) - centre[c];
      for (int j = 0; j < M; ++j)
        logit[j] += offset * (linear[c * M + j] + offset * square[c * M + j]);
    }
    for (int j = 0; j < M; ++j) store(w + j * stride + p, logit[j]);
  });
}

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

template <int M>
struct Expectation {
  static void run(const float* x, const float* constant, const float* linear, const float* square,
                  const float* centre, float least, float* weights, double* counts, double* sums,
                  Shape shape, int threads) {
    const int64_t C = shape.channels, P = shape.pixels;
    const int64_t most = std::max(kLeastPixels, kTileNumbers / C);
    over_tiles(shape, C, most, threads, [&](const Tile& t) {
      const int64_t n = t.pixels;
      const float* tile = x + t.sample * C * P + t.pixel;
      float* w = weights + t.sample * M * P + t.pixel;
      double* count = counts + omp_get_thread_num() * M;
      double* sum = sums + omp_get_thread_num() * C * 2 * M;
      if (constant) {
        for (int j = 0; j < M; ++j) std::fill_n(w + j * P, n, constant[j]);
        int64_t c = 0;
        for (; c + kChannels <= C; c += kChannels)
          add_logits<M, kChannels>(tile + c * P, w, n, P, linear + c * M, square + c * M,
                                   centre + c);
        for (; c < C; ++c)
          add_logits<M, 1>(tile + c * P, w, n, P, linear + c * M, square + c * M, centre + c);
        softmax<M>(w, n, P, least);
      }
      if (!sums) return;
      Sums<M> zeroth;
      along(n, [&](int64_t p, auto zero) {
        for (int j = 0; j < M; ++j) zeroth.add(j, load<decltype(zero)>(w + j * P + p));
      });
      for (int j = 0; j < M; ++j) count[j] += zeroth.of(j);
      for (int64_t c = 0; c < C; ++c) {
        Sums<M> linear_sums, square_sums;
        along(n, [&](int64_t p, auto zero) {
          using T = decltype(zero);
          const T offset = load<T>(tile + c * P + p) - centre[c];
          const T squared = offset * offset;
          for (int j = 0; j < M; ++j) {
            const T weight = load<T>(w + j * P + p);
            linear_sums.add(j, T(weight * offset));
            square_sums.add(j, T(weight * squared));
          }
        });
        for (int j = 0; j < M; ++j) {
          sum[c * 2 * M + j] += linear_sums.of(j);
          sum[c * 2 * M + M + j] += square_sums.of(j);
        }
      }
    });
  }
};

template <int M>
struct GradientSums {
  static void run(const float* x, const float* gradient, const float* weights, double* sums,
                  Shape shape, int threads) {
    const int64_t C = shape.channels, P = shape.pixels;
    over_rows(shape, threads, [&](const Tile& t) {
      const float* w = weights + t.sample * M * P + t.pixel;
      double* sum = sums + omp_get_thread_num() * C * 2 * M;
      for (int64_t c = t.channel; c < t.channel + t.channels; ++c) {
        const int64_t start = (t.sample * C + c) * P + t.pixel;
        Sums<M> plain, weighted;
        along(t.pixels, [&](int64_t p, auto zero) {
          using T = decltype(zero);
          const T g = load<T>(gradient + start + p);
          const T product = g * load<T>(x + start + p);
          for (int j = 0; j < M; ++j) {
            const T weight = load<T>(w + j * P + p);
            plain.add(j, T(weight * g));
            weighted.add(j, T(weight * product));
          }
        });
        for (int j = 0; j < M; ++j) {
          sum[c * 2 * M + j] += plain.of(j);
          sum[c * 2 * M + M + j] += weighted.of(j);
        }
      }
    });
  }
};

// Writes g * (w . scale) + w . first + x * (w . second), without a gradient the latter two.
template <int M>
struct Mix {
  template <bool backward>
  static void tiles(const float* x, const float* gradient, const float* weights,
                    const float* scale, const float* first, const float* second, float* result,
                    Shape shape, int threads) {
    const int64_t C = shape.channels, P = shape.pixels;
    over_rows(shape, threads, [=](const Tile& t) {
      const float* w = weights + t.sample * M * P + t.pixel;
      for (int64_t c = t.channel; c < t.channel + t.channels; ++c) {
        const int64_t start = (t.sample * C + c) * P + t.pixel;
        const float *from = x + start, *g = gradient + (backward ? start : 0);
        float* to = result + start;
        const Row<M> a = row<M>(backward ? scale : first, c), b = row<M>(first, c);
        const Row<M> s = row<M>(second, c);
        along(t.pixels, [=](int64_t p, auto zero) {
          using T = decltype(zero);
          T to_gradient = zero, constant = zero, to_x = zero;
          for (int j = 0; j < M; ++j) {
            const T weight = load<T>(w + j * P + p);
            if constexpr (backward) to_gradient += weight * a.of[j];
            constant += weight * b.of[j];
            to_x += weight * s.of[j];
          }
          T y = constant + to_x * load<T>(from + p);
          if constexpr (backward) y += to_gradient * load<T>(g + p);
          store(to + p, y);
        });
      }
    });
  }
  static void run(const float* x, const float* gradient, const float* weights, const float* scale,
                  const float* first, const float* second, float* result, Shape shape,
                  int threads) {
    (gradient ? tiles<true> : tiles<false>)(x, gradient, weights, scale, first, second, result,
                                            shape, threads);
  }
};

// Runs the template for so many components, at most 8.
template <template <int> class Pass, int M = 8, class... Args>
void dispatch(int components, Args... args) {
  if (components == M) {
    Pass<M>::run(args...);
  } else if constexpr (M > 1) {
    dispatch<Pass, M - 1>(components, args...);
  }
}

}  // namespace

extern "C" {

void expectation(const float* x, const float* constant, const float* linear, const float* square,
                 const float* centre, float least, float* weights, double* counts, double* sums,
                 const int64_t* sizes, int components, int threads) {
  dispatch<Expectation>(components, x, constant, linear, square, centre, least, weights, counts,
                        sums, Shape{sizes[0], sizes[1], sizes[2]}, threads);
}

void gradient_sums(const float* x, const float* gradient, const float* weights, double* sums,
                   const int64_t* sizes, int components, int threads) {
  dispatch<GradientSums>(components, x, gradient, weights, sums,
                         Shape{sizes[0], sizes[1], sizes[2]}, threads);
}

void mix(const float* x, const float* gradient, const float* weights, const float* scale,
         const float* first, const float* second, float* result, const int64_t* sizes,
         int components, int threads) {
  dispatch<Mix>(components, x, gradient, weights, scale, first, second, result,
                Shape{sizes[0], sizes[1], sizes[2]}, threads);
}
}
