#include "program/check_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "calendar.h"
#include "daystream/error.h"
#include "json_text.h"
#include "program/disk_space.h"
#include "program/figures.h"
#include "program/writable.h"

namespace daystream::program {

namespace {

constexpr double kLittleRoomGb = 2;
constexpr double kClockSeconds = 5;

constexpr const char* kResults[] = {"ok", "warning", "FAILED"};

}  // namespace

void CheckReport::print(Result result, const char* name, const std::string& detail,
                        const std::string& hint) const {
  if (json_) {
    using nlohmann::ordered_json;
    const ordered_json line = {
        {"check", name},
        {"result", result == Result::Failed ? "failed" : kResults[static_cast<int>(result)]},
        {"detail", detail},
        {"hint", hint.empty() ? ordered_json(nullptr) : ordered_json(hint)}};
    std::fputs(json_line(line).c_str(), stdout);
    return;
  }
  std::printf("%-7s %-10s %s\n", kResults[static_cast<int>(result)], name, detail.c_str());
  if (!hint.empty()) std::printf("        %-10s HINT: %s\n", "", hint.c_str());
}

bool CheckReport::check(const char* name, const std::function<std::string()>& body) {
  try {
    print(Result::Ok, name, body(), {});
    return true;
  } catch (const Error& e) {
    print(Result::Failed, name, e.what(), e.hint());
    exit_code_ = std::max(exit_code_, static_cast<int>(e.exit_code()));
    return false;
  }
}

void CheckReport::warn(const char* name, const std::string& detail, const std::string& hint) {
  print(Result::Warning, name, detail, hint);
}

void CheckReport::check_directory(const std::filesystem::path& directory) {
  check("directory", [&]() -> std::string {
    require_writable(directory);
    return fmt::format("\"{}\" {}", directory.string(),
                       std::filesystem::exists(directory) ? "can be written to" : "can be made");
  });
}

void CheckReport::check_room(const std::filesystem::path& directory) {
  const auto space = disk_space(directory);
  if (!space) return;
  const double free_gb = static_cast<double>(space->free_bytes) / 1e9;
  std::string detail =
      fmt::format("{} are free for \"{}\"", bytes_text(static_cast<double>(space->free_bytes)),
                  directory.string());
  if (has_room(*space) && free_gb < kLittleRoomGb) {
    return warn("room", detail, "a larger disk lasts longer");
  }
  check("room", [&] {
    if (has_room(*space)) return detail;
    throw Error(fmt::format("\"{}\": {}", directory.string(), no_room_text(space->free_bytes)),
                "make room there");
  });
}

void CheckReport::check_clock(const char* who, std::int64_t its_clock_us) {
  const double ahead_s = static_cast<double>(its_clock_us - now_us()) / 1e6;
  if (std::abs(ahead_s) > kClockSeconds) {
    return warn("clock",
                fmt::format("that of {} is {:.0f} s {} ours", who, std::abs(ahead_s),
                            ahead_s > 0 ? "ahead of" : "behind"),
                "lags are measured with both clocks: let NTP set them");
  }
  check("clock", [&] { return fmt::format("as that of {}", who); });
}

}  // namespace daystream::program
