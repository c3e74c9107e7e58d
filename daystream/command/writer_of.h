// Who writes a daystream right now.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace daystream::command {

// "deltastream (pid 123 on stream1, since …)"; nullopt: nobody on this machine. Asks the kernel's
// list of locks, because trying the lock could get in a starting writer's way.
std::optional<std::string> writer_of(const std::filesystem::path& directory);

}  // namespace daystream::command
