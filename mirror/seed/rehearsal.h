// What a seed makes in SQLite, made in memory before its rows come: what SQLite does not take is
// known before hours go into copying the rows.
#pragma once

#include <vector>

#include "config/config.h"
#include "seed/seed_file.h"

namespace deltamirror {

// Tables, indexes, histories and extra_sql of sessions that were check()ed, without a row. Throws
// ConfigError, which names the statement or the view of extra_sql that is wrong.
void rehearse(const std::vector<SeedPart>& parts, const MirrorConfig& config);

// The same of extra_sql in a mirror that is there, once it has the tables of `coming`. What of
// `sqls` it has run already is not run again.
void rehearse(const Database& mirror, const std::vector<SeedTable>& coming,
              const std::vector<std::string>& sqls);

}  // namespace deltamirror
