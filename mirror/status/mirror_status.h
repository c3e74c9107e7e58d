// What a mirror is, how far it has come, and what is wrong with it: the one judgement that
// `status`, `doctor` and the metrics share. Reads the mirror's file, whether or not a process owns
// it.
#pragma once

#include <chrono>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "daystream/error.h"
#include "program/health_server.h"
#include "store/last_events.h"

namespace deltamirror {

// What is behind an owner that does not answer, and what to do. It does all its writing on the
// thread that answers.
inline constexpr const char* kOwnerHangs =
    "it hangs, or waits for a lock on the file (\"fuser\" with its name shows who has it): look at "
    "its log and its disk, and start it again where nothing else helps";

struct StatusQuestions {
  bool rows = false;    // count those of each table
  bool stream = false;  // ask servers how far their streams are, for which they may take long
  // What the caller has heard of the process that owns it.
  bool owner_hangs = false;                        // it does not answer
  std::map<std::string, LastError> unstored = {};  // by source: errors that it could not write
  std::map<std::string, LastError> streams = {};   // by source: see stream_trouble()
  // The caller is to own it, and does not yet: why. Empty: nobody who asks is.
  std::string owner_waits_for = {};
};

// What docs/monitoring.md#the-mirror describes, as JSON. Throws Error where there is no mirror, or
// none that can be read.
nlohmann::ordered_json mirror_status(const std::string& mirror, const StatusQuestions& ask);

// The same, short, for the server of a fleet (docs/fleet.md#reports): one word of how it is, counts
// of tables, those in trouble by name, sizes, and what it runs on. Where there is no mirror yet,
// that it is being made. Throws Error where there is one that cannot be read.
nlohmann::ordered_json mirror_report(const std::string& mirror, const StatusQuestions& ask);

// Whether a table of that status is neither followed nor static. Those come first.
bool is_in_trouble(const nlohmann::ordered_json& table);

// Done: nothing is wrong; NeedsPerson: a source will not go on by itself; else Failed.
daystream::ExitCode exit_code_of(const nlohmann::ordered_json& status);

// Whether readers are to be sent to the mirror: all its sources are followed, and none is further
// behind than `max_lag`. A table in trouble is no reason: the others are as they should be, and a
// query of that one fails. Names no paths.
daystream::program::Fitness fitness(const std::string& mirror, std::chrono::seconds max_lag);

// The same for Prometheus (program/metrics_text.h). Where the mirror cannot be read, only that.
std::string mirror_metrics(const std::string& mirror);

}  // namespace deltamirror
