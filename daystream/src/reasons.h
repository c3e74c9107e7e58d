// What the failures of other systems are to us, by their codes.
//
// The one table that says what is waited for and what needs a person; what libpq says without a
// code is beside it, with what to do about it, in program/postgres_hints.cpp. For people it is in
// docs/errors.md#what-other-systems-say, which a test compares.
#pragma once

#include <string_view>

#include "daystream/error.h"

namespace daystream {

// By errno.
Reason reason_of_errno(int error_number) noexcept;
// Nothing more can be written there: the disk is full, a quota is used up, or the file is as large
// as it may be.
bool is_no_room(int error_number) noexcept;
// By PostgreSQL's SQLSTATE.
Reason reason_of_sqlstate(std::string_view sqlstate) noexcept;
// By SQLite's result code, extended or not.
Reason reason_of_sqlite(int code) noexcept;

}  // namespace daystream
