#include "flags.h"

#include <fmt/format.h>

#include "daystream/manifest.h"
#include "program/common_flags.h"
#include "program/config_file.h"

namespace deltastream {

namespace {

constexpr const char* kExamples = R"(
Examples:
  deltastream -d "host=db1 dbname=prod user=deltastream" -S prod -D /var/lib/daystream/prod \
              --create-slot --if-not-exists
      create the slot unless it is there, then follow until told to stop
  deltastream -d service=prod -S prod -D prod --tables "orders,billing.*"
      follow some of the tables
  deltastream --check -d service=prod -S prod -D prod --create-slot
      look whether everything is in place for that, and say what is not
  deltastream status prod
      show how far the stream is
  pg_recvlogical -d prod -S raw --start -o include-transaction -o include-schema -f - \
    | deltastream --stdin -D raw
      what is in the pipe at a crash may be lost; what comes again is skipped by its LSN

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 a person or a re-seed is needed.
)";

}  // namespace

std::string filter_names() {
  return fmt::format("{}", fmt::join(kFilters, ", "));
}

// Everything but the words is CLI11's.
void describe_flags(CLI::App& app, Flags& flags) {
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  app.allow_extras();  // so that the words about them are ours
  daystream::program::add_common_flags(
      app, fmt::format("daystream format {}", daystream::kFormatVersion));
  app.footer(kExamples);
  Config& config = flags.config;

  app.add_option("-d,--dbname", config.conninfo,
                 "connection string or URI; the environment, service and password files work too")
      ->group("What to follow");
  app.add_option("-S,--slot", config.slot, "logical replication slot")->group("What to follow");
  app.add_option("-D,--directory", config.directory, "directory of the daystream")
      ->group("What to follow");
  app.add_option("--source", flags.source,
                 "deltaflood: a slot of our plugin; pgoutput: of PostgreSQL's own, on servers that "
                 "take no other (default: deltaflood)")
      ->check(CLI::IsMember({"deltaflood", "pgoutput"}))
      ->group("What to follow");
  app.add_option("--publication", config.publication,
                 "with --source pgoutput: the publication whose tables to stream")
      ->type_name("NAME")
      ->group("What to follow");
  app.add_option("--tables", flags.tables,
                 "tables to stream, as 'orders,billing.*,\"Odd\"' (default: all): names as in SQL, "
                 "small letters unless quoted, of schema public unless another is named; * is any "
                 "run of characters, alone every table of every schema")
      ->group("What to follow");
  app.add_flag("--partition-root", flags.partition_root,
               "tell rows of partitions under the name of the table at the top, so that it can be "
               "mirrored as one")
      ->group("What to follow");
  app.add_option("-o,--option", flags.options,
                 fmt::format("FILTER=VALUE, a filter of the plugin: {}", filter_names()))
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->group("What to follow");
  app.add_flag("--stdin", flags.from_stdin, "read pg_recvlogical's output instead of connecting")
      ->group("What to follow");

  app.add_option("-E,--endpos", flags.end_lsn, "stop once everything up to this LSN is confirmed")
      ->group("How");
  app.add_flag("-n,--no-loop", flags.no_loop, "do not reconnect when the connection is lost")
      ->group("How");
  app.add_option("-F,--fsync-interval", flags.fsync_interval,
                 "least seconds between fdatasyncs (default: 0, one begins when the last ends, or "
                 "50 ms after it began while what comes is more than 100 ms old)")
      ->group("How");
  app.add_option("-s,--status-interval", flags.status_interval,
                 "seconds between status packets to the server (default: 10 s)")
      ->group("How");
  app.add_option(
         "--require-copies", config.require_copies,
         "confirm to PostgreSQL only what N relays have on disk too (daystream pull, from a "
         "daystream serve --record-copies here)")
      ->check(CLI::Range(0U, 1000U))
      ->type_name("N")
      ->group("How");
  daystream::program::add_config_option(app, config.config_file)->group("How");
  app.add_option("--metrics-file", config.metrics_file, daystream::program::kMetricsFileHelp)
      ->type_name("FILE")
      ->group("How");
  app.add_option("--log-level", config.log_level, "error, warn, info, debug (default: info)")
      ->check(CLI::IsMember({"error", "warn", "info", "debug"}))
      ->group("How");
  app.add_option("--log-format", config.log_format, "text, json (default: text)")
      ->check(CLI::IsMember({"text", "json"}))
      ->group("How");

  app.add_option_function<std::string>(
         "--compress",
         [&flags](const std::string& level) { flags.compress = level.empty() ? "yes" : level; },
         fmt::format("compress days that are over with zstd, 1 to {} (default: no; {} "
                     "without a number)",
                     daystream::kMostCompression, daystream::kDefaultCompression))
      ->expected(0, 1)
      ->type_name("[LEVEL]")
      ->group("What is kept");
  app.add_option("--keep-days", flags.keep_days,
                 "delete days older than N before the current one (default: keep all)")
      ->type_name("N")
      ->group("What is kept");
  app.add_option(
         "--keep-bytes", flags.keep_bytes,
         "delete the oldest days while all day files take more, as 500G (default: keep all)")
      ->type_name("SIZE")
      ->group("What is kept");

  app.add_flag("--create-slot", config.create_slot,
               "create the slot first; without -D do only that")
      ->group("Slot");
  app.add_flag("--if-not-exists", config.if_not_exists,
               "with --create-slot: an existing one will do")
      ->group("Slot");
  app.add_flag("--adopt-slot", config.adopt_slot,
               "take a slot that another daystream has read from, which cannot go on then")
      ->group("Slot");
  app.add_option_function<std::string>(
         "--on-lost-slot",
         [&config](const std::string& what) { config.replace_lost_slot = what == "replace"; },
         "stop: end with exit code 3, for a person; replace: write a gap and go on with a new "
         "slot, as after a fail-over that lost it (default: stop)")
      ->check(CLI::IsMember({"stop", "replace"}))
      ->group("Slot");
  app.add_flag("--no-failover", flags.no_failover,
               "keep the slot from standbys; by default those of PostgreSQL 17 and later that "
               "synchronize slots have it too, and after a fail-over the stream goes on there")
      ->group("Slot");
  app.add_option("--create-timeout", flags.create_timeout,
                 "seconds to wait for older transactions when creating (default: 60 s)")
      ->group("Slot");
  app.add_flag("--drop-slot", flags.drop_slot, "drop the slot and exit")->group("Slot");
  app.add_flag(
         "--recreate-slot", flags.recreate_slot,
         "replace a lost slot and exit: writes a gap, behind which every mirror copies its tables")
      ->group("Slot");
  app.add_flag(
         "--check", flags.check,
         "look at all that a start with the same options needs, say what is missing, and exit")
      ->group("Slot");

  CLI::App* status = app.add_subcommand("status", "show how far a stream is");
  status->add_option("DIR", flags.status_directory, "directory of the daystream")->required();
  status->add_flag("--json", config.json, "for machines");
}

}  // namespace deltastream
