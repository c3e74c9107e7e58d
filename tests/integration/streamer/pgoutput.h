// What the tests of `deltastream --source pgoutput` share.
#pragma once

#include <string>
#include <vector>

#include "stream.h"

namespace deltastream_test {

using support::Cluster;
using support::Process;
using support::Result;

using Lines = std::vector<std::string>;

inline const Lines kPgoutput = {"--source", "pgoutput", "--publication", "flood"};

inline Lines with(Lines arguments, const Lines& more) {
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

// What lines say, without what depends on when they came: positions, CRCs, marks, `_next`.
inline Lines told(const Stream& stream) {
  // Takes the pair that begins at `at` out.
  const auto take_out = [](std::string& line, std::size_t at) {
    const std::size_t end = line.find('\t', line.find('\t', at) + 1);
    line.erase(at, end + 1 - at);
  };
  Lines out;
  for (std::string& line : stream.lines("")) {
    if (contains(line, "\t_action\tmark")) continue;
    take_out(line, 0);
    take_out(line, 0);
    if (line.starts_with("_crc\t")) take_out(line, 0);
    if (const auto next = line.find("\t_next\t"); next != std::string::npos) {
      take_out(line, next + 1);
    }
    out.push_back(std::move(line));
  }
  return out;
}

inline void install(const Cluster& cluster) {
  cluster.run_tool(
      "psql", {"-q", "-v", "ON_ERROR_STOP=1"},
      {.input = support::read_file(std::string(SUPPORT_SQL_DIR) + "/deltaflood_managed.sql")});
}

}  // namespace deltastream_test
