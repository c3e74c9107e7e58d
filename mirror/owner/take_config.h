// A configuration that the owner of a mirror reads, made true as far as no copy is needed for that.
#pragma once

#include <string>
#include <vector>

#include "apply/applier.h"
#include "daystream/error.h"
#include "owner/engine.h"

namespace deltamirror {

// What is left to do of it.
struct TakenConfig {
  std::vector<TableRequest> to_copy;   // those that are there, asked for otherwise
  std::vector<std::string> extra_sql;  // to be run once all tables are there
  OnTrouble on_trouble = OnTrouble::Hide;
};

// Throws what take_config() would, and changes nothing: what is wrong for one of several sources is
// known before any of them takes it.
void check_config(Database& db, const MirrorConfig& config, const std::string& source);

// Throws where `config` asks for a table of the source otherwise than it is here, which takes a
// copy, for a source without a connection to PostgreSQL.
void require_no_copy(const Database& db, const MirrorConfig& config, const std::string& source);

// Of a configuration that was not taken. `status` says it until one is; of a fleet's the fleet's
// own state does.
daystream::ConfigError not_taken(const RunOptions& options, const daystream::Error& why);
void remember_not_taken(Database& db, const RunOptions& options,
                        const daystream::ConfigError& error);

// What `config`, read from `options.config_file`, says of the source: tables that are new become
// wishes, those it leaves out go, indexes are made and dropped. It is taken whole or not at all,
// and committed; the Applier has nothing pending before and after. `copying`: tables are on their
// way already.
//
// Throws what is wrong with it; the caller makes the Applier give up.
TakenConfig take_config(Database& db, const RunOptions& options, const MirrorConfig& config,
                        Applier& applier, bool copying);

}  // namespace deltamirror
