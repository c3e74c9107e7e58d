#include "merger.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <utility>

#include "day_file.h"
#include "daystream/error.h"
#include "daystream/proven_time.h"
#include "split_catalog.h"

namespace daystream::command {

namespace {

constexpr std::uint64_t kFlushEvery = 64 * 1024 * 1024;
constexpr std::chrono::milliseconds kMarkEvery{1000};
constexpr std::chrono::milliseconds kLookEvery{1000};  // for parts that are new
constexpr std::size_t kJoinBytes = 64 * 1024 * 1024;   // of lines from more inputs than are open
constexpr std::uint64_t kNoNumber = UINT64_MAX;

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

struct Merger::Input final : OpenSet::Member {
  static constexpr std::size_t kDescriptors = 2;  // a day file, and inotify

  Input(const Stream& read, const StartAfter& start, std::size_t found, OpenSet& open)
      : stream(read), number(found), resume(start), open_(open) {
    open_.use(*this);
    reader_.emplace(stream, start);
    before = reader_->lsn();
    position = reader_->position();
    held = reader_->manifest().holdings.front();
    for (const Holding& holding : reader_->manifest().holdings) {
      if (holding.since <= position) held = holding;
    }
  }

  void close() override {
    reader_.reset();
    delivery_ = nullptr;
    lines_taken_from_delivery_ = 0;
  }

  bool has_gap() const { return next && next->kind == Transaction::Kind::Gap; }
  // A gap stands after what came before it.
  Lsn order() const { return has_gap() ? before : next->lsn; }

  Reader& reader() {
    open_.use(*this);
    if (!reader_) reader_.emplace(stream, resume);
    return *reader_;
  }
  // What stands after the last that was passed; nullptr: nothing yet. Valid until another input is
  // used.
  Transaction* delivery() {
    Reader& from = reader();
    if (delivery_ == nullptr) delivery_ = from.next();
    return delivery_;
  }
  // The same, where it is known to be there.
  Transaction& delivered() {
    if (Transaction* const known = delivery()) return *known;
    throw NeedsPerson(fmt::format("daystream \"{}\" lacks what it had", stream.address()),
                      "was it replaced? start again");
  }
  void pass() {
    const Transaction& passed = delivered();
    if (passed.kind() != Transaction::Kind::Gap) {
      before = passed.lsn();
      proven_us = std::max(proven_us, proven_time_us(passed));
    }
    position = passed.position();
    resume = {position, std::nullopt};
    delivery_ = nullptr;
    lines_taken_ = lines_taken_from_delivery_ = 0;
    next.reset();
  }

  // The next line of the delivery; nullptr: none. With `at_once`, so many bytes of lines are read
  // together, as others are used in between.
  const Numbered* line(std::size_t at_once) {
    if (lines_.empty()) read_lines(at_once);
    return lines_.empty() ? nullptr : &lines_.front();
  }
  void drop_line() { lines_.pop_front(); }

  const Stream stream;
  const std::size_t number;  // by which they were found
  Holding held;              // what it holds where it is
  struct Next {
    Transaction::Kind kind;
    Lsn lsn;
  };
  std::optional<Next> next;    // what its delivery is, where that is known
  Lsn before;                  // of the last commit or mark that was passed
  Position position;           // of the last that was passed
  std::int64_t proven_us = 0;  // by what was passed
  StartAfter resume;           // where its delivery is found again

 private:
  void read_lines(std::size_t at_once) {
    Transaction& from = delivered();
    Line line;
    for (; lines_taken_from_delivery_ < lines_taken_; ++lines_taken_from_delivery_) {
      from.next_line(line);
    }
    std::size_t bytes = 0;
    while (bytes <= at_once && from.next_line(line)) {
      bytes += line.body.size() + sizeof(Numbered);
      lines_.push_back(without_number(line.body));
      ++lines_taken_;
      ++lines_taken_from_delivery_;
    }
  }

  OpenSet& open_;
  std::optional<Reader> reader_;     // nullopt: closed
  Transaction* delivery_ = nullptr;  // the reader's
  std::deque<Numbered> lines_;       // that were read and not dropped
  std::uint64_t lines_taken_ = 0;    // of the delivery, whichever reader had it
  std::uint64_t lines_taken_from_delivery_ = 0;
};

bool Merger::ByOrder::operator()(const Input* one, const Input* other) const {
  const auto key = [](const Input& s) { return std::tuple(s.order(), s.has_gap(), s.number); };
  return key(*one) < key(*other);
}

bool Merger::ByBefore::operator()(const Input* one, const Input* other) const {
  return std::tuple(one->before, one->number) < std::tuple(other->before, other->number);
}

Merger::Merger(std::vector<Stream> inputs, const std::filesystem::path& output)
    : directory_(output), open_(Input::kDescriptors) {
  Manifest wanted;
  for (const Stream& stream : inputs) {
    const SourceIdentity source = source_of(stream);
    if (roots_.empty()) {
      wanted.system_identifier = source.system_identifier;
      wanted.database = source.database;
    }
    require_same_source(fmt::format("daystream \"{}\"", stream.address()), source,
                        fmt::format("daystream \"{}\"", inputs.front().address()), wanted.source(),
                        "only streams of one database have an order in common, that of its LSNs",
                        daystream::Pipe::IsAnother);
    roots_.push_back({stream});
  }
  wanted.slot = "merged";
  wanted.holdings = {};
  output_ = std::make_unique<Part>(output, wanted, facts_);
  look_for_sources();
  if (inputs_.empty()) {
    throw Error(fmt::format("there is no part yet in \"{}\"", inputs.front().address()),
                "start the split first");
  }
  catalog_has_changed();
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
  const std::size_t before = inputs_.size();
  for (Root& root : roots_) {
    if (const auto split = split_directory(root.stream)) {
      look_into(root, *split);
    } else if (!std::exchange(root.is_added, true)) {
      const std::size_t known = inputs_.size();
      add_input(root.stream);
      if (inputs_.size() > known) continue;
      throw Error(fmt::format("daystream \"{}\" has no line yet", root.stream.address()),
                  "start again when it has: the output begins where all inputs have begun");
    }
  }
  return inputs_.size() > before;
}

void Merger::look_into(Root& root, const std::filesystem::path& split) {
  // The kernel's clock moves in steps: two changes may have one time.
  const auto changed = std::filesystem::last_write_time(split);
  const bool is_fresh =
      std::filesystem::file_time_type::clock::now() - changed < std::chrono::seconds(1);
  if (changed == root.looked_at && !is_fresh) return;
  root.looked_at = changed;
  for (const auto& entry : std::filesystem::directory_iterator(split)) {
    if (addresses_.contains(entry.path())) continue;
    if (std::filesystem::exists(entry.path() / kManifestName)) add_input(entry.path());
  }
}

void Merger::add_input(const Stream& stream) {
  if (addresses_.contains(stream.address())) return;
  if (!stream.extent()) return;  // nothing is durable yet: it has nothing that others are past
  StartAfter start;
  if (!output_->empty()) start.lsn = output_->last_lsn();
  inputs_.push_back(std::make_unique<Input>(stream, start, inputs_.size(), open_));
  addresses_.insert(stream.address());
  waiting_.insert(inputs_.back().get());
}

// Whether what comes next of an input that is waiting is known now, or it has come further.
bool Merger::read_on(Input& input) {
  const Lsn before = input.before;
  waiting_.erase(&input);
  while (Transaction* const next = input.delivery()) {
    const bool says_nothing =
        next->kind() == Transaction::Kind::Mark && next->end().columns.empty();
    const bool is_there = next->kind() == Transaction::Kind::Transaction && !output_->empty() &&
                          !output_->needs(next->lsn());
    if (!says_nothing && !is_there) {
      input.next = {next->kind(), next->lsn()};
      ready_.insert(&input);
      return true;
    }
    if (says_nothing && next->end().timeline) facts_.timeline = next->end().timeline;
    input.pass();
  }
  waiting_.insert(&input);
  return input.before > before;
}

// Of those that may have something before what goes out next, or, where nothing does, that are
// least far. True: some have come further.
bool Merger::read_those_behind() {
  if (waiting_.empty()) return false;
  const Lsn least = (*waiting_.begin())->before;
  std::vector<Input*> behind;
  for (Input* input : waiting_) {
    if (ready_.empty() ? input->before > least : input->before >= (*ready_.begin())->order()) break;
    behind.push_back(input);
  }
  bool any = false;
  for (Input* input : behind) any = read_on(*input) || any;
  must_look_ = must_look_ || any;
  return any;
}

// The output begins where all of its inputs have begun: before that some are missing.
void Merger::begin() {
  Lsn from;
  std::optional<std::uint64_t> next;
  std::optional<std::uint32_t> timeline;
  std::int64_t clock = 0;
  for (const auto& input : inputs_) {
    Reader reader(input->stream, {});
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

// All tables of all inputs. The parts of one split are the whole again when all of them are here.
Holding Merger::holding() const {
  Holding merged;
  std::set<std::string> parts;
  std::set<std::string> counts;
  bool all_tables = false;
  for (const auto& input : inputs_) {
    const Holding& held = input->held;
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
  for (const Root& root : roots_) {
    // Tables that have no part yet have had no change yet.
    const auto catalog = split_of(root.stream);
    if (!catalog || roots_.size() > 1) continue;
    merged.tables = catalog->rule.tables.empty() ? catalog->source_tables : catalog->rule.tables;
    std::erase_if(merged.options, [](const auto& option) { return option.first == "part"; });
    if (!catalog->rule.tables.empty() && !catalog->source_tables.empty()) {
      merged.options.emplace_back("part", "some");
    }
  }
  return merged;
}

// nullptr: an input may have something before that is not there yet.
Merger::Input* Merger::next_input() {
  for (;;) {
    while (read_those_behind()) continue;
    const bool all_past = !ready_.empty() && (waiting_.empty() || (*waiting_.begin())->before >=
                                                                      (*ready_.begin())->order());
    // What is known to come next stays so until something is read.
    if (all_past && !must_look_) return *ready_.begin();
    must_look_ = false;
    if (!look_for_sources() && !all_past) return nullptr;
  }
}

void Merger::work(const Stop& stop) {
  must_look_ = true;
  for (bool stopped = false; !stopped; stopped = stop.requested()) {
    Input* next = next_input();
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
  // Nothing of any input is still to come up to here.
  Lsn upto{UINT64_MAX};
  for (const auto& input : inputs_) upto = std::min(upto, input->before);
  for (const auto& input : inputs_) {
    facts_.clock = std::max(facts_.clock, input->position.c);
    // What one input proves up to an LSN holds for the database.
    if (input->before == upto) facts_.proven_us = std::max(facts_.proven_us, input->proven_us);
  }
  output_->mark(upto);
  marked_ = std::chrono::steady_clock::now();
}

// What is out of an input is passed, and the input waits.
void Merger::take(Input& input) {
  ready_.erase(&input);
  input.pass();
  waiting_.insert(&input);
}

void Merger::emit(Input& first) {
  facts_.clock = std::max(facts_.clock, first.delivered().position().c);
  if (first.next->kind == Transaction::Kind::Mark) {
    take_mark(first);
    return;
  }
  if (first.has_gap()) {
    output_->mark(first.before);
    output_->gap(first.next->lsn, first.before);
    take(first);
    return;
  }
  const std::vector<Input*> same = same_as(first);
  emit_joined(same);
  facts_.next = first.delivered().end().next;
  for (Input* input : same) take(*input);
}

// Those that have a part of the transaction that is the next of `first`.
std::vector<Merger::Input*> Merger::same_as(const Input& first) {
  std::vector<Input*> same;
  std::uint32_t xid = 0;
  for (Input* input : ready_) {
    if (input->next->kind != Transaction::Kind::Transaction) continue;
    if (input->next->lsn != first.next->lsn) break;
    const Transaction& own = input->delivered();
    if (same.empty()) xid = own.end().xid;
    if (own.end().xid != xid) {
      throw NeedsPerson(
          fmt::format("\"{}\" and \"{}\" have different transactions at LSN {}: {} and {}",
                      first.stream.address(), input->stream.address(), own.lsn().text(), xid,
                      own.end().xid),
          "they are not streams of one history of the database: merge them apart");
    }
    same.push_back(input);
    unflushed_bytes_ += own.size_bytes();
  }
  return same;
}

// A connection's first mark says what its input holds from there on; the output says it where that
// changes what it holds itself.
void Merger::take_mark(Input& input) {
  const Change& said = input.delivered().end();
  if (said.timeline) facts_.timeline = said.timeline;
  const Holding held =
      std::exchange(input.held, Holding::of_mark(said.columns).value_or(input.held));
  take(input);
  if (!input.held.same_filter(held) || catalog_has_changed()) say_holding(input.before);
}

// The catalog of a split is replaced by another file. True: one has been since the last time.
bool Merger::catalog_has_changed() {
  bool any = false;
  for (Root& root : roots_) {
    const auto split = split_directory(root.stream);
    if (!split) continue;
    const FileIdentity now = identity_of(*split / kSplitName).value_or(FileIdentity{});
    any = now != std::exchange(root.catalog, now) || any;
  }
  return any;
}

void Merger::say_holding(Lsn lsn) {
  const Holding now = holding();
  if (!now.same_filter(output_->holding())) output_->begin(lsn, now);
}

// Lines by their `_n`; those that have none after its others. One that several parts have goes out
// once, and one that an input has again goes out again.
void Merger::emit_joined(const std::vector<Input*>& inputs) {
  if (!output_->needs(inputs.front()->next->lsn)) return;
  const std::size_t at_once = inputs.size() < open_.most() ? 0 : kJoinBytes / inputs.size();
  std::set<std::tuple<std::uint64_t, std::size_t, Input*>> lines;  // the next one of each
  const auto add_line_of = [&](Input* input) {
    if (const Numbered* const line = input->line(at_once)) {
      lines.emplace(line->number.value_or(kNoNumber), input->number, input);
    }
  };
  for (Input* input : inputs) add_line_of(input);
  while (!lines.empty()) {
    const std::uint64_t number = std::get<0>(*lines.begin());
    output_->append(std::get<Input*>(*lines.begin())->line(at_once)->text);
    std::vector<Input*> have_it;
    do {
      have_it.push_back(std::get<Input*>(*lines.begin()));
      lines.erase(lines.begin());
    } while (number != kNoNumber && !lines.empty() && std::get<0>(*lines.begin()) == number);
    for (Input* input : have_it) {
      input->drop_line();
      add_line_of(input);
    }
  }
  output_->append(inputs.front()->delivered().end_line().body);
}

void Merger::wait(int wake_fd) {
  if (!waiting_.empty()) (*waiting_.begin())->reader().wait(kLookEvery, wake_fd);
}

}  // namespace daystream::command
