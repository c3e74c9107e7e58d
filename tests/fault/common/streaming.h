// The commands by which tests run the programs, and waiting for a deltastream to be at work.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "support/cluster.h"
#include "support/process.h"

namespace fault {

// Returns once `daystream` has its first line; throws with the program's words when it ends before
// that, or does not come to it.
void wait_until_streaming(const std::filesystem::path& daystream, support::Process& deltastream);

// deltamirror seed, of all of Workload's tables.
std::vector<std::string> seed_command(const support::Cluster&,
                                      const std::filesystem::path& daystream,
                                      const std::filesystem::path& mirror);
// deltamirror run --once: to the end of what is there.
std::vector<std::string> replay_command(const std::filesystem::path& daystream,
                                        const std::filesystem::path& mirror);

}  // namespace fault
