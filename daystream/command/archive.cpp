// daystream archive: the closed days, in object storage.
#include "remote/archive.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <chrono>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "commands.h"
#include "daystream/error.h"
#include "daystream/stop.h"
#include "json_text.h"
#include "log_flags.h"
#include "places.h"
#include "program/check_report.h"
#include "program/common_flags.h"
#include "program/config_file.h"
#include "program/figures.h"
#include "program/keep_flags.h"
#include "program/notify.h"
#include "program/program.h"
#include "program/retries.h"
#include "src/waiting.h"

namespace daystream::command {

namespace {

using remote::Archive;
using remote::S3Address;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kBetweenLooks{5000};  // at whether a day has been closed

struct ArchiveOptions {
  std::string directory;
  std::string address;
  std::string endpoint;
  std::string region;
  remote::ArchiveRules rules;
  bool follow = false;
  bool check = false;
  bool json = false;
  program::LogOptions log;
  std::string config;
};

// With what the flags say in front of what the environment does.
S3Address address_of(const ArchiveOptions& options) {
  std::string text = options.address;
  const auto add = [&text](const char* name, const std::string& value) {
    if (value.empty()) return;
    text += fmt::format("{}{}={}", text.find('?') == std::string::npos ? '?' : '&', name, value);
  };
  add("endpoint", options.endpoint);
  add("region", options.region);
  return S3Address::parse(text);
}

void print(const Archive::Step& step, bool json) {
  const bool archived = step.kind == Archive::Step::Kind::Archived;
  if (json) {
    const nlohmann::ordered_json value = {{"action", archived ? "archived" : "deleted"},
                                          {"file", step.file},
                                          {"size_bytes", step.text_bytes},
                                          {"stored_bytes", step.stored_bytes},
                                          {"sent_bytes", step.sent_bytes}};
    fmt::print("{}", json_line(value));
  } else if (archived) {
    fmt::print("{}  archived: {}, {} there{}\n", step.file,
               program::bytes_text(static_cast<double>(step.text_bytes)),
               program::bytes_text(static_cast<double>(step.stored_bytes)),
               step.sent_bytes < step.stored_bytes ? ", some of it was there already" : "");
  } else {
    fmt::print("{}  deleted there: {}\n", step.file,
               program::bytes_text(static_cast<double>(step.stored_bytes)));
  }
  std::fflush(stdout);
}

void say_progress(Archive& archive, program::Notify& notify) {
  program::AtMostEvery words{std::chrono::seconds(10)};
  (void)words.due();  // nothing is said of what takes less
  archive.progress = [words, &notify](const std::string& file, std::uint64_t done,
                                      std::uint64_t size) mutable {
    if (!words.due()) return;
    const std::string text =
        fmt::format("{}: {} of {} are there", file, program::bytes_text(static_cast<double>(done)),
                    program::bytes_text(static_cast<double>(size)));
    spdlog::info("{}", text);
    notify.status(text);
  };
}

int check(const ArchiveOptions& options) {
  program::CheckReport report(options.json);
  const bool readable = report.check("daystream", [&] {
    const Manifest manifest = Manifest::load(options.directory);
    return fmt::format("\"{}\" has database \"{}\"", options.directory, manifest.database);
  });
  const bool known = report.check("credentials", [] {
    return fmt::format("there are some, with key id {}", remote::s3_credentials().key_id);
  });
  if (!readable || !known) return report.exit_code();
  report.check("archive", [&] {
    const S3Address address = address_of(options);
    Archive archive(options.directory, address, options.rules, [] { return false; });
    const Archive::State state = archive.look();
    return fmt::format("{} at {}: {} there, {} to come", address.name(), address.base_url(),
                       program::counted(state.archived, "day"),
                       program::counted(state.waiting, "day"));
  });
  return report.exit_code();
}

// Everything that can be done now. systemd hears after the first day that it works: there may be
// years of them.
void archive_all(Archive& archive, bool json, program::Notify& notify, std::uint64_t& count) {
  while (const auto step = archive.step()) {
    ++count;
    print(*step, json);
    notify.ready();
  }
  notify.ready();
}

int run(const ArchiveOptions& options) {
  const S3Address address = address_of(options);
  program::Notify notify;
  const Stop stop = notify.watched(program::Signals().stop());
  std::uint64_t count = 0;
  bool told = false;
  program::Retries retries;
  auto archive = std::make_unique<Archive>(options.directory, address, options.rules, stop);
  while (!stop.requested()) {
    milliseconds pause = kBetweenLooks;
    try {
      notify.status(fmt::format("archiving to {}", address.name()));
      say_progress(*archive, notify);
      archive_all(*archive, options.json, notify, count);
      if (std::exchange(told, false)) spdlog::info("{}: it is there again", address.name());
      retries.worked();
      if (!options.follow) break;
      notify.status(fmt::format("all that is over is at {}", address.name()));
    } catch (const remote::Stopped&) {
      if (options.follow) break;
      throw;
    } catch (const Error& e) {
      if (!options.follow || !e.retryable()) throw;
      told = true;
      notify.status(fmt::format("waiting: {}", e.what()));
      retries.failed(e);
      archive = std::make_unique<Archive>(options.directory, address, options.rules, stop);
      pause = retries.pause();
    }
    sleep(stop, pause);
  }
  notify.stopping();
  if (count == 0 && !options.follow && !options.json) {
    fmt::print("daystream \"{}\": nothing to archive\n", options.directory);
  }
  return 0;
}

}  // namespace

void add_archive(CLI::App& app, Chosen& chosen) {
  auto options = std::make_shared<ArchiveOptions>();
  CLI::App& command =
      *app.add_subcommand("archive", "put the closed days into object storage (S3)");
  command.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  add_place(command, "DIR", options->directory, "the daystream's directory");
  add_place(command, "ARCHIVE", options->address, "s3://BUCKET/PREFIX, of this stream alone");
  command.add_option("--endpoint", options->endpoint,
                     "http(s)://HOST[:PORT] of the storage (default: $AWS_ENDPOINT_URL, or AWS)");
  command.add_option("--region", options->region,
                     "region of the bucket (default: $AWS_REGION, or us-east-1)");
  command.add_flag("--follow", options->follow, "go on: archive each day as it closes");
  program::add_keep_flags(command, options->rules.keep_days, options->rules.keep_bytes);
  add_check_flag(command, options->check);
  program::add_json_flag(command, options->json,
                         "print a JSON object for each day, or each check, for scripts");
  program::add_config_option(command, options->config);
  add_log_flags(command, options->log);
  command.footer(
      "A day that is over goes there compressed, once each of its lines has been checked, and "
      "counts\n"
      "once it was found there with its size and SHA-256. --keep-days and --keep-bytes are about "
      "what\n"
      "is kept there. May be killed at any moment, and run again: what is there is not sent "
      "again.\n"
      "Credentials come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN), "
      "or\n"
      "from the profile AWS_PROFILE of ~/.aws/credentials.\n\n"
      "Examples:\n"
      "  daystream archive /srv/prod s3://our-streams/prod\n"
      "  daystream archive /srv/prod s3://our-streams/prod --follow --keep-days 365\n"
      "  daystream archive /srv/prod s3://streams/prod --endpoint https://minio1:9000 --check");
  command.callback([options, &command, &chosen] {
    for (const char* const place : {"DIR", "ARCHIVE"}) require_place(command, place);
    chosen = [options](const Reach&) {
      program::start_log("daystream archive", options->log);
      return options->check ? check(*options) : run(*options);
    };
  });
}

}  // namespace daystream::command
