// The passes of pixels.cpp over pixels (P, C) of float32 or bfloat16 whose channels are adjacent.
//
// Vectors are of channels, which are worked on in blocks. A tile is few pixels, whose sums are
// float32. A processor foresees no reads that leave a block for the next row, so they are told it.

#include "passes.h"

namespace {

constexpr int64_t kTilePixels = 64;
constexpr int64_t kBlock = 256;
template <class Number>
constexpr int64_t kLine = 64 / sizeof(Number);  // of the cache
// So many pixels share what is read of the coefficients.
template <int M>
constexpr int kTogether = M > 4 ? 1 : 8 / M > 4 ? 4 : 8 / M;

// Calls step(pixel, how many of them) for all n, so many at once and the rest one by one.
template <int together, class Step>
inline void in_groups(int64_t n, const Step& step) {
  int64_t p = 0;
  for (; p + together <= n; p += together) step(p, std::integral_constant<int, together>{});
  for (; p < n; ++p) step(p, std::integral_constant<int, 1>{});
}

// Calls work(first channel, channels) for blocks of channels.
template <class Work>
inline void over_blocks(int64_t channels, const Work& work) {
  for (int64_t first = 0; first < channels; first += kBlock)
    work(first, std::min(kBlock, channels - first));
}

// A block's coefficients of M components, (M, C), which the first-level cache holds.
template <int M>
struct Block {
  float of[M][kBlock];
  Block(const float* table, int64_t C, int64_t channels) {
    for (int j = 0; j < M; ++j) std::copy_n(table + j * C, channels, of[j]);
  }
};

inline void add(double* to, float value) { *to += value; }

template <class T>
inline void add(double* to, T value) {
  typedef double Wide __attribute__((vector_size(2 * sizeof(T))));
  Wide sum;
  std::memcpy(&sum, to, sizeof(sum));
  sum += __builtin_convertvector(value, Wide);
  std::memcpy(to, &sum, sizeof(sum));
}

// Adds to first and second the sums of w times the offset and its square over a tile's pixels, or
// where there is a gradient of w times that and w times both. A component's sums are `jump` numbers
// after another's.
template <int M, bool backward, class Number>
inline void add_sums(const Number* x, const Number* gradient, const float* centre, const float* w,
                     int64_t stride, int64_t pixels, int64_t C, double* first, double* second,
                     int64_t jump) {
  along(C, [=](int64_t c, auto zero) {
    using T = decltype(zero);
    if (c % kLine<Number> == 0)
      for (int64_t p = 0; p < pixels; ++p) {
        const int64_t next = p * C + c + kLine<Number>;
        __builtin_prefetch(x + next);
        if constexpr (backward) __builtin_prefetch(gradient + next);
      }
    const T middle = load<T>(centre + c);
    T of_first[M] = {}, of_second[M] = {};
    for (int64_t p = 0; p < pixels; ++p) {
      const T offset = load<T>(x + p * C + c) - middle;
      const T one = backward ? load<T>(gradient + p * C + c) : offset, other = one * offset;
      for (int j = 0; j < M; ++j) {
        const float weight = w[j * stride + p];
        of_first[j] += one * weight;
        of_second[j] += other * weight;
      }
    }
    for (int j = 0; j < M; ++j) {
      add(first + j * jump + c, of_first[j]);
      add(second + j * jump + c, of_second[j]);
    }
  });
}

template <int M, class Number>
struct Expectation {
  // Adds to each pixel's logits linear * (x - centre) + square * (x - centre)^2 over some channels.
  static inline void add_logits(const Number* x, float* w, int64_t stride, const float* linear,
                                const float* square, const float* centre, int64_t C,
                                int64_t pixels, int64_t channels) {
    const Block<M> to_offsets(linear, C, channels), to_squares(square, C, channels);
    in_groups<kTogether<M>>(pixels, [&](int64_t p, auto group) {
      constexpr int together = decltype(group)::value;
      Sums<M> logits[together];
      along(channels, [&](int64_t c, auto zero) {
        using T = decltype(zero);
        T offset[together];
        for (int i = 0; i < together; ++i)
          offset[i] = load<T>(x + (p + i) * C + c) - load<T>(centre + c);
        for (int j = 0; j < M; ++j) {
          const T to_offset = load<T>(to_offsets.of[j] + c);
          const T to_square = load<T>(to_squares.of[j] + c);
          for (int i = 0; i < together; ++i)
            logits[i].add(j, T(offset[i] * (to_offset + offset[i] * to_square)));
        }
      });
      for (int i = 0; i < together; ++i)
        for (int j = 0; j < M; ++j)
          w[j * stride + p + i] += static_cast<float>(logits[i].of(j));
    });
  }

  static void run(const void* x, const float* constant, const float* linear, const float* square,
                  const float* centre, float least, float* weights, double* sums, Shape shape,
                  int threads) {
    const int64_t C = shape.channels, P = shape.pixels, row = 1 + 2 * C;
    over_tiles(shape, 1, C, kTilePixels, threads, [&](const Tile& t) {
      const int64_t n = t.pixels;
      const Number* tile = static_cast<const Number*>(x) + t.pixel * C;
      float* w = weights + t.pixel;
      if (constant) {
        for (int j = 0; j < M; ++j) std::fill_n(w + j * P, n, constant[j]);
        over_blocks(C, [=](int64_t c, int64_t channels) {
          add_logits(tile + c, w, P, linear + c, square + c, centre + c, C, n, channels);
        });
        softmax<M>(w, n, P, least);
      }
      if (!sums) return;
      double* sum = sums + omp_get_thread_num() * M * row;
      for (int j = 0; j < M; ++j)
        for (int64_t p = 0; p < n; ++p) sum[j * row] += w[j * P + p];
      add_sums<M, false, Number>(tile, nullptr, centre, w, P, n, C, sum + 1, sum + 1 + C, row);
    });
  }
};

template <int M, class Number>
struct GradientSums {
  static void run(const void* x, const float* centre, const void* gradient, const float* weights,
                  double* sums, Shape shape, int threads) {
    const int64_t C = shape.channels, P = shape.pixels;
    over_tiles(shape, 1, C, kTilePixels, threads, [&](const Tile& t) {
      const Number* from = static_cast<const Number*>(x) + t.pixel * C;
      const Number* g = static_cast<const Number*>(gradient) + t.pixel * C;
      double* sum = sums + omp_get_thread_num() * 2 * M * C;
      add_sums<M, true>(from, g, centre, weights + t.pixel, P, t.pixels, C, sum, sum + M * C, C);
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
    over_tiles(shape, 1, C, kTilePixels, threads, [=](const Tile& t) {
      over_blocks(C, [=](int64_t begin, int64_t channels) {
        const Block<M> a(backward ? scale + begin : first + begin, C, channels);
        const Block<M> b(first + begin, C, channels), s(second + begin, C, channels);
        in_groups<kTogether<M>>(t.pixels, [&](int64_t p, auto group) {
          constexpr int together = decltype(group)::value;
          float weight[together][M];
          for (int i = 0; i < together; ++i)
            for (int j = 0; j < M; ++j) weight[i][j] = weights[j * P + t.pixel + p + i];
          const int64_t start = (t.pixel + p) * C + begin;
          const Number *from = x + start, *g = gradient + (backward ? start : 0);
          Number* to = result + start;
          for (int64_t c = 0; c < channels; c += kLine<Number>)
            for (int i = 2 * together; i < 3 * together; ++i) {
              __builtin_prefetch(from + i * C + c);
              if constexpr (backward) __builtin_prefetch(g + i * C + c);
            }
          along(channels, [&](int64_t c, auto zero) {
            using T = decltype(zero);
            T to_gradient[together] = {}, constant[together] = {}, to_x[together] = {};
            for (int j = 0; j < M; ++j)
              for (int i = 0; i < together; ++i) {
                if constexpr (backward) to_gradient[i] += load<T>(a.of[j] + c) * weight[i][j];
                constant[i] += load<T>(b.of[j] + c) * weight[i][j];
                to_x[i] += load<T>(s.of[j] + c) * weight[i][j];
              }
            const T middle = load<T>(centre + begin + c);
            for (int i = 0; i < together; ++i) {
              T y = constant[i] + to_x[i] * (load<T>(from + i * C + c) - middle);
              if constexpr (backward) y += to_gradient[i] * load<T>(g + i * C + c);
              store(to + i * C + c, y);
            }
          });
        });
      });
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

void expectation_last(const void* x, const float* constant, const float* linear,
                      const float* square, const float* centre, float least, float* weights,
                      double* sums, int components, bool bfloat16, int64_t samples,
                      int64_t channels, int64_t pixels, int threads) {
  dispatch<Expectation>(components, bfloat16, x, constant, linear, square, centre, least, weights,
                        sums, Shape{samples, channels, pixels}, threads);
}

void gradient_sums_last(const void* x, const float* centre, const void* gradient,
                        const float* weights, double* sums, int components, bool bfloat16,
                        int64_t samples, int64_t channels, int64_t pixels, int threads) {
  dispatch<GradientSums>(components, bfloat16, x, centre, gradient, weights, sums,
                         Shape{samples, channels, pixels}, threads);
}

void mix_last(const void* x, const float* centre, const void* gradient, const float* weights,
              const float* scale, const float* first, const float* second, void* result,
              int components, bool bfloat16, int64_t samples, int64_t channels, int64_t pixels,
              int threads) {
  dispatch<Mix>(components, bfloat16, x, centre, gradient, weights, scale, first, second, result,
                Shape{samples, channels, pixels}, threads);
}
}
