// What --check says of a source without the plugin: the publication, what the role may do in the
// database, and whether changes of tables are noted there by themselves.
#pragma once

#include <string>

#include "program/check_report.h"

namespace deltastream {

// Over a session of its own, as a running stream has one beside its slot.
void check_publishing(const std::string& conninfo, const std::string& publication,
                      daystream::program::CheckReport& report);

}  // namespace deltastream
