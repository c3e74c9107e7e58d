// MIRROR.up.json: the streams that `up` has made for a mirror, whatever became of the configuration
// since.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "config/made_streams.h"
#include "up/own_stream.h"

namespace deltamirror {

// Of each its source, directory, slot, and connection string without passwords. Throws NeedsPerson.
std::vector<OwnStream> recorded(const std::string& mirror);

// Before its slot is made, so that a slot that is there is known. Nothing where it is recorded so.
void record(const std::string& mirror, const OwnStream& stream);
// Once it is gone. With the last one goes the file.
void strike_out(const std::string& mirror, const OwnStream& stream);

// A connection string, or a URI, as one without a password in it; empty: it is neither.
std::string without_passwords(const std::string& conninfo);

}  // namespace deltamirror
