#include "time_merger.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "daystream/error.h"
#include "daystream/proven_time.h"
#include "daystream/reader.h"

namespace daystream::command {

namespace {

constexpr std::uint64_t kTimeMergeFlushEvery = 64 * 1024 * 1024;
constexpr std::size_t kLinesAtOnce = 64 * 1024;
constexpr std::chrono::milliseconds kTimeMergeMarkEvery{1000};
constexpr std::chrono::milliseconds kTimeMergeLookEvery{1000};
constexpr std::int64_t kTimeMergeMicroseconds = 1'000'000;

std::string raw(const std::string& text) {
  std::string escaped;
  escape_to(escaped, text);
  return escaped;
}

// An output LSN is a time, so that a mark can say up to when nothing is missing.
Lsn lsn_at(std::int64_t time_us) {
  return Lsn{static_cast<std::uint64_t>(std::max<std::int64_t>(time_us, 0))};
}

}  // namespace

struct TimeMerger::Input {
  Input(std::string called, const Stream& stream, SourcePlace from)
      : name(std::move(called)),
        raw_name(raw(name)),
        place(from),
        turn_us(from.turn_us),
        reader(stream, start_after(from)) {}

  static StartAfter start_after(const SourcePlace& from) {
    StartAfter start{from.position, std::nullopt};
    if (from.lsn != Lsn{}) start.lsn = from.lsn;  // a gap is known by its position only
    return start;
  }

  std::string name;
  std::string raw_name;
  SourcePlace place;     // what is out, and marks before the next
  std::int64_t turn_us;  // of the next, or before which nothing more can come
  Reader reader;
  Transaction* next = nullptr;  // the next to go out; nullptr: not there yet
};

// By name, so that it does not matter in which order they were given.
TimeMerger::TimeMerger(std::vector<NamedInput> inputs, const std::filesystem::path& output) {
  for (NamedInput& input : inputs) {
    if (input.name.empty()) input.name = input.stream.manifest().name;
  }
  std::sort(inputs.begin(), inputs.end(),
            [](const NamedInput& a, const NamedInput& b) { return a.name < b.name; });
  Manifest wanted;
  wanted.slot = "merged";
  for (const NamedInput& input : inputs) {
    const Manifest manifest = input.stream.manifest();
    manifest.require_one_database(input.stream.address(), "merge the inputs that it was made of");
    if (!wanted.sources.empty() && wanted.sources.back().name == input.name) {
      throw ConfigError(fmt::format("two inputs are called \"{}\"", input.name),
                        "give them names: east=/srv/east/prod west=/srv/west/prod");
    }
    wanted.sources.push_back(
        {input.name, manifest.system_identifier, manifest.database, manifest.slot});
  }
  output_ = std::make_unique<Part>(output, wanted, facts_);
  const SourcePlaces places = output_->empty() ? SourcePlaces{} : places_in(output);
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const std::string& name = wanted.sources[i].name;
    const auto at = places.find(name);
    inputs_.push_back(std::make_unique<Input>(name, inputs[i].stream,
                                              at == places.end() ? SourcePlace{} : at->second));
  }
  facts_.leading_fields = [this] {
    SourcePlaces now;
    for (const auto& input : inputs_) now[input->name] = input->place;
    return places_fields(now);
  };
  if (!output_->empty()) return;
  fill();
  facts_.clock = INT64_MAX;
  for (const auto& input : inputs_) {
    const std::int64_t c = input->reader.position().c;
    if (c < 0) {
      throw Error(fmt::format("daystream \"{}\" has no line yet", input->name),
                  "start again when it has");
    }
    facts_.clock = std::min(facts_.clock, c);
  }
  output_->begin(Lsn{}, {});
  output_->flush();
}

TimeMerger::~TimeMerger() = default;

// Every input shows what it has next, or up to when it has nothing.
void TimeMerger::fill() {
  for (const auto& input : inputs_) {
    while (input->next == nullptr) {
      Transaction* next = input->reader.next();
      if (next == nullptr) break;
      input->turn_us = std::max(input->turn_us, proven_time_us(*next));
      if (next->kind() == Transaction::Kind::Mark) {
        input->place = {next->position(), next->lsn(), input->turn_us};
      } else {
        input->next = next;
      }
    }
  }
}

// Among equal turns the order is that of the inputs' names.
TimeMerger::Input* TimeMerger::next_input() const {
  Input* first = nullptr;
  for (const auto& input : inputs_) {
    if (first == nullptr || input->turn_us < first->turn_us) first = input.get();
  }
  return first->next == nullptr ? nullptr : first;
}

std::int64_t TimeMerger::reached_us() const {
  return (*std::min_element(inputs_.begin(), inputs_.end(),
                            [](const auto& a, const auto& b) { return a->turn_us < b->turn_us; }))
      ->turn_us;
}

void TimeMerger::work(const Stop& stop) {
  for (bool stopped = false; !stopped; stopped = stop.requested()) {
    fill();
    Input* next = next_input();
    if (next == nullptr) break;
    emit(*next);
    if (unflushed_bytes_ >= kTimeMergeFlushEvery) {
      output_->flush();
      unflushed_bytes_ = 0;
    }
    if (std::chrono::steady_clock::now() - marked_ >= kTimeMergeMarkEvery) mark();
  }
  if (std::chrono::steady_clock::now() - marked_ >= kTimeMergeMarkEvery) mark();
  output_->flush();
  unflushed_bytes_ = 0;
}

// What is still to come has a turn that is not less than the least, and so a larger LSN than this.
void TimeMerger::mark() {
  for (const auto& input : inputs_) {
    facts_.clock = std::max(facts_.clock, input->reader.position().c);
  }
  output_->mark(lsn_at(reached_us() - 1));
  marked_ = std::chrono::steady_clock::now();
}

void TimeMerger::emit(Input& input) {
  Transaction& next = *input.next;
  facts_.clock = std::max(facts_.clock, next.position().c);
  SourcePlace place{next.position(), next.lsn(), input.turn_us};
  const Fields origin = origin_fields(input.name, place);
  if (next.kind() == Transaction::Kind::Gap) {
    output_->new_gap(output_->last_lsn(), origin);
    place.lsn = {};
  } else {
    const auto send = [this] {
      if (lines_.empty()) return;
      lines_.pop_back();  // the last newline
      output_->append(lines_);
      unflushed_bytes_ += lines_.size();
      lines_.clear();
    };
    for (Line line; next.next_line(line);) {
      append_with_source(lines_, line.body, input.raw_name);
      lines_ += '\n';
      if (lines_.size() >= kLinesAtOnce) send();
    }
    const Change& end = next.end();
    const Lsn lsn = std::max(lsn_at(input.turn_us), Lsn{output_->last_lsn().value + 1});
    fmt::format_to(std::back_inserter(lines_), "_xid\t{}\t_lsn\t{}", end.xid, lsn.text());
    std::string_view key;
    std::string_view value;
    for (FieldCursor cursor(end.leading_fields); cursor.next(key, value);) {
      if (key == "_time") lines_.append("\t_time\t").append(value);
      if (key == "_next") lines_.append("\t_source_next\t").append(value);
    }
    for (const auto& [name, text] : origin) {
      lines_.append("\t").append(name).append("\t");
      escape_to(lines_, text);
    }
    lines_ += "\t_action\tcommit\n";
    send();
  }
  input.place = place;  // not before: a new day's mark, written just now, is before it
  input.next = nullptr;
}

void TimeMerger::wait(int wake_fd) {
  Input* slowest = nullptr;
  for (const auto& input : inputs_) {
    if (input->next == nullptr && (slowest == nullptr || input->turn_us < slowest->turn_us)) {
      slowest = input.get();
    }
  }
  if (slowest != nullptr) slowest->reader.wait(kTimeMergeLookEvery, wake_fd);
}

}  // namespace daystream::command
