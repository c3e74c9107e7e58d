// daystream: look at, check and mend daystreams.
#include <fmt/format.h>

#include <string>
#include <vector>

#include "commands.h"
#include "daystream/manifest.h"
#include "program/common_flags.h"
#include "program/config_file.h"
#include "program/program.h"
#include "remote/http_client.h"
#include "remote/stream_kinds.h"

namespace daystream::command {

namespace {

constexpr int kProtocolVersion = 1;  // of serve/PROTOCOL.md

// Who we are to other hosts: every command takes these flags, before or after its name. `options`
// must outlive the parsing.
void add_remote_options(CLI::App& app, remote::Options& options) {
  const std::string group = "For an http(s):// STREAM";
  app.add_option("--ca", options.ca, "file with the certificates that may vouch for it (PEM)")
      ->envname("DAYSTREAM_CA")
      ->group(group);
  auto* cert = app.add_option("--cert", options.cert, "file with our own certificate (PEM)")
                   ->envname("DAYSTREAM_CERT")
                   ->group(group);
  auto* key = app.add_option("--key", options.key, "file with its private key (PEM)")
                  ->envname("DAYSTREAM_KEY")
                  ->group(group);
  cert->needs(key);
  key->needs(cert);
  app.add_option("--token-file", options.token_file,
                 "file with our token (or the token itself in DAYSTREAM_TOKEN)")
      ->envname("DAYSTREAM_TOKEN_FILE")
      ->group(group);
  app.add_flag("--token-in-the-clear", options.token_in_the_clear,
               "send the token without TLS to another machine too, where anybody on the way can "
               "read it")
      ->envname("DAYSTREAM_TOKEN_IN_THE_CLEAR")
      ->group(group);
#ifdef DELTAFLOOD_NATS
  const std::string nats = "For a nats:// STREAM, beside those";
  app.add_option("--creds", options.creds, "file with our user's JWT and seed (nsc, .creds)")
      ->envname("DAYSTREAM_CREDS")
      ->group(nats);
  app.add_option("--nkey", options.nkey, "file with our key's seed and its public key (nk)")
      ->envname("DAYSTREAM_NKEY")
      ->group(nats);
  app.add_option("--fallback", options.fallback,
                 "where to read what the broker has lost: http(s)://…, s3://… or a directory")
      ->envname("DAYSTREAM_FALLBACK")
      ->group(nats);
#endif
}

int parse_and_run(int count, char** arguments) {
  CLI::App app("Shows, checks and mends daystreams: the changes of a PostgreSQL database as files.",
               "daystream");
  program::add_common_flags(
      app, fmt::format("daystream format {}, HTTP protocol {}", kFormatVersion, kProtocolVersion));
  app.require_subcommand(1);
  app.footer(
      "Examples:\n"
      "  daystream cat /srv/prod --since 10:15 --tables flights\n"
      "  daystream tail /srv/prod --follow\n"
      "  daystream info /srv/prod\n"
      "  daystream verify /srv/prod\n\n"
      "\"daystream COMMAND --help\" shows the options of a command.");
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  Chosen chosen;
  add_cat(app, chosen);
  add_tail(app, chosen);
  add_info(app, chosen);
  add_verify(app, chosen);
  add_repair(app, chosen);
  add_compress(app, chosen);
  add_log(app, chosen);
  add_consume(app, chosen);
  add_group(app, chosen);
  add_split(app, chosen);
  add_merge(app, chosen);
  add_serve(app, chosen);
  add_pull(app, chosen);
  add_archive(app, chosen);
#ifdef DELTAFLOOD_NATS
  add_publish(app, chosen);
#endif
  add_token(app, chosen);
  add_fleet(app, chosen);
  remote::Options remote_options;
  add_remote_options(app, remote_options);
  for (CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    command->fallthrough();
  }
  program::parse_with_config_file(app, std::vector<std::string>(arguments + 1, arguments + count));
  program::start_log("daystream", {});  // of a server that is lost; standard output is for lines
  return chosen({remote_options, remote::stream_kinds(remote_options)});
}

}  // namespace

}  // namespace daystream::command

int main(int count, char** arguments) {
  return daystream::program::run(
      "daystream", [&] { return daystream::command::parse_and_run(count, arguments); });
}
