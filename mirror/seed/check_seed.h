// What a seed needs, looked at before one: rights, tables, columns, the daystream, what is run in
// SQLite afterwards. No row is copied, and no file is made.
#pragma once

#include "program/check_report.h"
#include "seed/seed.h"

namespace deltamirror {

// Of every source: the connection, its clock, what the daystream holds, each table and what each of
// its columns becomes; then whether SQLite takes the tables, indexes and extra_sql together. A
// daystream that is not there yet is a warning, unless another host has it. Of many tables it says
// what each type becomes, unless `names_all`; those that cannot be copied come first.
void check_seed(const SeedOptions& options, bool names_all,
                const daystream::program::Signals& signals,
                daystream::program::CheckReport& report);

}  // namespace deltamirror
