// Regression tests in the manner of test_decoding: sql/NAME.sql is run, one concern a file, and
// what the plugin makes of it is compared with expected/NAME.out, over the SQL functions and over a
// walsender. Options are in the file's comment lines "-- options: name=value …"; each such line is
// another reading of the same changes, shown under that line.
//
// What differs from run to run is replaced: transaction ids by 1, 2, …, relations' OIDs by A, B, …,
// LSNs, times and the next transaction id by words.
//
// DELTAFLOOD_TEST_ACCEPT=1 writes what is found to expected/: read the difference before it is
// committed.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <sstream>

#include "decoding.h"

using namespace plugin_test;

namespace {

std::vector<std::filesystem::path> sql_files() {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(PLUGIN_TEST_DIR "/sql")) {
    if (entry.path().extension() == ".sql") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

constexpr char kOptions[] = "-- options:";

// The lines "-- options: …" of a file, as written.
Lines readings(const std::string& sql) {
  Lines found;
  std::istringstream lines(sql);
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind(kOptions, 0) == 0) found.push_back(line);
  }
  return found;
}

Options options_of(const std::string& reading) {
  Options options;
  std::istringstream words(reading.substr(sizeof kOptions - 1));
  for (std::string word; words >> word;) {
    const auto equals = word.find('=');
    options.emplace_back(word.substr(0, equals), word.substr(equals + 1));
  }
  return options;
}

std::string letter_of(const std::string& oid, std::map<std::string, std::string>& oids) {
  return oids.try_emplace(oid, std::string(1, static_cast<char>('A' + oids.size()))).first->second;
}

// OIDs of what is the user's own, wherever they stand.
std::string lettered(const std::string& text, std::map<std::string, std::string>& oids) {
  std::string out;
  for (std::size_t i = 0; i < text.size();) {
    std::size_t end = i;
    while (end < text.size() && std::isdigit(static_cast<unsigned char>(text[end])) != 0) ++end;
    const std::string digits = text.substr(i, end - i);
    out += end - i >= 5 ? letter_of(digits, oids) : end > i ? digits : text.substr(i, 1);
    i = std::max(end, i + 1);
  }
  return out;
}

// The pairs before the verb are the plugin's; columns are left as they are. Works on the text, so
// that a line of another separator or of odd form is shown as it is.
std::string shown(const std::string& line, std::map<std::string, std::string>& xids,
                  std::map<std::string, std::string>& oids) {
  std::string out;
  std::istringstream parts(line);
  std::string name;
  std::string value;
  while (std::getline(parts, name, '\t') && name != "_action") {
    std::getline(parts, value, '\t');
    if (name.starts_with("_type_") || name.starts_with("_label_") || name == "_types") {
      name = lettered(name, oids);
      if (!name.starts_with("_label_")) value = lettered(value, oids);
    }
    if (name == "_xid" && value != "0") {
      value = xids.try_emplace(value, std::to_string(xids.size() + 1)).first->second;
    } else if (name == "_oid" || name == "_root") {
      value = letter_of(value, oids);
    } else if (name == "_lsn" || name == "_next" || name == "_time") {
      value = name == "_lsn" ? "LSN" : name == "_next" ? "NEXT" : "TIME";
    }
    out += name + "\t" + value + "\t";
  }
  std::string rest;
  std::getline(parts, rest, '\0');
  return name == "_action" ? out + "_action\t" + rest : line;
}

std::string shown(const std::string& reading, const Lines& lines) {
  std::map<std::string, std::string> xids;
  std::map<std::string, std::string> oids;
  std::string text = reading + "\n";
  for (const std::string& line : lines) text += shown(line, xids, oids) + "\n";
  return text;
}

}  // namespace

TEST_CASE("regression: each file of SQL gives its expected lines", "[plugin][regression]") {
  const bool accept = std::getenv("DELTAFLOOD_TEST_ACCEPT") != nullptr;
  const auto files = sql_files();
  REQUIRE(files.size() >= 20);
  for (const auto& file : files) {
    CAPTURE(file.filename());
    const std::string sql = support::read_file(file);
    const Source source;
    support::Process::Options input;
    input.input = sql;
    cluster().run_tool("psql",
                       {"-h", cluster().socket_dir(), "-U", "postgres", "-d", source.database(),
                        "-XAtq", "-v", "ON_ERROR_STOP=1"},
                       input);
    std::string by_functions;
    std::string by_walsender;
    REQUIRE_FALSE(readings(sql).empty());
    for (const std::string& reading : readings(sql)) {
      by_functions += shown(reading, source.peek(options_of(reading)));
      by_walsender += shown(reading, source.receive(options_of(reading)));
    }
    CHECK(by_walsender == by_functions);
    const auto expected =
        file.parent_path().parent_path() / "expected" / file.filename().replace_extension(".out");
    if (accept) support::write_file(expected, by_functions);
    CHECK(by_functions == support::read_file(expected));
  }
}
