#include "program/keep_flags.h"

#include <fmt/format.h>

#include <charconv>
#include <string_view>

#include "program/usage.h"
#include "src/number.h"

namespace daystream::program {

namespace {

constexpr std::uint64_t kMostDays = 36'500;

std::uint64_t days_of(const std::string& text) {
  const auto value = parse_number<std::uint64_t>(text);
  if (!value || *value < 1 || *value > kMostDays) {
    usage(fmt::format("invalid --keep-days \"{}\": must be between 1 and {}", text, kMostDays));
  }
  return *value;
}

}  // namespace

std::uint64_t bytes_of(const char* option, const std::string& text) {
  std::uint64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  constexpr std::string_view kUnits = "KMGT";
  const std::size_t unit = stop == end ? 0 : kUnits.find(*stop) + 1;  // npos + 1 is 0
  const bool whole = stop == end || (unit > 0 && stop + 1 == end);
  const int shift = static_cast<int>(unit) * 10;
  if (error != std::errc{} || !whole || value == 0 || value > (UINT64_MAX >> 1 >> shift)) {
    usage(fmt::format("invalid {} \"{}\": a number of bytes, as 500G or 20T", option, text));
  }
  return value << shift;
}

void add_keep_flags(CLI::App& app, std::optional<std::uint64_t>& keep_days,
                    std::optional<std::uint64_t>& keep_bytes) {
  app.add_option_function<std::string>(
         "--keep-days", [&keep_days](const std::string& text) { keep_days = days_of(text); },
         "delete days older than N before the current one (default: keep all)")
      ->type_name("N");
  app.add_option_function<std::string>(
         "--keep-bytes",
         [&keep_bytes](const std::string& text) { keep_bytes = bytes_of("--keep-bytes", text); },
         "delete the oldest days while all day files take more, as 500G (default: keep all)")
      ->type_name("SIZE");
}

}  // namespace daystream::program
