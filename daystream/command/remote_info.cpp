#include "remote_info.h"

#include <fmt/format.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "daystream/error.h"
#include "format.h"
#include "program/harmless.h"
#include "program/json.h"
#include "remote/enable.h"
#include "text.h"

namespace daystream::command {

namespace {

using nlohmann::json;

std::string place_text(const json& place) {
  return fmt::format("{}/{}  {}  LSN {}", place.at("c").get<std::int64_t>(),
                     place.at("s").get<std::uint64_t>(),
                     program::harmless_words(place.at("time").get<std::string>()),
                     program::harmless_words(place.at("lsn").get<std::string>()));
}

void print(const json& info) {
  const auto text = [&info](const char* key) {
    return program::harmless_words(info.at(key).get<std::string>());
  };
  fmt::print("name      {}\n", text("name"));
  if (text("system_identifier").empty()) {
    fmt::print("source    standard input\n");
  } else {
    fmt::print("source    database \"{}\" of system {}, slot \"{}\"\n", text("database"),
               text("system_identifier"), text("slot"));
  }
  fmt::print("created   {}\n", text("created"));
  for (const json& holding : info.at("holdings")) {
    const auto tables = program::harmless_words(holding.at("tables").get<std::string>());
    fmt::print("holds     {} (since {})\n", tables.empty() ? "all tables" : tables,
               program::harmless_words(holding.at("since").get<std::string>()));
  }
  if (info.at("first").is_null() || info.at("last").is_null()) {
    fmt::print("no line yet\n");
    return;
  }
  fmt::print("first     {}\n", place_text(info.at("first")));
  fmt::print("last      {}\n", place_text(info.at("last")));
  if (info.find("days") == info.end()) return;  // we may read some tables only
  const json& days = info.at("days");
  fmt::print("size      {} in {}\n",
             bytes_text(static_cast<double>(info.at("size_bytes").get<std::uint64_t>())),
             count_text(days.size(), "day"));
  for (const json& day : days) {
    fmt::print("  {}  {:>8}\n", program::harmless_words(day.at("file").get<std::string>()),
               bytes_text(static_cast<double>(day.at("size_bytes").get<std::uint64_t>())));
  }
}

}  // namespace

int info_remote(const std::string& url, bool as_json) {
  const std::string base = remote::Url::parse(url).base;
  const std::string body = remote::request(remote::current_options(), "GET", base + "/info").body;
  if (as_json) {
    std::fputs(program::harmless(body, program::Keep::Lines).c_str(), stdout);
    return 0;
  }
  try {
    print(program::parse_json<json>(body));
  } catch (const json::exception&) {
    throw ProtocolError(fmt::format("{}: the answer cannot be understood", base));
  }
  return 0;
}

}  // namespace daystream::command
