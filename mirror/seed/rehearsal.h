// What a seed makes in SQLite, made in memory before one: what SQLite does not take is known before
// hours go into copying the rows.
#pragma once

#include <vector>

#include "config/config.h"
#include "seed/seed_file.h"

namespace deltamirror {

// Tables, indexes, histories and extra_sql of sessions that were check()ed, without a row. Throws
// ConfigError, which names the statement or the view of extra_sql that is wrong.
void rehearse(const std::vector<SeedPart>& parts, const MirrorConfig& config);

}  // namespace deltamirror
