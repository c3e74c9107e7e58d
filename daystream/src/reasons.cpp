#include "reasons.h"

#include <cerrno>

namespace daystream {

namespace {

// A file or folder that this user may not use, or another kind of thing than it should be; no room,
// or no descriptors.
struct ErrnoReason {
  int number;
  Reason reason;
};
constexpr ErrnoReason kErrno[] = {
    {EAGAIN, Reason::Away},
    {EDQUOT, Reason::Away},
    {EFBIG, Reason::Away},
    {EMFILE, Reason::Away},
    {ENFILE, Reason::Away},
    {ENOMEM, Reason::Away},
    {ENOSPC, Reason::Away},
    {EACCES, Reason::NeedsPerson},
    {EISDIR, Reason::NeedsPerson},
    {ELOOP, Reason::NeedsPerson},
    {ENAMETOOLONG, Reason::NeedsPerson},
    {ENOTDIR, Reason::NeedsPerson},
    {EPERM, Reason::NeedsPerson},
    {EROFS, Reason::NeedsPerson},
};

// By how a SQLSTATE begins: the first that fits.
struct SqlstateReason {
  std::string_view begins;
  Reason reason;
};
constexpr SqlstateReason kSqlstate[] = {
    {"08", Reason::Away},            // the connection
    {"53", Reason::Away},            // no room, no memory, too many connections
    {"57P", Reason::Away},           // it shuts down, or starts
    {"0A", Reason::NeedsPerson},     // it cannot do that
    {"22", Reason::NeedsPerson},     // a value
    {"28", Reason::NeedsPerson},     // a role or password
    {"3D", Reason::NeedsPerson},     // there is no such database
    {"3F", Reason::NeedsPerson},     // nor such a schema
    {"42", Reason::NeedsPerson},     // a right, a name, a statement
    {"55000", Reason::NeedsPerson},  // not in this state: a setting
    {"58P01", Reason::NeedsPerson},  // a file is not there: a library
    {"F0", Reason::NeedsPerson},     // its configuration
    {"XX001", Reason::NeedsPerson},  // its data are damaged
    {"XX002", Reason::NeedsPerson},  // or an index of them
};

// By SQLite's numbers, which never change; a primary code stands for all extended ones of it. (The
// library does not know SQLite: tests/unit/mirror/reasons_test.cpp has the names.)
struct SqliteReason {
  int code;
  Reason reason;
};
constexpr SqliteReason kSqlite[] = {
    {5, Reason::Away},               // SQLITE_BUSY
    {6, Reason::Away},               // SQLITE_LOCKED
    {13, Reason::Away},              // SQLITE_FULL
    {10 | (19 << 8), Reason::Away},  // SQLITE_IOERR_SHMSIZE: no room for -shm
    {3, Reason::NeedsPerson},        // SQLITE_PERM
    {8, Reason::NeedsPerson},        // SQLITE_READONLY
    {11, Reason::NeedsPerson},       // SQLITE_CORRUPT
    {23, Reason::NeedsPerson},       // SQLITE_AUTH
    {26, Reason::NeedsPerson},       // SQLITE_NOTADB
};

}  // namespace

Reason reason_of_errno(int error_number) noexcept {
  for (const ErrnoReason& known : kErrno) {
    if (known.number == error_number) return known.reason;
  }
  return Reason::Failed;
}

bool is_no_room(int error_number) noexcept {
  return error_number == ENOSPC || error_number == EDQUOT || error_number == EFBIG;
}

Reason reason_of_sqlstate(std::string_view sqlstate) noexcept {
  for (const SqlstateReason& known : kSqlstate) {
    if (sqlstate.starts_with(known.begins)) return known.reason;
  }
  return Reason::Failed;
}

Reason reason_of_sqlite(int code) noexcept {
  for (const SqliteReason& known : kSqlite) {
    if (known.code == code || known.code == (code & 0xff)) return known.reason;
  }
  return Reason::Failed;
}

}  // namespace daystream
