// The files of a mirror: how it is opened, made durable and given its name.
#pragma once

#include <string>

#include "sqlite/sqlite.h"

namespace deltamirror {

// MIRROR.suffix. Of a symbolic link: beside the file that it leads to, as SQLite's own -wal is.
std::string beside(const std::string& mirror, const char* suffix);

// What is wrong with a name for a mirror; empty: nothing. SQLite would take some names for
// something else than a file.
std::string problem_of_name(const std::string& mirror);

// Throws Error where MIRROR, -wal, -shm or -journal exists: a stale log of another file would be
// played into a new one. `what`: that is being made, for people.
void check_absent(const std::string& mirror, const std::string& what = "mirror");

// The file for loading. What is committed there outlives the process, but not the machine: nothing
// is synced. Anew: what a killed seed left is removed first.
enum class Loading { Anew, GoOn };
Database open_for_loading(const std::string& mirror, Loading how);
std::string loading_name(const std::string& mirror);  // where that is
// Makes it a WAL database on disk under its own name. Throws Error where that name exists by now.
void publish(Database loaded, const std::string& mirror);
// Puts the closed, complete file `whole` on disk under another name. Throws IoError where that name
// exists; then, and where it may not last, there is nothing we wrote under it.
void give_name(const std::string& whole, const std::string& name);
void remove_loading_files(const std::string& mirror) noexcept;

// Both throw Error with advice where there is no such mirror, and NeedsPerson where the file is
// none, or one of another format: that is left as it is.
//
// As the owner opens it: WAL that stays when it is closed, so that a reader without any right to
// write can open the file at any time.
Database open_owned(const std::string& mirror);

// How its owner works on it. Level: for readers, whose log stays short. Behind: for what is to be
// caught up with, where a page that changes often is written to the log and back to the file once
// for many changes: more memory, and a log of up to kBehindLogPages before it goes to the file.
enum class Pace { Level, Behind };
inline constexpr int kBehindLogPages = 65'536;  // 256 MiB
void set_pace(Database& owned, Pace pace);

// As readers do.
Database open_for_reading(const std::string& mirror);

}  // namespace deltamirror
