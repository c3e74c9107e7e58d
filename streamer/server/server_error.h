// What PostgreSQL's errors mean for a stream: try again, or ask a person to act.
#pragma once

#include "program/postgres.h"

namespace deltastream {

// Throws ConnectionLost where waiting helps (the slot is held by a session that will end, the
// server goes away, is full, or is a standby still), NeedsPerson where a person must act,
// ConfigError where the configuration asks for something wrong. Errors are distinguished by
// SQLSTATE, and by PostgreSQL's text only where one SQLSTATE stands for several things.
[[noreturn]] void explain_server_error(const daystream::program::SqlError& error);

}  // namespace deltastream
