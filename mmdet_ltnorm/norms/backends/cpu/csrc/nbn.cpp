// NBN over a feature map (B, C, P) of float32 whose pixels are adjacent: what normalizes the affine
// vectors, and batch norm in as few passes over memory as it takes. nbn.py beside this folder has the formulas.

#include <cmath>
#include <vector>

#include "tiles.h"

namespace {

// So many pixels give a point near a channel's mean, from which squares can be summed in float32.
constexpr int64_t kPilot = 64;

// A vector v that is used as scale * v = magnitude * gain * v / max(|v|, floor).
struct Rescaled {
  const float* v;
  double square, length, unit, scale;

  Rescaled(const float* vector, float magnitude, float gain, double floor, int64_t channels)
      : v(vector), square(0) {
    for (int64_t c = 0; c < channels; ++c) square += static_cast<double>(v[c]) * v[c];
    length = std::sqrt(square);
    unit = gain / std::max(length, floor);
    scale = magnitude * unit;
    if (length < floor) square = INFINITY;  // the scale does not depend on the vector
  }

  double at(int64_t channel) const { return scale * v[channel]; }

  // Writes the gradient of v, from what gradient(channel) is of scale * v, and of the magnitude.
  template <class Gradient>
  void backward(const Gradient& gradient, int64_t channels, float* to_v,
                float* to_magnitude) const {
    double along_v = 0;
    for (int64_t c = 0; c < channels; ++c) along_v += v[c] * gradient(c);
    *to_magnitude = static_cast<float>(unit * along_v);
    for (int64_t c = 0; c < channels; ++c)
      to_v[c] = static_cast<float>(scale * (gradient(c) - v[c] * (along_v / square)));
  }
};

// Calls work(first number, pixels, channel) for rows of one channel of one sample.
template <class Work>
void over_channels(const Shape& shape, int threads, const Work& work) {
  over_rows(shape, 1, threads, [&](const Tile& t) {
    for (int64_t c = t.channel; c < t.channel + t.channels; ++c)
      work((t.sample * shape.channels + c) * shape.pixels + t.pixel, t.pixels, c);
  });
}

// Returns two sums for each channel, of what add_of(channel)(sums, number, zero) adds.
template <class AddOf>
std::vector<double> channel_sums(const Shape& shape, int threads, const AddOf& add_of) {
  const int64_t row = 2 * shape.channels;
  std::vector<double> sums(threads * row);
  over_channels(shape, threads, [&](int64_t start, int64_t n, int64_t channel) {
    Sums<2> own;
    const auto add = add_of(channel);
    along(n, [&](int64_t p, auto zero) { add(own, start + p, zero); });
    double* sum = sums.data() + omp_get_thread_num() * row + 2 * channel;
    for (int k = 0; k < 2; ++k) sum[k] += own.of(k);
  });
  for (int64_t i = row; i < threads * row; ++i) sums[i % row] += sums[i];
  return sums;
}

float pilot(const float* x, int64_t pixels) {
  Sums<1> sum;
  along(pixels, [&](int64_t p, auto zero) { sum.add(0, load<decltype(zero)>(x + p)); });
  return static_cast<float>(sum.of(0) / pixels);
}

// Writes a batch's mean and inverse deviation, and moves the stored statistics, if there are any.
void batch_statistics(const float* x, const Shape& shape, int threads, double eps, double momentum,
                      float* running_mean, float* running_var, float* mean, float* inverse) {
  for (int64_t c = 0; c < shape.channels; ++c)
    mean[c] = pilot(x + c * shape.pixels, std::min(kPilot, shape.pixels));
  const auto sums = channel_sums(shape, threads, [=](int64_t c) {
    return [x, middle = mean[c]](auto& own, int64_t at, auto zero) {
      using T = decltype(zero);
      const T offset = load<T>(x + at) - middle;
      own.add(0, offset);
      own.add(1, T(offset * offset));
    };
  });
  const double n = static_cast<double>(shape.samples * shape.pixels);
  for (int64_t c = 0; c < shape.channels; ++c) {
    const double offset = sums[2 * c] / n, mu = mean[c] + offset;
    const double var = std::max(sums[2 * c + 1] / n - offset * offset, 0.0);
    mean[c] = static_cast<float>(mu);
    inverse[c] = static_cast<float>(1 / std::sqrt(var + eps));
    if (!running_mean) continue;
    running_mean[c] += static_cast<float>(momentum * (mu - running_mean[c]));
    running_var[c] += static_cast<float>(momentum * (var * n / (n - 1) - running_var[c]));
  }
}

// Returns each channel's sums of the gradient and of the gradient times the deviation from the mean.
// Where the pixels' gradients do not depend on these, the same pass can write them: they are the
// gradient times slope(channel).
template <bool writes, class Slope>
std::vector<double> gradient_sums(const float* x, const float* gradient, const float* mean,
                                  const Slope& slope, float* to_x, const Shape& shape,
                                  int threads) {
  return channel_sums(shape, threads, [&](int64_t c) {
    const float middle = mean[c], to_gradient = static_cast<float>(slope(c));
    return [=](auto& own, int64_t at, auto zero) {
      using T = decltype(zero);
      const T g = load<T>(gradient + at);
      own.add(0, g);
      own.add(1, T(g * (load<T>(x + at) - middle)));
      if constexpr (writes) store(to_x + at, T(g * to_gradient));
    };
  });
}

}  // namespace

extern "C" {

// Without a bias_magnitude the magnitude is the bias's, too. statistics (2, C): the mean and the
// inverse deviation that normalize.
void nbn_forward(const float* x, const float* weight, const float* bias, const float* magnitude,
                 const float* bias_magnitude, const float* weight_gain, const float* bias_gain,
                 double floor, double eps, double momentum, bool from_batch, float* running_mean,
                 float* running_var, float* y, float* statistics, int64_t samples,
                 int64_t channels, int64_t pixels, int threads) {
  const Shape shape{samples, channels, pixels};
  float *mean = statistics, *inverse = statistics + shape.channels;
  if (from_batch) {
    batch_statistics(x, shape, threads, eps, momentum, running_mean, running_var, mean, inverse);
  } else {
    for (int64_t c = 0; c < shape.channels; ++c) {
      mean[c] = running_mean[c];
      inverse[c] = static_cast<float>(1 / std::sqrt(running_var[c] + eps));
    }
  }
  const float own = bias_magnitude ? *bias_magnitude : *magnitude;
  const Rescaled gamma(weight, *magnitude, *weight_gain, floor, shape.channels);
  const Rescaled beta(bias, own, *bias_gain, floor, shape.channels);
  over_channels(shape, threads, [&](int64_t start, int64_t n, int64_t c) {
    const double slope = gamma.at(c) * inverse[c];
    const float a = static_cast<float>(slope), b = static_cast<float>(beta.at(c) - mean[c] * slope);
    const float* from = x + start;
    float* to = y + start;
    along(n, [=](int64_t p, auto zero) {
      using T = decltype(zero);
      store(to + p, T(load<T>(from + p) * a + b));
    });
  });
}

// to_x may be null. to_magnitudes (2): the weight's and the bias's, or the first for both.
void nbn_backward(const float* x, const float* gradient, const float* weight, const float* bias,
                  const float* magnitude, const float* bias_magnitude, const float* weight_gain,
                  const float* bias_gain, double floor, bool from_batch, const float* statistics,
                  float* to_x, float* to_weight, float* to_bias, float* to_magnitudes,
                  int64_t samples, int64_t channels, int64_t pixels, int threads) {
  const Shape shape{samples, channels, pixels};
  const float *mean = statistics, *inverse = statistics + shape.channels;
  const float own = bias_magnitude ? *bias_magnitude : *magnitude;
  const Rescaled gamma(weight, *magnitude, *weight_gain, floor, shape.channels);
  const Rescaled beta(bias, own, *bias_gain, floor, shape.channels);
  const auto slope = [&](int64_t c) { return gamma.at(c) * inverse[c]; };
  const bool at_once = to_x && !from_batch;
  const auto sums =
      (at_once ? gradient_sums<true, decltype(slope)> : gradient_sums<false, decltype(slope)>)(
          x, gradient, mean, slope, to_x, shape, threads);
  const auto to_beta = [&](int64_t c) { return sums[2 * c]; };
  const auto to_gamma = [&](int64_t c) { return sums[2 * c + 1] * inverse[c]; };
  gamma.backward(to_gamma, shape.channels, to_weight, to_magnitudes);
  beta.backward(to_beta, shape.channels, to_bias, to_magnitudes + 1);
  if (!bias_magnitude) to_magnitudes[0] += to_magnitudes[1];
  if (!to_x || at_once) return;
  const double n = static_cast<double>(shape.samples * shape.pixels);
  over_channels(shape, threads, [&](int64_t start, int64_t row, int64_t c) {
    const float middle = mean[c], to_gradient = static_cast<float>(slope(c));
    const float to_mean = static_cast<float>(-slope(c) * to_beta(c) / n);
    const float to_deviation = static_cast<float>(-slope(c) * to_gamma(c) * inverse[c] / n);
    const float *g = gradient + start, *from = x + start;
    float* to = to_x + start;
    along(row, [=](int64_t p, auto zero) {
      using T = decltype(zero);
      const T through_batch = (load<T>(from + p) - middle) * to_deviation + to_mean;
      store(to + p, T(load<T>(g + p) * to_gradient + through_batch));
    });
  });
}
}
