#include "program/report_news.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>

#include "json_text.h"

namespace daystream::program {

using nlohmann::ordered_json;

namespace {

bool has_digit(std::string_view word) {
  return std::any_of(word.begin(), word.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// Without its words that have digits. What is in quotes stays: a name may well have some.
std::string without_figures(std::string_view text) {
  std::string out;
  bool quoted = false;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find(' ', at), text.size());
    const std::string_view word = text.substr(at, end - at);
    const bool has_quote = word.find('"') != std::string_view::npos;
    if (quoted || has_quote || !has_digit(word)) out.append(word).append(" ");
    if (std::count(word.begin(), word.end(), '"') % 2 != 0) quoted = !quoted;
    at = end + 1;
  }
  return out;
}

}  // namespace

std::string news_of_report(const ordered_json& report) {
  std::string out;
  for (const char* const key : {"state", "config", "paused", "tables", "commands",
                                "accept_commands", "labels", "host", "version"}) {
    const auto found = report.find(key);
    if (found != report.end()) out += json_line(*found);
  }
  const auto trouble = report.find("trouble");
  if (trouble == report.end() || !trouble->is_array()) return out;
  for (const ordered_json& each : *trouble) {
    if (each.is_string()) out += without_figures(each.get<std::string>()) + "\n";
  }
  return out;
}

}  // namespace daystream::program
