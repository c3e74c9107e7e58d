#include "world/consumed.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>

#include "support/process.h"

namespace fault {

namespace {

// An empty line for each start: what came before it without its commit was cut short.
constexpr const char* kWriter = R"(import sys
out = open(sys.argv[1], "ab")
out.write(b"\n\n")
for line in sys.stdin.buffer:
  out.write(line)
  if b"\t_action\tcommit" in line:
    out.flush()
    words = line.decode().split("\t")
    print(words[1] + "/" + words[3], flush=True)
)";

struct Handed {
  std::uint64_t lsn = 0;
  std::vector<std::string> lines;  // before the commit
};

std::vector<Handed> read(const std::filesystem::path& file) {
  std::vector<Handed> all;
  Handed open;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    if (line.empty()) {
      open = {};
    } else if (support::stream_key(line, "_action") == "commit") {
      open.lsn = support::parse_lsn(support::stream_key(line, "_lsn").value());
      all.push_back(std::exchange(open, {}));
    } else {
      open.lines.push_back(line);
    }
  }
  return all;
}

bool same_lines(const Handed& handed, const support::StreamTransaction& transaction) {
  return std::equal(
      handed.lines.begin(), handed.lines.end(), transaction.lines.begin(), transaction.lines.end(),
      [](const std::string& one, const std::string& other) { return one.ends_with("\t" + other); });
}

}  // namespace

std::vector<std::string> consume_command(const std::filesystem::path& daystream,
                                         const std::filesystem::path& checkpoint,
                                         const std::filesystem::path& file) {
  return {support::program("daystream"),
          "consume",
          daystream,
          "--checkpoint",
          checkpoint,
          "--",
          "/usr/bin/python3",
          "-c",
          kWriter,
          file};
}

std::vector<std::uint64_t> consumed_commits(const std::filesystem::path& file) {
  std::vector<std::uint64_t> lsns;
  for (const Handed& handed : read(file)) lsns.push_back(handed.lsn);
  return lsns;
}

std::string consumer_complaint(const std::filesystem::path& file,
                               const support::StreamContent& content) {
  const std::vector<const support::StreamTransaction*> commits = content.commits();
  std::size_t next = 0;  // the first that was not handed over yet
  for (const Handed& handed : read(file)) {
    const auto found = std::find_if(commits.begin(), commits.end(),
                                    [&](const auto* commit) { return commit->lsn == handed.lsn; });
    const auto at = static_cast<std::size_t>(found - commits.begin());
    const std::string lsn = support::lsn_text(handed.lsn);
    if (found == commits.end()) return "the consumer was handed " + lsn + ", which is not there";
    if (at > next) return "the consumer was handed " + lsn + " and not the one before";
    if (!same_lines(handed, **found)) return "the consumer was handed other lines in " + lsn;
    next = std::max(next, at + 1);
  }
  return next == commits.size()
             ? ""
             : "the consumer lacks " + support::lsn_text(commits[next]->lsn) + " and what follows";
}

}  // namespace fault
