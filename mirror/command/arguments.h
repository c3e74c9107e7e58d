// The command line of deltamirror.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "command/config_command.h"
#include "config/config.h"
#include "daystream/lsn.h"
#include "model/shape.h"
#include "owner/engine.h"
#include "program/program.h"
#include "snapshot/take.h"
#include "verify/verify.h"

namespace deltamirror {

enum class Command {
  Seed,
  Reseed,
  Remove,
  Run,
  Up,
  Status,
  Wait,
  Verify,
  Snapshot,
  Restore,
  Config
};

struct Arguments {
  Command command = Command::Status;
  daystream::program::LogOptions log;
  std::string mirror;
  std::optional<std::string> conninfo;  // nullopt: no -d was given
  std::string daystream;
  std::string source;  // which one of a mirror of several; empty: not said
  std::string from;    // of seed, up: the URL of a stream whose server has snapshots; empty: none
  MirrorConfig config;
  std::string config_file;
  std::vector<std::string> tables;  // of reseed, remove
  bool whole = false;               // of reseed
  ShapePolicy shapes = ShapePolicy::Follow;
  std::string on_commit;
  bool once = false;
  std::optional<daystream::Lsn> lsn;  // of wait --lsn
  std::vector<SourceLsn> until_lsns;  // of run
  std::string time;                   // of wait --time, as WaitGoal has it
  std::optional<std::chrono::milliseconds> timeout;
  std::string slot;  // of up
  bool partition_root = false;
  bool json = false;
  bool rows = false;
  bool all = false;  // of status
  bool repair = false;
  std::optional<SampleSize> sample;  // of verify
  std::chrono::seconds delay{0};     // of run, up
  SnapshotOptions snapshot;
  ConfigCommand config_command;
  std::string begin_with, to;  // of restore: --snapshot, --to
};

// Throws CLI::ParseError: with exit code 0 its text is what --help or --version print.
Arguments parse_arguments(int argc, const char* const* argv);

}  // namespace deltamirror
