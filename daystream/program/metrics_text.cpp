#include "program/metrics_text.h"

#include <fmt/format.h>

namespace daystream::program {

namespace {

// Copies and hosts call themselves what they like.
std::string escaped_label(std::string_view value) {
  std::string out;
  for (const char c : value) {
    if (c == '"' || c == '\\' || c == '\n') out += '\\';
    out += c == '\n' ? 'n' : c;
  }
  return out;
}

}  // namespace

void MetricsText::family(const char* name, const char* type, const char* help) {
  name_ = name;
  text_ += fmt::format("# HELP {0} {2}\n# TYPE {0} {1}\n", name, type, help);
}

void MetricsText::sample(const std::vector<MetricLabel>& labels, double value) {
  std::string inside;
  for (const MetricLabel& label : labels) {
    inside += fmt::format("{}{}=\"{}\"", inside.empty() ? "" : ",", label.name,
                          escaped_label(label.value));
  }
  text_ += fmt::format("{}{}{}{} {}\n", name_, inside.empty() ? "" : "{", inside,
                       inside.empty() ? "" : "}", value);
}

void MetricsText::gauge(const char* name, const char* help, double value) {
  family(name, "gauge", help);
  sample({}, value);
}

void MetricsText::build_info(const char* name, std::vector<MetricLabel> labels) {
  family(name, "gauge", "Which version this is.");
  labels.push_back({"version", DELTAFLOOD_VERSION});
  sample(labels, 1);
}

}  // namespace daystream::program
