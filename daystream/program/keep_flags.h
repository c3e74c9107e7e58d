// --keep-days and --keep-bytes: the words for what is kept, wherever days are deleted.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>
#include <string>

namespace daystream::program {

// Adds them to `app`. What they are given must outlive the parsing.
void add_keep_flags(CLI::App& app, std::optional<std::uint64_t>& keep_days,
                    std::optional<std::uint64_t>& keep_bytes);

// 500G as a number of bytes, of this option; K, M, G and T are powers of 1024. Throws a usage
// error.
std::uint64_t bytes_of(const char* option, const std::string& text);

}  // namespace daystream::program
