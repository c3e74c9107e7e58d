// A TCP port for a server of a test that must be known before it starts.
#pragma once

namespace support {

// One of the loopback address that nobody has now. A test that loses it to somebody else before its
// server listens fails, saying so.
int free_port();
// Whether somebody listens at one of the loopback address.
bool listens(int port);

}  // namespace support
