// Whether files can be made in a folder: asked before work begins that would need them.
#pragma once

#include <filesystem>

namespace daystream::program {

// The first of `path` and its parents that is there.
std::filesystem::path nearest_existing(std::filesystem::path path);

// Throws NeedsPerson unless files can be made in `directory`, or in the nearest of its parents that
// is there. It is tried, as modes alone do not show it (root, ACLs, /proc), and nothing is left
// behind. A full disk is not looked for: one waits for room.
void require_writable(const std::filesystem::path& directory);

}  // namespace daystream::program
