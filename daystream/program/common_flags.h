// What the command line of each program has beside what it is for.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace daystream::program {

// `text` in lines of no more than `width` bytes, unless a word is longer.
std::string wrapped(const std::string& text, std::size_t width);

// Adds --version, which prints release, commit and `formats` ("daystream format 1, …"), and
// --describe, which no help shows: it prints cli_description() of `app`. Help is as wide as the
// terminal. Before the subcommands, so that `app` has its name, and they its look; whatever is
// added later is described too.
void add_common_flags(CLI::App& app, const std::string& formats);

// Adds --json: what a command prints, for scripts.
CLI::Option* add_json_flag(CLI::App& command, bool& json,
                           const std::string& what = "print JSON, for scripts");

// Adds --all: each `thing` is named, not kMostNamed of them (program/figures.h). A thing is a
// "table", as a rule.
CLI::Option* add_all_flag(CLI::App& command, bool& all, const std::string& thing);

// Adds --label KEY=VALUE, which may be repeated (program/labels.h).
CLI::Option* add_label_option(CLI::App& command, std::vector<std::string>& labels,
                              const std::string& what);

// What --metrics-file does, of those that have it.
inline constexpr const char* kMetricsFileHelp =
    "write metrics for Prometheus into FILE every 1.5 s: one that ends in .prom, in the folder of "
    "node_exporter's textfile collector";

// All commands of `app` with their options, as JSON. Manual pages and completion are made from it
// (packaging/reference.py), so that they say what --help says:
//   {"name", "description", "footer", "options": [OPTION], "needs_command",
//    "commands": [the same, of a subcommand]}
//   OPTION: {"names": ["-d", "--dbname"], "positional", "value", "choices", "description",
//            "default", "environment", "group", "required", "repeats"}; what is empty is left out.
std::string cli_description(const CLI::App& app);

}  // namespace daystream::program
