// daystream pull: a copy of another host's daystream, kept up to date.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <memory>

#include "commands.h"
#include "day_file.h"
#include "daystream/stop.h"
#include "log_flags.h"
#include "places.h"
#include "program/check_report.h"
#include "program/common_flags.h"
#include "program/config_file.h"
#include "program/program.h"
#include "remote/files_relay.h"
#include "remote/http_relay.h"
#include "remote/nats_address.h"
#include "remote/relay_writer.h"

namespace daystream::command {

namespace {

// Who lets us in, and where what comes will be.
int check(const remote::RelayOptions& options, const Stream& stream, bool json) {
  program::CheckReport report(json);
  report.check_directory(options.directory);
  report.check_room(options.directory);
  std::optional<Manifest> source;
  const bool reached = report.check("server", [&] {
    source = stream.manifest();
    if (stream.server()) remote::require_whole(options);
    return fmt::format("{} has database \"{}\"", stream.address(), source->database);
  });
  if (!std::filesystem::exists(options.directory / "daystream.json")) {
    report.check("copy", [&] {
      require_own_directory(options.directory);
      return fmt::format("\"{}\" will be made", options.directory.string());
    });
  } else if (reached) {
    report.check("copy", [&] {
      remote::check_same_source(options.directory, Manifest::load(options.directory), *source);
      return fmt::format("\"{}\" is a copy of it", options.directory.string());
    });
  }
  return report.exit_code();
}

}  // namespace

void add_pull(CLI::App& app, Chosen& chosen) {
  struct Options {
    std::string url;
    remote::RelayOptions relay;
    program::LogOptions log;
    std::string config;
    bool check = false;
    bool json = false;
  };
  auto options = std::make_shared<Options>();
  CLI::App& command = *app.add_subcommand("pull", "keep a copy of a daystream of another host");
  command.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  add_place(command, "URL", options->url,
            "http(s)://HOST:PORT/NAME of a \"daystream serve\", or nats://HOST/STREAM");
  add_place(command, "DIR", options->relay.directory, "the copy's directory; made if need be");
  command.add_flag("--once", options->relay.once, "end when all that is there has been pulled");
  command.add_option("--copy", options->relay.copy,
                     "what the server calls this copy (default: HOST:DIR)");
  auto* const check_flag = add_check_flag(command, options->check);
  program::add_json_flag(command, options->json, program::kJsonChecks)->needs(check_flag);
  program::add_config_option(command, options->config);
  add_log_flags(command, options->log);
  command.footer(
      "The files are the same byte for byte, each checked before it counts. They can be read,\n"
      "served on, and taken over: \"deltastream -D DIR\" goes on where the copy ends.\n"
      "May be killed at any moment; asks again, with growing pauses, when the server is away.\n\n"
      "Examples:\n"
      "  daystream pull https://stream1:8447/prod /var/lib/daystream/prod --token-file token\n"
      "  daystream pull http://127.0.0.1:8447/prod /srv/copy --once");
  command.callback([options, &command, &chosen] {
    for (const char* const place : {"URL", "DIR"}) require_place(command, place);
    chosen = [options](const Reach& reach) {
      program::start_log("daystream pull", options->log);
      const bool is_nats = remote::NatsAddress::is_one(options->url);
      if (!is_nats) options->relay.url = remote::Url::parse(options->url);
      const Stream stream = reach.streams.open(is_nats ? options->url : options->relay.url.base);
      options->relay.http = reach.http;
      if (options->relay.copy.empty()) {
        options->relay.copy =
            remote::own_host() + ":" +
            std::filesystem::absolute(options->relay.directory).lexically_normal().string();
      }
      if (options->check) return check(options->relay, stream, options->json);
      const Stop stop = program::Signals().stop();
      if (is_nats) {
        remote::FilesRelay(stream, options->relay.directory, options->relay.once).run(stop);
        return 0;
      }
      remote::HttpRelay(options->relay).run(stop);
      return 0;
    };
  });
}

}  // namespace daystream::command
