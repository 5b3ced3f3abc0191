// Arithmetic on the components' matrices (M, C) of float32, in float64: in torch's operations it is
// a hundred of them, which take longer than the numbers.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace {

// Channels that are worked on together; sums over components of so many fit the stack.
constexpr int64_t kBlock = 256;

// Calls work(first channel, channels) for blocks of channels.
template <class Work>
void over_blocks(int64_t channels, const Work& work) {
  for (int64_t first = 0; first < channels; first += kBlock)
    work(first, std::min(kBlock, channels - first));
}

double lerp(double from, double to, double weight) { return from + weight * (to - from); }

}  // namespace

extern "C" {

void log_joint(const float* mean, const float* var, const float* prior, const float* centre,
               double eps, double temperature, double least_prior, float* constant, float* linear,
               float* square, int components, int64_t channels) {
  std::vector<double> joint(components);
  double joint_mean = 0;
  for (int j = 0; j < components; ++j) {
    const float *mu = mean + j * channels, *v = var + j * channels;
    double log_density = 0;
    for (int64_t c = 0; c < channels; ++c) {
      const double variance = v[c] + eps, offset = double(mu[c]) - centre[c];
      log_density += offset * offset / variance + std::log(variance);
    }
    joint[j] = std::log(std::max<double>(prior[j], least_prior)) - 0.5 * log_density / temperature;
    joint_mean += joint[j] / components;
  }
  for (int j = 0; j < components; ++j) constant[j] = static_cast<float>(joint[j] - joint_mean);
  over_blocks(channels, [=](int64_t first, int64_t n) {
    double slope_mean[kBlock] = {}, inverse_mean[kBlock] = {};
    for (int pass = 0; pass < 2; ++pass)
      for (int j = 0; j < components; ++j) {
        const int64_t at = j * channels + first;
        for (int64_t c = 0; c < n; ++c) {
          const double inverse = 1 / ((var[at + c] + eps) * temperature);
          const double slope = (double(mean[at + c]) - centre[first + c]) * inverse;
          if (pass == 0) {
            slope_mean[c] += slope / components;
            inverse_mean[c] += inverse / components;
          } else {
            linear[at + c] = static_cast<float>(slope - slope_mean[c]);
            square[at + c] = static_cast<float>(-0.5 * (inverse - inverse_mean[c]));
          }
        }
      }
  });
}

// matrices (7, M, C): the offset, inverse, scale and shift that normalize, and the batch's mean,
// offset and variance; numbers (2 M + 1): counts, shares and the total; flags (M + 1): which
// components were seen, and whether there are enough pixels.
void affine_of_batch(const double* sums, const float* mean, const float* var, const float* centre,
                     const float* weight, const float* bias, double eps, double shrinkage,
                     double kept, bool split, float* matrices, float* numbers, bool* flags,
                     int components, int64_t channels) {
  const int64_t row = 1 + 2 * channels, size = components * channels;
  double total = 0;
  for (int j = 0; j < components; ++j) total += sums[j * row];
  for (int j = 0; j < components; ++j) {
    const double zeroth = sums[j * row], shrunk = zeroth + shrinkage * total;
    numbers[j] = static_cast<float>(std::max(shrunk, 1.0));
    numbers[components + j] = static_cast<float>(zeroth / std::max(total, 1.0));
    flags[j] = !(shrunk < (split ? 1.5 : 1)) && !(total <= 1.5);
  }
  numbers[2 * components] = static_cast<float>(total);
  flags[components] = total > 1.5;  // two, summed in float32
  over_blocks(channels, [=](int64_t begin, int64_t n) {
    double all_first[kBlock] = {}, all_second[kBlock] = {};
    for (int j = 0; j < components; ++j) {
      const double* own = sums + j * row + 1 + begin;
      for (int64_t c = 0; c < n; ++c) {
        all_first[c] += own[c];
        all_second[c] += own[c + channels];
      }
    }
    for (int j = 0; j < components; ++j) {
      const double* own = sums + j * row + 1 + begin;
      const double share = 1 / std::max(sums[j * row] + shrinkage * total, 1.0);
      for (int64_t c = 0; c < n; ++c) {
        const int64_t at = j * channels + begin + c;
        const double first = (own[c] + shrinkage * all_first[c]) * share;
        const double second = (own[c + channels] + shrinkage * all_second[c]) * share;
        const double spread = std::max(second - first * first, 0.0);
        const double middle = centre[begin + c], old = mean[at] - middle;
        const double offset = flags[j] ? lerp(first, old, kept) : old;
        const double used_var = flags[j] ? lerp(spread, var[at], kept) : var[at];
        const double inverse = 1 / std::sqrt(used_var + eps), scale = weight[at] * inverse;
        const double written[] = {offset,         inverse, scale, bias[at] - offset * scale,
                                  first + middle, first,   spread};
        for (int k = 0; k < 7; ++k) matrices[k * size + at] = static_cast<float>(written[k]);
      }
    }
  });
}

void sums_gradient(const float* to_weight, const float* to_bias, const float* scale,
                   const float* inverse, const float* offset, const float* var,
                   const float* count, const bool* seen, double shrinkage, double kept,
                   float* output, int components, int64_t channels) {
  const int64_t row = 1 + 2 * channels;
  for (int j = 0; j < components; ++j) {
    double zeroth = 0;
    const double used = seen[j] ? 1 - kept : 0, share = 1 / static_cast<double>(count[j]);
    for (int64_t c = 0; c < channels; ++c) {
      const int64_t at = j * channels + c;
      const double slope = scale[at] * used;
      const double second = -0.5 * slope * inverse[at] * to_weight[at];
      const double mu = offset[at], first = -slope * to_bias[at] - 2 * mu * second;
      zeroth -= (mu * first + (var[at] + mu * mu) * second) * share;
      output[j * row + 1 + c] = static_cast<float>(first * share);
      output[j * row + 1 + channels + c] = static_cast<float>(second * share);
    }
    output[j * row] = static_cast<float>(zeroth);
  }
  if (shrinkage == 0) return;
  for (int64_t c = 0; c < row; ++c) {
    double all = 0;
    for (int j = 0; j < components; ++j) all += output[j * row + c];
    for (int j = 0; j < components; ++j)
      output[j * row + c] = static_cast<float>(output[j * row + c] + shrinkage * all);
  }
}

void move(float* running_mean, float* running_var, float* prior, int64_t* not_finite,
          const float* mean, const float* var, const float* count, const float* share,
          const float* total, const bool* seen, const bool* enough, double rate, bool unbiased,
          bool split, int components, int64_t channels) {
  for (int j = 0; j < components; ++j) {
    if (!split && *enough) prior[j] = static_cast<float>(lerp(prior[j], share[j], rate));
    const double pixels = split ? count[j] : *total;
    const double factor = unbiased ? pixels / std::max(pixels - 1, 1.0) : 1;
    for (int64_t at = j * channels; at < (j + 1) * channels; ++at) {
      if (!std::isfinite(mean[at]) || !std::isfinite(var[at])) {
        *not_finite = 1;
        continue;
      }
      if (!seen[j]) continue;
      running_mean[at] = static_cast<float>(lerp(running_mean[at], mean[at], rate));
      running_var[at] = static_cast<float>(lerp(running_var[at], var[at] * factor, rate));
    }
  }
}
}
