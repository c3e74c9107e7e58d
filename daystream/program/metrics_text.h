// Metrics in the text format of Prometheus, by its conventions: base units, times as
// _timestamp_seconds. What is not known has no line, so that no old number passes for a new one.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace daystream::program {

struct MetricLabel {
  const char* name;
  std::string value;  // any text
};

class MetricsText {
 public:
  // Begins a family: `type` is gauge or counter. Its samples follow before the next one begins.
  void family(const char* name, const char* type, const char* help);
  void sample(const std::vector<MetricLabel>& labels, double value);
  // A family of one sample without labels.
  void gauge(const char* name, const char* help, double value);
  // Which version of the program this is, as PROGRAM_build_info.
  void build_info(const char* name, std::vector<MetricLabel> labels = {});
  std::string take() { return std::move(text_); }

 private:
  std::string name_;
  std::string text_;
};

}  // namespace daystream::program
