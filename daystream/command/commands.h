// The subcommands of `daystream`, one file each.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>

#include "daystream/stream.h"
#include "remote/http_client.h"

namespace daystream::command {

// What this process can read, and as whom it speaks to servers.
struct Reach {
  remote::Options http;
  StreamKinds streams;
};

// What the chosen subcommand does, set when the command line is parsed. Its result is the exit
// code.
using Chosen = std::function<int(const Reach&)>;

void add_cat(CLI::App& app, Chosen& chosen);
void add_tail(CLI::App& app, Chosen& chosen);
void add_info(CLI::App& app, Chosen& chosen);
void add_verify(CLI::App& app, Chosen& chosen);
void add_compress(CLI::App& app, Chosen& chosen);
void add_repair(CLI::App& app, Chosen& chosen);
void add_log(CLI::App& app, Chosen& chosen);
void add_consume(CLI::App& app, Chosen& chosen);
void add_group(CLI::App& app, Chosen& chosen);
void add_split(CLI::App& app, Chosen& chosen);
void add_merge(CLI::App& app, Chosen& chosen);
void add_serve(CLI::App& app, Chosen& chosen);
void add_pull(CLI::App& app, Chosen& chosen);
void add_fleet(CLI::App& app, Chosen& chosen);
void add_archive(CLI::App& app, Chosen& chosen);
void add_publish(CLI::App& app, Chosen& chosen);
void add_token(CLI::App& app, Chosen& chosen);

}  // namespace daystream::command
