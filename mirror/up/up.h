// `deltamirror up`: one command from a PostgreSQL to a mirror that follows it.
#pragma once

#include <chrono>
#include <string>

#include "config/config.h"
#include "model/shape.h"
#include "program/program.h"

namespace deltamirror {

struct UpOptions {
  std::string mirror;
  std::string conninfo;
  std::string slot;             // empty: made from the mirror's name
  bool partition_root = false;  // as deltastream has it
  MirrorConfig config;
  std::string config_file;  // where `config` was read; empty: nowhere
  ShapePolicy shapes = ShapePolicy::Follow;
  std::string on_commit;
  std::chrono::seconds delay{0};  // as RunOptions has it
};

// Starts deltastream as a child with the daystream beside the mirror (MIRROR.daystream), seeds
// unless the mirror is there, follows. When it ends, so does the child, each at a commit; when the
// child ends by itself, so do we, with its exit code. Started again it goes on.
int up(const UpOptions& options, daystream::program::Signals& signals);

}  // namespace deltamirror
