// Passes over a feature map (B, C, P) of float32 whose pixels are adjacent.
//
// A tile of some pixels of one sample, all channels, is what the second-level cache holds: the
// expectation reads it twice. The caller adds the threads' sums.

#include "tiles.h"

namespace {

// A tile of all channels has so many numbers, or pixels.
constexpr int64_t kTileNumbers = 1 << 16;
constexpr int64_t kLeastPixels = 64;
// So many channels share what is read and written of the logits.
constexpr int kChannels = 4;

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
// these are (C, M).
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
  static void run(const float* x, const float* centre, const float* gradient,
                  const float* weights, double* sums, Shape shape, int threads) {
    const int64_t C = shape.channels, P = shape.pixels;
    over_rows(shape, threads, [&](const Tile& t) {
      const float* w = weights + t.sample * M * P + t.pixel;
      double* sum = sums + omp_get_thread_num() * C * 2 * M;
      for (int64_t c = t.channel; c < t.channel + t.channels; ++c) {
        const int64_t start = (t.sample * C + c) * P + t.pixel;
        const float middle = centre[c];
        Sums<M> plain, weighted;
        along(t.pixels, [&](int64_t p, auto zero) {
          using T = decltype(zero);
          const T g = load<T>(gradient + start + p);
          const T product = g * (load<T>(x + start + p) - middle);
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

// Writes g * (w . scale) + w . first + (x - centre) * (w . second), without a gradient the latter
// two.
template <int M>
struct Mix {
  template <bool backward>
  static void tiles(const float* x, const float* centre, const float* gradient,
                    const float* weights, const float* scale, const float* first,
                    const float* second, float* result, Shape shape, int threads) {
    const int64_t C = shape.channels, P = shape.pixels;
    over_rows(shape, threads, [=](const Tile& t) {
      const float* w = weights + t.sample * M * P + t.pixel;
      for (int64_t c = t.channel; c < t.channel + t.channels; ++c) {
        const int64_t start = (t.sample * C + c) * P + t.pixel;
        const float *from = x + start, *g = gradient + (backward ? start : 0);
        float* to = result + start;
        const float middle = centre[c];
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
          T y = constant + to_x * (load<T>(from + p) - middle);
          if constexpr (backward) y += to_gradient * load<T>(g + p);
          store(to + p, y);
        });
      }
    });
  }
  static void run(const float* x, const float* centre, const float* gradient,
                  const float* weights, const float* scale, const float* first,
                  const float* second, float* result, Shape shape, int threads) {
    (gradient ? tiles<true> : tiles<false>)(x, centre, gradient, weights, scale, first, second,
                                            result, shape, threads);
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
                 int components, int64_t samples, int64_t channels, int64_t pixels, int threads) {
  dispatch<Expectation>(components, x, constant, linear, square, centre, least, weights, counts,
                        sums, Shape{samples, channels, pixels}, threads);
}

void gradient_sums(const float* x, const float* centre, const float* gradient,
                   const float* weights, double* sums, int components, int64_t samples,
                   int64_t channels, int64_t pixels, int threads) {
  dispatch<GradientSums>(components, x, centre, gradient, weights, sums,
                         Shape{samples, channels, pixels}, threads);
}

void mix(const float* x, const float* centre, const float* gradient, const float* weights,
         const float* scale, const float* first, const float* second, float* result,
         int components, int64_t samples, int64_t channels, int64_t pixels, int threads) {
  dispatch<Mix>(components, x, centre, gradient, weights, scale, first, second, result,
                Shape{samples, channels, pixels}, threads);
}
}
