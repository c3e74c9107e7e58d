// daystream publish: a daystream, on NATS JetStream.
#include <fmt/format.h>

#include <memory>
#include <set>
#include <string>

#include "commands.h"
#include "daystream/manifest.h"
#include "daystream/stop.h"
#include "log_flags.h"
#include "places.h"
#include "program/check_report.h"
#include "program/common_flags.h"
#include "program/config_file.h"
#include "program/figures.h"
#include "program/keep_flags.h"
#include "program/program.h"
#include "remote/nats_publisher.h"

namespace daystream::command {

namespace {

struct PublishOptions {
  std::string directory;
  std::string address;
  int replicas = 0;
  remote::PublishRules rules;
  bool check = false;
  bool json = false;
  program::LogOptions log;
  std::string config;
};

int check(const PublishOptions& options, const Stream& stream, const remote::NatsAddress& address) {
  program::CheckReport report(options.json);
  const bool readable = report.check("daystream", [&] {
    return fmt::format("\"{}\" has database \"{}\"", options.directory, stream.manifest().database);
  });
  if (!readable) return report.exit_code();
  report.check("broker", [&] {
    remote::NatsPublisher publisher(stream, address, options.rules);
    const auto state = publisher.look();
    return fmt::format("{}: {}, {} to come", address.name(),
                       state.made ? "the stream is there" : "the stream will be made",
                       program::bytes_text(static_cast<double>(state.waiting)));
  });
  return report.exit_code();
}

}  // namespace

void add_publish(CLI::App& app, Chosen& chosen) {
  auto options = std::make_shared<PublishOptions>();
  CLI::App& command =
      *app.add_subcommand("publish", "put a daystream on NATS JetStream as it grows");
  command.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  add_place(command, "DIR", options->directory, "the daystream's directory");
  add_place(command, "STREAM", options->address,
            "nats://HOST[:PORT][,HOST…]/STREAM, of this daystream alone; made if need be");
  command
      .add_option("--replicas", options->replicas,
                  "servers that are to have the stream: 1, 3 or 5 (default: 1, or as it is)")
      ->check(CLI::IsMember(std::set<std::string>{"1", "2", "3", "5"}));
  command.add_flag("--once", options->rules.once,
                   "end when everything that is there has been published");
  program::add_keep_flags(command, options->rules.keep_days, options->rules.keep_bytes);
  add_check_flag(command, options->check);
  program::add_json_flag(command, options->json, program::kJsonChecks);
  program::add_config_option(command, options->config);
  add_log_flags(command, options->log);
  command.footer(
      "What is durable goes there, byte for byte, and can be read as nats://HOST/STREAM wherever "
      "a\n"
      "daystream can. --keep-days and --keep-bytes are about what is kept there. May be killed at\n"
      "any moment, and run again; waits while the broker is away. The broker is never the only\n"
      "copy, and readers do not believe it: they check the chain of what it gives them.\n\n"
      "Examples:\n"
      "  daystream publish /srv/prod nats://nats1,nats2,nats3/prod --replicas 3 --keep-days 2\n"
      "  daystream publish /srv/prod \"nats://nats1/prod?tls=1\" --creds publisher.creds\n"
      "  daystream publish /srv/prod nats://127.0.0.1/prod --once");
  command.callback([options, &command, &chosen] {
    for (const char* const place : {"DIR", "STREAM"}) require_place(command, place);
    chosen = [options](const Reach& reach) {
      program::start_log("daystream publish", options->log);
      if (options->replicas > 0) options->rules.replicas = options->replicas;
      const Stream stream = reach.streams.open(options->directory);
      const auto address = remote::NatsAddress::parse(reach.http, options->address);
      if (options->check) return check(*options, stream, address);
      const Stop stop = program::Signals().stop();
      remote::NatsPublisher(stream, address, options->rules).run(stop);
      return 0;
    };
  });
}

}  // namespace daystream::command
