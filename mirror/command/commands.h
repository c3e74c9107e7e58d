// The subcommands of `deltamirror`, one file each: its options, their checks, what it does, and
// examples. (`up` is in mirror/up, as it starts other programs.)
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <optional>
#include <string>

#include "command/table_commands.h"
#include "owner/engine.h"
#include "program/health_server.h"
#include "program/metrics_file.h"
#include "program/program.h"
#include "program/usage.h"

namespace deltamirror {

// What the chosen subcommand does, set when the command line is parsed. Its result is the exit
// code.
using Chosen = std::function<int(daystream::program::Signals&)>;

void add_seed(CLI::App& app, Chosen& chosen, AddWithStream add_with_stream);
void add_reseed(CLI::App& app, Chosen& chosen);
void add_remove(CLI::App& app, Chosen& chosen);
void add_run(CLI::App& app, Chosen& chosen);
void add_status(CLI::App& app, Chosen& chosen);
void add_doctor(CLI::App& app, Chosen& chosen);
void add_list(CLI::App& app, Chosen& chosen);
void add_wait(CLI::App& app, Chosen& chosen);
void add_snapshot(CLI::App& app, Chosen& chosen);
void add_restore(CLI::App& app, Chosen& chosen);
void add_verify(CLI::App& app, Chosen& chosen);
void add_config(CLI::App& app, Chosen& chosen);

using daystream::program::usage;

// Options that several of them have. The targets must outlive the parsing.
// Throws CLI::ParseError where SQLite would not take it for a file's.
void check_file_name(const std::string& name);
void add_mirror_option(CLI::App& command, std::string& mirror);
// libpq connects without it too: whether that is wanted, only the option says. nullopt: not given.
CLI::Option* add_connection_option(CLI::App& command, std::optional<std::string>& conninfo);
CLI::Option* add_daystream_option(CLI::App& command, daystream::Stream& daystream);
CLI::Option* add_tables_config_option(CLI::App& command, std::string& file);
void add_sources_config_option(CLI::App& command, std::string& file);
void add_source_option(CLI::App& command, std::string& source, const std::string& what);
CLI::Option* add_from_option(CLI::App& command, std::string& url);
// How `run` and `up` follow: sets these members of `options`.
void add_following_options(CLI::App& command, RunOptions& options);
// While it lives, the mirror's metrics are written where `options` say so.
daystream::program::MetricsFile metrics_of(const RunOptions& options);
// While it lives, load balancers are answered where `options` say so.
daystream::program::HealthServer healthz_of(const RunOptions& options);
RunControl control_of(daystream::program::Signals& signals);

}  // namespace deltamirror
