#include "common/streaming.h"

#include <stdexcept>

#include "common/workload.h"
#include "support/stream_checker.h"

namespace fault {

void wait_until_streaming(const std::filesystem::path& daystream, support::Process& deltastream) {
  const auto has_line = [&] {
    return std::filesystem::exists(daystream / "durable") &&
           !support::check_stream(daystream, {.live = true}).transactions.empty();
  };
  const bool ready = support::eventually([&] { return has_line() || !deltastream.running(); });
  if (!ready || !deltastream.running()) {
    throw std::runtime_error("deltastream does not stream: " + deltastream.err());
  }
}

std::vector<std::string> seed_command(const support::Cluster& cluster,
                                      const std::filesystem::path& daystream,
                                      const std::filesystem::path& mirror) {
  std::vector<std::string> argv = {support::program("deltamirror"),
                                   "seed",
                                   mirror,
                                   "-d",
                                   cluster.conninfo(),
                                   "--daystream",
                                   daystream};
  for (const support::ComparedTable& table : Workload::tables()) {
    argv.insert(argv.end(), {"--table", table.postgres});
  }
  return argv;
}

std::vector<std::string> replay_command(const std::filesystem::path& daystream,
                                        const std::filesystem::path& mirror) {
  return {support::program("deltamirror"), "run", mirror, "--daystream", daystream, "--once"};
}

}  // namespace fault
