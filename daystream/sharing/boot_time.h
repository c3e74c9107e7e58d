// The clock of leases.
#pragma once

#include <chrono>
#include <string>

namespace daystream::sharing {

// Nanoseconds since this host was started (CLOCK_BOOTTIME): it goes on while the host sleeps, and
// nobody can set it. Only times of one boot can be compared.
using BootTime = std::chrono::nanoseconds;

BootTime boot_time();
// Names the boot of this host; other on each start, and on each host. Throws IoError.
const std::string& boot_id();

}  // namespace daystream::sharing
