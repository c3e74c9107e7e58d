// CRC-32C (Castagnoli), as iSCSI, ext4 and many logs use it: "123456789" gives e3069283.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace daystream {

// The CRC of everything that `crc` covers, followed by `bytes`. The CRC of nothing is 0.
std::uint32_t extend_crc(std::uint32_t crc, std::string_view bytes) noexcept;

std::string crc_text(std::uint32_t crc);  // eight lower-case hexadecimal digits

}  // namespace daystream
