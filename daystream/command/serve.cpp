// daystream serve: daystreams over HTTP, to readers on other hosts.
#include "serve/server.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <mutex>

#include "commands.h"
#include "daystream/error.h"
#include "group_look.h"
#include "group_worker.h"
#include "log_flags.h"
#include "places.h"
#include "program/check_report.h"
#include "program/common_flags.h"
#include "program/config_file.h"
#include "program/figures.h"
#include "program/program.h"
#include "program/repeats.h"

namespace daystream::command {

namespace {

struct ServeOptions {
  serve::ServerOptions server;
  program::LogOptions log;
  std::string config;
  bool check = false;
  bool json = false;
  std::uint32_t stall_s = 60;
  std::uint32_t request_s = 10;
};

struct GroupProblems {
  std::mutex mutex;
  program::Repeats repeats;
};

// What cannot be read is said once, and then once a minute.
serve::Streams::GroupStatuses look_at_groups(const StreamKinds& kinds, GroupProblems& problems,
                                             const std::filesystem::path& directory,
                                             const serve::Streams::GroupStatuses& before) {
  const auto failed = [&problems](const std::string& why) {
    const std::lock_guard lock(problems.mutex);
    if (const auto text = problems.repeats.met(why)) spdlog::error("{}", *text);
  };
  try {
    const Stream stream = kinds.open(directory.string());
    return groups_status(stream, groups_folder(stream, {}), before, failed);
  } catch (const std::exception& e) {
    failed(e.what());
    return {};
  }
}

// All of a start: streams, certificates, tokens, addresses; and an end.
int check(const serve::ServerOptions& options, bool json) {
  program::CheckReport report(json);
  report.check("server", [&] {
    const serve::Server server(options);
    return fmt::format("can serve {} at {}", program::counted(options.streams.size(), "stream"),
                       fmt::join(server.addresses(), ", "));
  });
  for (const std::string& stream : options.streams) {
    if (options.record_copies) report.check_directory(stream.substr(stream.find('=') + 1));
  }
  return report.exit_code();
}

int run_server(ServeOptions& options, const StreamKinds& kinds) {
  program::start_log("daystream serve", options.log);
  const auto problems = std::make_shared<GroupProblems>();
  options.server.groups = [kinds, problems](const auto& directory, const auto& before) {
    return look_at_groups(kinds, *problems, directory, before);
  };
  options.server.stall = std::chrono::seconds(options.stall_s);
  options.server.limits.request_time = std::chrono::seconds(options.request_s);
  if (options.check) return check(options.server, options.json);
  program::Signals signals;
  serve::Server server(options.server);
  for (const std::string& address : server.addresses()) spdlog::info("serving at {}", address);
  server.run(signals);
  spdlog::info("told to stop");
  return 0;
}

// Who may read, and how both sides know each other.
void add_access_options(CLI::App& command, serve::ServerOptions& server) {
  auto* cert = command.add_option("--tls-cert", server.tls.cert,
                                  "file with the server's certificate chain (PEM)");
  auto* key = command.add_option("--tls-key", server.tls.key, "file with its private key (PEM)");
  cert->needs(key);
  key->needs(cert);
  command
      .add_option("--client-ca", server.tls.client_ca,
                  "file with the certificates that may vouch for clients (PEM)")
      ->needs(cert);
  command.add_option("--tokens", server.tokens,
                     "file of who may read what; see \"daystream token\"");
}

// What one peer, one address and all of them may take.
void add_limit_options(CLI::App& command, ServeOptions& options) {
  command
      .add_option("--request-timeout", options.request_s,
                  "seconds a peer has for the handshake and its request")
      ->check(CLI::Range(1, 3600))
      ->capture_default_str();
  command
      .add_option("--most-connections", options.server.limits.connections,
                  "how many there may be in all")
      ->capture_default_str();
  command
      .add_option("--most-per-address", options.server.limits.connections_per_address,
                  "…and of one address")
      ->capture_default_str();
  command
      .add_option("--stall-timeout", options.stall_s,
                  "seconds after which a follower that takes nothing is let go")
      ->check(CLI::Range(1, 86400))
      ->capture_default_str();
}

}  // namespace

void add_serve(CLI::App& app, Chosen& chosen) {
  auto options = std::make_shared<ServeOptions>();
  CLI::App& command = *app.add_subcommand("serve", "serve daystreams to readers on other hosts");
  command.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  add_place(command, "DIR", options->server.streams,
            "a daystream's directory, served under its name, or NAME=DIR");
  command.add_option("--listen", options->server.listen, "HOST:PORT or unix:PATH; may be repeated")
      ->capture_default_str()
      ->allow_extra_args(false);
  add_access_options(command, options->server);
  add_limit_options(command, *options);
  command
      .add_option("--snapshots", options->server.snapshots,
                  "directory of mirrors, *.db, for \"deltamirror up --from\": DIR, or NAME=DIR "
                  "where several streams are served")
      ->allow_extra_args(false);
  command.add_option("--fleet", options->server.fleet,
                     "directory of mirrors' configurations, which \"daystream fleet\" publishes: "
                     "offered as /fleet/NAME");
  command.add_flag("--record-copies", options->server.record_copies,
                   "write into each DIR what relays have on disk, for deltastream "
                   "--require-copies");
  auto* const check_flag = add_check_flag(command, options->check);
  program::add_json_flag(command, options->json, program::kJsonChecks)->needs(check_flag);
  program::add_config_option(command, options->config);
  add_log_flags(command, options->log);
  command.footer(
      "Sends only what is fsynced, to any number of followers. What it serves is read only.\n"
      "Prints where it listens once it does. An address that other machines can reach needs TLS\n"
      "and authentication. SIGHUP: read certificates and tokens again.\n\n"
      "Examples:\n"
      "  daystream serve /var/lib/daystream/prod\n"
      "  daystream serve prod=/srv/a test=/srv/b --listen unix:/run/daystream.sock\n"
      "  daystream serve /srv/prod --listen 0.0.0.0:8447 --tls-cert c.pem --tls-key k.pem --tokens "
      "t\n"
      "  curl -N http://127.0.0.1:8447/prod/stream?after=1507507200/17\n"
      "  daystream pull http://127.0.0.1:8447/prod /var/lib/daystream/copy");
  command.callback([options, &command, &chosen] {
    require_place(command, "DIR");
    chosen = [options](const Reach& reach) { return run_server(*options, reach.streams); };
  });
}

}  // namespace daystream::command
