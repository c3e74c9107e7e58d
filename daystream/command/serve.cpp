// daystream serve: daystreams over HTTP, to readers on other hosts.
#include "serve/server.h"

#include <spdlog/spdlog.h>

#include <memory>

#include "commands.h"
#include "daystream/error.h"
#include "program/program.h"

namespace daystream::command {

void add_serve(CLI::App& app, Chosen& chosen) {
  struct Options {
    serve::ServerOptions server;
    program::LogOptions log;
    std::uint32_t stall_s = 60;
  };
  auto options = std::make_shared<Options>();
  CLI::App& command = *app.add_subcommand("serve", "serve daystreams to readers on other hosts");
  command.set_help_flag("-h,--help", "show this help and exit");
  command
      .add_option("DIR", options->server.streams,
                  "a daystream's directory, served under its name, or NAME=DIR")
      ->required();
  command.add_option("--listen", options->server.listen, "HOST:PORT or unix:PATH; may be repeated")
      ->capture_default_str()
      ->allow_extra_args(false);
  command
      .add_option("--most-connections", options->server.limits.connections,
                  "how many there may be in all")
      ->capture_default_str();
  command
      .add_option("--most-per-address", options->server.limits.connections_per_address,
                  "…and of one address")
      ->capture_default_str();
  command
      .add_option("--stall-timeout", options->stall_s,
                  "seconds after which a follower that takes nothing is let go")
      ->check(CLI::Range(1, 86400))
      ->capture_default_str();
  command.add_option("--log-level", options->log.level, "error, warn, info or debug")
      ->check(CLI::IsMember({"error", "warn", "info", "debug"}))
      ->capture_default_str();
  command.add_option("--log-format", options->log.format, "text or json")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
  command.footer(
      "Sends only what is fsynced, to any number of followers. What it serves is read only.\n"
      "Prints where it listens once it does.\n\n"
      "Examples:\n"
      "  daystream serve /var/lib/daystream/prod\n"
      "  daystream serve prod=/srv/a test=/srv/b --listen unix:/run/daystream.sock\n"
      "  curl -N http://127.0.0.1:8447/prod/stream?after=1507507200/17\n"
      "  daystream pull http://127.0.0.1:8447/prod /var/lib/daystream/copy");
  command.callback([options, &chosen] {
    chosen = [options] {
      program::start_log("daystream serve", options->log);
      options->server.stall = std::chrono::seconds(options->stall_s);
      program::Signals signals;
      serve::Server server(options->server);
      for (const std::string& address : server.addresses()) spdlog::info("serving at {}", address);
      server.run(signals.fd(), [&signals] {
        signals.clear();
        return signals.stop_requested();
      });
      spdlog::info("told to stop");
      return 0;
    };
  });
}

}  // namespace daystream::command
