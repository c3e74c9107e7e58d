#include "server/synchronous_standby.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>

#include "daystream/error.h"

namespace deltastream {

namespace {

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

// Words, quoted words, numbers, "*" and the punctuation ( ) , of the setting.
std::vector<std::string> tokens_of(std::string_view text) {
  std::vector<std::string> tokens;
  for (std::size_t i = 0; i < text.size();) {
    const char c = text[i];
    if (std::isspace(static_cast<unsigned char>(c)) != 0) {
      ++i;
    } else if (c == '(' || c == ')' || c == ',') {
      tokens.emplace_back(1, c);
      ++i;
    } else if (c == '"') {
      std::string word;
      for (++i; i < text.size(); ++i) {
        if (text[i] == '"' && (i + 1 >= text.size() || text[i + 1] != '"')) break;
        if (text[i] == '"') ++i;
        word += text[i];
      }
      ++i;
      tokens.push_back(word);
    } else {
      const std::size_t end = std::min(text.find_first_of(" \t\n(),\"", i), text.size());
      tokens.emplace_back(text.substr(i, end - i));
      i = end;
    }
  }
  return tokens;
}

}  // namespace

StandbyNames StandbyNames::parse(std::string_view setting) {
  const std::vector<std::string> tokens = tokens_of(setting);
  StandbyNames out;
  if (tokens.empty()) return out;
  out.required = 1;
  auto list = tokens.begin();
  if (const auto open = std::find(tokens.begin(), tokens.end(), "("); open != tokens.end()) {
    if (open == tokens.begin()) return {};
    const std::string& count = *(open - 1);
    const auto [end, error] =
        std::from_chars(count.data(), count.data() + count.size(), out.required);
    if (error != std::errc() || end != count.data() + count.size()) return {};
    list = open + 1;
  }
  for (; list != tokens.end() && *list != ")"; ++list) {
    if (*list != ",") out.names.push_back(lower(*list));
  }
  return out;
}

bool StandbyNames::includes(std::string_view application_name) const {
  return std::any_of(names.begin(), names.end(), [&](const std::string& name) {
    return name == "*" || name == lower(application_name);
  });
}

bool is_synchronous_standby(ReplicationConnection& connection) {
  const auto setting = connection.query_value("SHOW synchronous_standby_names");
  const auto us = connection.query_value("SHOW application_name");
  return StandbyNames::parse(setting.value_or("")).includes(us.value_or(""));
}

void refuse_if_required_synchronous_standby(ReplicationConnection& connection) {
  const StandbyNames names =
      StandbyNames::parse(connection.query_value("SHOW synchronous_standby_names").value_or(""));
  const std::string us = connection.query_value("SHOW application_name").value_or("");
  if (!names.includes(us)) return;
  // Rows of other roles are hidden from us unless we may read all statistics; then we count too
  // few and refuse, which is the safe side.
  const auto result = connection.exec(
      "SELECT application_name FROM pg_stat_replication WHERE state = 'streaming' "
      "AND application_name <> current_setting('application_name')");
  int others = 0;
  for (int row = 0; row < PQntuples(result.get()); ++row) {
    if (names.includes(PQgetvalue(result.get(), row, 0))) ++others;
  }
  if (others >= names.required) return;
  throw daystream::NeedsPerson(
      fmt::format("cannot create a slot while \"{}\" is a required synchronous standby: creating "
                  "it waits for running transactions, and their commits wait for us",
                  us),
      "take it out of synchronous_standby_names, create the slot, and put it back when the stream "
      "runs");
}

}  // namespace deltastream
