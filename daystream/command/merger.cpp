#include "merger.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "day_file.h"
#include "daystream/error.h"
#include "daystream/proven_time.h"
#include "split_catalog.h"

namespace daystream::command {

namespace {

constexpr std::uint64_t kFlushEvery = 64 * 1024 * 1024;
constexpr std::chrono::milliseconds kMarkEvery{1000};
constexpr std::chrono::milliseconds kLookEvery{1000};  // for parts that are new

// A line with and without its `_n`.
struct Numbered {
  std::optional<std::uint64_t> number;
  std::string text;
};

Numbered without_number(std::string_view body) {
  Numbered line;
  std::string_view key;
  std::string_view value;
  for (FieldCursor cursor(body); cursor.next(key, value) && key != "_action";) {
    if (key != "_n") continue;
    line.number = std::stoull(std::string(value));
    const auto begin = static_cast<std::size_t>(key.data() - body.data());
    const auto end = static_cast<std::size_t>(value.data() + value.size() - body.data()) + 1;
    line.text = std::string(body.substr(0, begin)) + std::string(body.substr(end));
    return line;
  }
  line.text = body;
  return line;
}

}  // namespace

struct Merger::Source {
  Source(const Stream& read, StartAfter start)
      : stream(read), reader(stream, start), before(reader.lsn()) {
    held = reader.manifest().holdings.front();
    for (const Holding& holding : reader.manifest().holdings) {
      if (holding.since <= reader.position()) held = holding;
    }
  }

  bool has_mark() const { return head != nullptr && head->kind() == Transaction::Kind::Mark; }
  bool has_gap() const { return head != nullptr && head->kind() == Transaction::Kind::Gap; }
  void pass(const Transaction& delivery) {
    before = delivery.lsn();
    proven_us = std::max(proven_us, proven_time_us(delivery));
  }
  // A gap stands after what came before it.
  Lsn order() const { return has_gap() ? before : head->lsn(); }

  Stream stream;
  Reader reader;
  Holding held;                  // what it holds where it is
  Transaction* head = nullptr;   // the next to go out; nullptr: not there yet
  Lsn before;                    // of the last commit or mark before the head
  std::int64_t proven_us = 0;    // by what is at or before that
  std::optional<Numbered> line;  // the next of the head's, while it is being joined
};

Merger::Merger(std::vector<Stream> sources, const std::filesystem::path& output)
    : roots_(std::move(sources)), directory_(output), looked_at_(roots_.size()) {
  Manifest wanted;
  bool first = true;
  for (const auto& root : roots_) {
    std::string system;
    std::string database;
    if (const auto catalog = split_of(root)) {
      system = catalog->system_identifier;
      database = catalog->database;
    } else {
      const Manifest manifest = root.manifest();
      system = manifest.system_identifier;
      database = manifest.database;
    }
    if (first) {
      wanted.system_identifier = system;
      wanted.database = database;
    } else if (system != wanted.system_identifier || database != wanted.database) {
      throw WrongSource(
          fmt::format("\"{}\" is of database \"{}\" of system {}, \"{}\" of \"{}\" of {}",
                      roots_.front().address(), wanted.database, wanted.system_identifier,
                      root.address(), database, system),
          "only streams of one database have an order in common, that of its LSNs");
    }
    first = false;
  }
  wanted.slot = "merged";
  wanted.holdings = {};
  output_ = std::make_unique<Part>(output, wanted, facts_);
  look_for_sources();
  if (sources_.empty()) {
    throw Error(fmt::format("there is no part yet in \"{}\"", roots_.front().address()),
                "start the split first");
  }
  if (output_->empty()) {
    begin();
  } else {
    say_holding(output_->last_lsn());
  }
}

Merger::~Merger() = default;

// True: there are new ones. A part is made before its first transaction is written anywhere, and
// others come past that only afterwards: so after all have been read and none is new, none is
// missing that has something to go out before them.
bool Merger::look_for_sources() {
  const std::size_t before = sources_.size();
  for (std::size_t i = 0; i < roots_.size(); ++i) {
    const auto& root = roots_[i];
    const auto split = split_directory(root);
    if (!split) {
      if (looked_at_[i] == std::filesystem::file_time_type::max()) continue;
      looked_at_[i] = std::filesystem::file_time_type::max();
      add_source(root);
      if (sources_.empty() || sources_.back()->stream.address() != root.address()) {
        throw Error(fmt::format("daystream \"{}\" has no line yet", root.address()),
                    "start again when it has: the output begins where all sources have begun");
      }
      continue;
    }
    // The kernel's clock moves in steps: two changes may have one time.
    const auto changed = std::filesystem::last_write_time(*split);
    const bool is_fresh =
        std::filesystem::file_time_type::clock::now() - changed < std::chrono::seconds(1);
    if (changed == looked_at_[i] && !is_fresh) continue;
    looked_at_[i] = changed;
    for (const auto& entry : std::filesystem::directory_iterator(*split)) {
      if (std::filesystem::exists(entry.path() / kManifestName)) add_source(entry.path());
    }
  }
  return sources_.size() > before;
}

void Merger::add_source(const Stream& stream) {
  if (std::any_of(sources_.begin(), sources_.end(), [&](const auto& source) {
        return source->stream.address() == stream.address();
      })) {
    return;
  }
  if (!stream.extent()) return;  // nothing is durable yet: it has nothing that others are past
  StartAfter start;
  if (!output_->empty()) start.lsn = output_->last_lsn();
  sources_.push_back(std::make_unique<Source>(stream, start));
}

// Every source shows what it has next, or how far it is.
void Merger::fill() {
  for (const auto& source : sources_) {
    while (source->head == nullptr) {
      Transaction* next = source->reader.next();
      if (next == nullptr) break;
      if (next->kind() == Transaction::Kind::Mark && next->end().columns.empty()) {
        if (next->end().timeline) facts_.timeline = next->end().timeline;
        source->pass(*next);
        continue;
      }
      if (next->kind() == Transaction::Kind::Transaction && !output_->empty() &&
          !output_->needs(next->lsn())) {
        source->pass(*next);
        continue;
      }
      source->head = next;
    }
  }
}

// How far all sources are known: nothing of any of them is still to come up to here.
Lsn Merger::reached() const {
  Lsn least{UINT64_MAX};
  for (const auto& source : sources_) least = std::min(least, source->before);
  return least;
}

// The output begins where all of its sources have begun: before that some are missing.
void Merger::begin() {
  Lsn from;
  std::optional<std::uint64_t> next;
  std::optional<std::uint32_t> timeline;
  std::int64_t clock = 0;
  for (const auto& source : sources_) {
    Reader reader(source->stream, {});
    Transaction* first = reader.next();
    if (first == nullptr || first->lsn() < from) continue;
    from = first->lsn();
    next = first->end().next;
    timeline = first->end().timeline;
    clock = std::max(clock, first->position().c);
  }
  facts_ = {clock, timeline, next};
  output_->begin(from, holding());
  output_->flush();
}

// All tables of all sources. The parts of one split are the whole again when all of them are here.
Holding Merger::holding() const {
  Holding merged;
  std::set<std::string> parts;
  std::set<std::string> counts;
  bool all_tables = false;
  for (const auto& source : sources_) {
    const Holding& held = source->held;
    all_tables = all_tables || held.tables.empty();
    if (!merged.tables.empty() && !held.tables.empty()) merged.tables += ",";
    merged.tables += held.tables;
    for (const auto& [key, value] : held.options) {
      if (key == "part") {
        parts.insert(value);
        counts.insert(value.substr(std::min(value.size(), value.find('/') + 1)));
      } else if (std::find(merged.options.begin(), merged.options.end(), std::pair(key, value)) ==
                 merged.options.end()) {
        merged.options.emplace_back(key, value);
      }
    }
  }
  if (all_tables) merged.tables.clear();
  const bool whole = counts.size() == 1 && *counts.begin() == std::to_string(parts.size());
  if (!parts.empty() && !whole) merged.options.emplace_back("part", "some");
  for (const auto& root : roots_) {
    // Tables that have no part yet have had no change yet.
    const auto catalog = split_of(root);
    if (!catalog || roots_.size() > 1) continue;
    merged.tables = catalog->rule.tables.empty() ? catalog->source_tables : catalog->rule.tables;
    std::erase_if(merged.options, [](const auto& option) { return option.first == "part"; });
    if (!catalog->rule.tables.empty() && !catalog->source_tables.empty()) {
      merged.options.emplace_back("part", "some");
    }
  }
  return merged;
}

Merger::Source* Merger::next_source() const {
  Source* first = nullptr;
  for (const auto& source : sources_) {
    if (source->head == nullptr) continue;
    const auto goes_before = [&] {
      if (source->order() != first->order()) return source->order() < first->order();
      return first->has_gap() && !source->has_gap();
    };
    if (first == nullptr || goes_before()) first = source.get();
  }
  if (first == nullptr) return nullptr;
  // Is any source not known to have come that far?
  for (const auto& source : sources_) {
    if (source->head == nullptr && source->before < first->order()) return nullptr;
  }
  return first;
}

void Merger::work(const std::function<bool()>& stop) {
  for (bool stopped = false; !stopped; stopped = stop()) {
    do {
      fill();
    } while (look_for_sources());
    Source* next = next_source();
    if (next == nullptr) break;
    emit(*next);
    if (unflushed_bytes_ >= kFlushEvery) {
      output_->flush();
      unflushed_bytes_ = 0;
    }
  }
  if (std::chrono::steady_clock::now() - marked_ >= kMarkEvery) mark();
  output_->flush();
  unflushed_bytes_ = 0;
}

void Merger::mark() {
  if (output_->empty()) return;
  const Lsn upto = reached();
  for (const auto& source : sources_) {
    facts_.clock = std::max(facts_.clock, source->reader.position().c);
    // What one source proves up to an LSN holds for the database.
    if (source->before == upto) facts_.proven_us = std::max(facts_.proven_us, source->proven_us);
  }
  output_->mark(upto);
  marked_ = std::chrono::steady_clock::now();
}

void Merger::emit(Source& first) {
  facts_.clock = std::max(facts_.clock, first.head->position().c);
  if (first.has_mark()) {
    take_mark(first);
    return;
  }
  if (first.has_gap()) {
    output_->mark(first.before);
    output_->gap(first.head->lsn(), first.before);
    first.head = nullptr;
    return;
  }
  const Lsn lsn = first.head->lsn();
  std::vector<Source*> same;
  for (const auto& source : sources_) {
    if (source->head == nullptr || source->head->kind() != Transaction::Kind::Transaction ||
        source->head->lsn() != lsn) {
      continue;
    }
    if (source->head->end().xid != first.head->end().xid) {
      throw NeedsPerson(
          fmt::format("\"{}\" and \"{}\" have different transactions at LSN {}: {} and {}",
                      first.stream.address(), source->stream.address(), lsn.text(),
                      first.head->end().xid, source->head->end().xid),
          "they are not streams of one history of the database: merge them apart");
    }
    same.push_back(source.get());
    unflushed_bytes_ += source->head->size_bytes();
  }
  emit_joined(same);
  facts_.next = first.head->end().next;
  for (Source* source : same) {
    source->pass(*source->head);
    source->head = nullptr;
  }
}

// A connection's first mark says what its source holds from there on; the output says it where that
// changes what it holds itself.
void Merger::take_mark(Source& source) {
  const Change& said = source.head->end();
  if (said.timeline) facts_.timeline = said.timeline;
  source.held = {};
  std::string_view key;
  std::string_view value;
  for (FieldCursor cursor(said.columns); cursor.next(key, value);) {
    if (key == "tables") {
      source.held.tables = unescape(value);
    } else {
      source.held.options.emplace_back(unescape(key), unescape(value));
    }
  }
  source.before = source.head->lsn();
  source.head = nullptr;
  say_holding(source.before);
}

void Merger::say_holding(Lsn lsn) {
  const Holding now = holding();
  if (!now.same_filter(output_->holding())) output_->begin(lsn, now);
}

// Lines by their `_n`; those that have none, or that a source has again, after its others.
void Merger::emit_joined(const std::vector<Source*>& sources) {
  if (!output_->needs(sources.front()->head->lsn())) return;
  const auto advance = [](Source& source) {
    Line line;
    source.line.reset();
    if (source.head->next_line(line)) source.line = without_number(line.body);
  };
  for (Source* source : sources) advance(*source);
  for (;;) {
    Source* next = nullptr;
    for (Source* source : sources) {
      if (!source->line) continue;
      const bool is_first = next == nullptr || (source->line->number && next->line->number &&
                                                *source->line->number < *next->line->number);
      if (is_first) next = source;
    }
    if (next == nullptr) break;
    const Numbered line = *next->line;
    output_->append(line.text);
    if (!line.number) {
      advance(*next);
      continue;
    }
    for (Source* source : sources) {  // a line may be in several parts
      if (source->line && source->line->number == line.number) advance(*source);
    }
  }
  output_->append(sources.front()->head->end_line().body);
}

void Merger::wait(int wake_fd) {
  Source* slowest = nullptr;
  for (const auto& source : sources_) {
    if (source->head == nullptr && (slowest == nullptr || source->before < slowest->before)) {
      slowest = source.get();
    }
  }
  if (slowest != nullptr) slowest->reader.wait(kLookEvery, wake_fd);
}

}  // namespace daystream::command
