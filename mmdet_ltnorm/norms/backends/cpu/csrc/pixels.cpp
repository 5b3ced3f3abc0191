// Passes over a feature map (B, C, P) of float32 or bfloat16 whose pixels are adjacent.
//
// A tile of some pixels of one sample, all channels, is what the second-level cache holds: the
// expectation reads it twice. The caller adds the threads' sums: of the expectation (M, 1 + 2C), the
// counts and the sums of offsets and of their squares; of the gradient (2, M, C).

#include "passes.h"

namespace {

// A tile of all channels has so many numbers, or pixels.
constexpr int64_t kTileNumbers = 1 << 16;
constexpr int64_t kLeastPixels = 64;
// Sums over so many pixels hide what adding up the lanes of vectors takes.
constexpr int64_t kSummedPixels = 256;
// So many channels share what is read and written of the logits.
constexpr int kChannels = 4;

// Returns how many samples' pixels are summed at once, of which a tile has at most so many.
inline int64_t samples_at_once(const Shape& shape, int64_t pixels, int threads) {
  const int64_t most = std::min(kSummedPixels, pixels) / shape.pixels;
  return std::max<int64_t>(1, std::min(most, shape.samples / threads));
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
template <int M, int channels, class Number>
inline void add_logits(const Number* x, float* w, int64_t n, int64_t stride, const float* linear,
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

template <int M, class Number>
struct Expectation {
  static void run(const void* x, const float* constant, const float* linear, const float* square,
                  const float* centre, float least, float* weights, double* sums, Shape shape,
                  int threads) {
    const int64_t C = shape.channels, P = shape.pixels, row = 1 + 2 * C;
    const int64_t most = std::max(kLeastPixels, kTileNumbers / C);
    const int64_t samples = samples_at_once(shape, most, threads);
    over_tiles(shape, samples, C, most, threads, [&](const Tile& t) {
      const int64_t n = t.pixels;
      const Number* tile = static_cast<const Number*>(x) + t.sample * C * P + t.pixel;
      float* w = weights + t.sample * M * P + t.pixel;
      if (constant)
        for (int64_t s = 0; s < t.samples; ++s)
          make_weights(tile + s * C * P, constant, linear, square, centre, least, w + s * M * P, n,
                       C, P);
      if (!sums) return;
      double* sum = sums + omp_get_thread_num() * M * row;
      Sums<M> zeroth;
      for (int64_t s = 0; s < t.samples; ++s)
        along(n, [&, w = w + s * M * P](int64_t p, auto zero) {
          for (int j = 0; j < M; ++j) zeroth.add(j, load<decltype(zero)>(w + j * P + p));
        });
      for (int j = 0; j < M; ++j) sum[j * row] += zeroth.of(j);
      for (int64_t c = 0; c < C; ++c) {
        Sums<M> linear_sums, square_sums;
        for (int64_t s = 0; s < t.samples; ++s)
          along(n, [&, w = w + s * M * P, from = tile + (s * C + c) * P](int64_t p, auto zero) {
            using T = decltype(zero);
            const T offset = load<T>(from + p) - centre[c];
            const T squared = offset * offset;
            for (int j = 0; j < M; ++j) {
              const T weight = load<T>(w + j * P + p);
              linear_sums.add(j, T(weight * offset));
              square_sums.add(j, T(weight * squared));
            }
          });
        for (int j = 0; j < M; ++j) {
          sum[j * row + 1 + c] += linear_sums.of(j);
          sum[j * row + 1 + C + c] += square_sums.of(j);
        }
      }
    });
  }

  static inline void make_weights(const Number* x, const float* constant, const float* linear,
                                  const float* square, const float* centre, float least, float* w,
                                  int64_t n, int64_t C, int64_t P) {
    for (int j = 0; j < M; ++j) std::fill_n(w + j * P, n, constant[j]);
    int64_t c = 0;
    for (; c + kChannels <= C; c += kChannels)
      add_logits<M, kChannels>(x + c * P, w, n, P, linear + c * M, square + c * M, centre + c);
    for (; c < C; ++c)
      add_logits<M, 1>(x + c * P, w, n, P, linear + c * M, square + c * M, centre + c);
    softmax<M>(w, n, P, least);
  }
};

template <int M, class Number>
struct GradientSums {
  static void run(const void* x, const float* centre, const void* gradient, const float* weights,
                  double* sums, Shape shape, int threads) {
    const int64_t C = shape.channels, P = shape.pixels;
    over_rows(shape, samples_at_once(shape, kSummedPixels, threads), threads, [&](const Tile& t) {
      double* sum = sums + omp_get_thread_num() * 2 * M * C;
      for (int64_t c = t.channel; c < t.channel + t.channels; ++c) {
        const float middle = centre[c];
        Sums<M> plain, weighted;
        for (int64_t s = t.sample; s < t.sample + t.samples; ++s) {
          const int64_t start = (s * C + c) * P + t.pixel;
          const Number* from = static_cast<const Number*>(x) + start;
          const Number* upstream = static_cast<const Number*>(gradient) + start;
          const float* w = weights + s * M * P + t.pixel;
          along(t.pixels, [&](int64_t p, auto zero) {
            using T = decltype(zero);
            const T g = load<T>(upstream + p);
            const T product = g * (load<T>(from + p) - middle);
            for (int j = 0; j < M; ++j) {
              const T weight = load<T>(w + j * P + p);
              plain.add(j, T(weight * g));
              weighted.add(j, T(weight * product));
            }
          });
        }
        for (int j = 0; j < M; ++j) {
          sum[j * C + c] += plain.of(j);
          sum[(M + j) * C + c] += weighted.of(j);
        }
      }
    });
  }
};

// Writes g * (w . scale) + w . first + (x - centre) * (w . second), without a gradient the latter
// two.
template <int M, class Number>
struct Mix {
  template <bool backward>
  static void tiles(const Number* x, const float* centre, const Number* gradient,
                    const float* weights, const float* scale, const float* first,
                    const float* second, Number* result, Shape shape, int threads) {
    const int64_t C = shape.channels, P = shape.pixels;
    over_rows(shape, 1, threads, [=](const Tile& t) {
      const float* w = weights + t.sample * M * P + t.pixel;
      for (int64_t c = t.channel; c < t.channel + t.channels; ++c) {
        const int64_t start = (t.sample * C + c) * P + t.pixel;
        const Number *from = x + start, *g = gradient + (backward ? start : 0);
        Number* to = result + start;
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
  static void run(const void* x, const float* centre, const void* gradient, const float* weights,
                  const float* scale, const float* first, const float* second, void* result,
                  Shape shape, int threads) {
    (gradient ? tiles<true> : tiles<false>)(
        static_cast<const Number*>(x), centre, static_cast<const Number*>(gradient), weights,
        scale, first, second, static_cast<Number*>(result), shape, threads);
  }
};

}  // namespace

extern "C" {

void expectation(const void* x, const float* constant, const float* linear, const float* square,
                 const float* centre, float least, float* weights, double* sums, int components,
                 bool bfloat16, int64_t samples, int64_t channels, int64_t pixels, int threads) {
  dispatch<Expectation>(components, bfloat16, x, constant, linear, square, centre, least, weights,
                        sums, Shape{samples, channels, pixels}, threads);
}

void gradient_sums(const void* x, const float* centre, const void* gradient,
                   const float* weights, double* sums, int components, bool bfloat16,
                   int64_t samples, int64_t channels, int64_t pixels, int threads) {
  dispatch<GradientSums>(components, bfloat16, x, centre, gradient, weights, sums,
                         Shape{samples, channels, pixels}, threads);
}

void mix(const void* x, const float* centre, const void* gradient, const float* weights,
         const float* scale, const float* first, const float* second, void* result,
         int components, bool bfloat16, int64_t samples, int64_t channels, int64_t pixels,
         int threads) {
  dispatch<Mix>(components, bfloat16, x, centre, gradient, weights, scale, first, second, result,
                Shape{samples, channels, pixels}, threads);
}
}
