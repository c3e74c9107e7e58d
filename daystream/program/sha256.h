// SHA-256, by OpenSSL.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

namespace daystream::program {

// Hexadecimal, 64 lower-case digits. Throws Error.
std::string sha256_of(std::string_view text);

// Of a whole file; empty: `stop`, which is asked now and then, said true. Throws IoError.
std::string sha256_of_file(const std::filesystem::path& path, const std::function<bool()>& stop);

}  // namespace daystream::program
