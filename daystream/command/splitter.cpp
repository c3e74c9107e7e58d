#include "splitter.h"

#include <fmt/format.h>

#include <algorithm>

#include "day_file.h"
#include "daystream/error.h"
#include "daystream/proven_time.h"
#include "dir.h"
#include "lock.h"
#include "origin.h"

namespace daystream::command {

namespace {

constexpr std::uint64_t kSplitFlushEvery = 64 * 1024 * 1024;
constexpr std::chrono::milliseconds kSplitMarkEvery{1000};

// No part's folder is called so (part_folder()).
constexpr const char* kSplitLockName = ".lock";

// The line with its place in the transaction of its source, from which a merge puts it back.
std::string numbered(std::string_view body, std::uint64_t number) {
  std::string_view key;
  std::string_view value;
  FieldCursor cursor(body);
  while (cursor.next(key, value) && key != "_xid") {
  }
  const auto at = static_cast<std::size_t>(value.data() + value.size() - body.data());
  return fmt::format("{}\t_n\t{}{}", body.substr(0, at), number, body.substr(at));
}

}  // namespace

Splitter::Splitter(Stream source, std::filesystem::path directory, const SplitRule& rule)
    : source_(std::move(source)), directory_(std::move(directory)) {
  const Manifest manifest = source_.manifest();
  manifest.require_one_database(source_.address(), "split the inputs that it was made of");
  std::error_code none;
  const auto own = source_.directory();
  if ((own && std::filesystem::equivalent(*own, directory_, none)) ||
      std::filesystem::exists(directory_ / kManifestName)) {
    throw ConfigError(fmt::format("\"{}\" is a daystream itself", directory_.string()),
                      "name another directory: each part is to be a daystream in it");
  }
  make_directory(directory_);
  lock_ = lock_file(directory_ / kSplitLockName,
                    {"split", directory_, "it is made by one process: stop that one first"});
  if (auto known = SplitCatalog::load(directory_)) {
    catalog_ = std::move(*known);
    begun_ = true;
    if (catalog_.rule != rule) {
      throw ConfigError(
          fmt::format(
              "\"{}\" is split by {}{}{}", directory_.string(), split_by_name(catalog_.rule.by),
              catalog_.rule.into == 0 ? std::string() : fmt::format(" into {}", catalog_.rule.into),
              catalog_.rule.tables.empty() ? std::string()
                                           : fmt::format(", tables \"{}\"", catalog_.rule.tables)),
          "give the same options as before, or another directory");
    }
    require_same_source(fmt::format("split \"{}\"", directory_.string()), catalog_.source(),
                        fmt::format("daystream \"{}\"", source_.address()), manifest.source(),
                        "one directory per source: give another one", daystream::Pipe::IsAnother);
  } else {
    catalog_.rule = rule;
    catalog_.system_identifier = manifest.system_identifier;
    catalog_.database = manifest.database;
  }
  if (begun_) open_parts();
  std::optional<Lsn> from;
  for (const auto& [name, part] : parts_) {
    if (!part->empty() && (!from || part->last_lsn() < *from)) from = part->last_lsn();
  }
  StartAfter start;
  if (from) start.lsn = *from;
  reader_ = std::make_unique<Reader>(source_, start);
  const Holding* const holding = manifest.holding_at(reader_->position());
  source_holding_ = holding != nullptr ? *holding : manifest.holdings.front();
  before_ = from.value_or(Lsn{});
  facts_.clock = std::max<std::int64_t>(0, reader_->position().c);
  if (begun_) tables_ = SplitTables::load(directory_, before_);
  if (catalog_.has_tables) catalog_.save(directory_);  // they are in a file of their own now
  router_ =
      std::make_unique<Router>(rule, begun_ ? tables_->all() : std::vector<SplitTable>(), before_);
}

void Splitter::open_parts() {
  for (const auto& entry : std::filesystem::directory_iterator(directory_)) {
    if (!std::filesystem::exists(entry.path() / kManifestName)) continue;
    const Manifest manifest = Manifest::load(entry.path());
    auto part = std::make_unique<Part>(entry.path(), manifest, facts_);
    used(*parts_.emplace(manifest.name, std::move(part)).first->second);
  }
}

// The first line of the source, or the first that is kept: where all parts begin.
void Splitter::begin_catalog() {
  catalog_.begin = {before_, facts_.next, facts_.timeline};
  catalog_.source_tables = source_holding_.tables;
  tables_ = SplitTables::begin(directory_);
  catalog_.save(directory_);
  begun_ = true;
}

Manifest Splitter::manifest_of(const std::string& name) const {
  Manifest manifest = reader_->manifest();
  manifest.name = name;
  manifest.created.clear();
  manifest.id.clear();  // the slot is the source's
  manifest.holdings = {holding_of(name)};
  manifest.holdings.front().since = {0, 0};
  return manifest;
}

// What the part holds of what the source holds now. Where a table list cannot say it, because rows
// of a table are in several parts or its name is hashed, the option "part" says that nobody is to
// take it for the whole.
Holding Splitter::holding_of(const std::string& name) const {
  Holding holding = source_holding_;
  const SplitRule& rule = catalog_.rule;
  if (rule.into != 0) {
    holding.options.emplace_back("part", fmt::format("{}/{}", name, rule.into));
  } else if (rule.by == SplitBy::Schema) {
    if (!holding.tables.empty() || !rule.tables.empty()) {
      holding.options.emplace_back("part", name);
    }
    holding.tables = name + ".*";
  } else if (holding.holds(name)) {
    holding.tables = name;
  }  // else: what the source does not hold the part cannot; it says the source's own list
  return holding;
}

Part& Splitter::used(Part& part) {
  open_parts_.use(part);
  return part;
}

Part* Splitter::part(const std::string& name) {
  const auto at = parts_.find(name);
  return at == parts_.end() || at->second->empty() ? make_part(name) : at->second.get();
}

Part* Splitter::make_part(const std::string& name) {
  auto& part = parts_[name];
  if (!part) {
    part = std::make_unique<Part>(directory_ / part_folder(name), manifest_of(name), facts_);
  }
  const InputFacts now = facts_;
  facts_.next = catalog_.begin.next;
  facts_.timeline = catalog_.begin.timeline;
  used(*part).begin(catalog_.begin.lsn, holding_of(name));
  facts_ = now;
  part->mark(before_);
  part->flush();
  return part.get();
}

void Splitter::work(const Stop& stop) {
  while (Transaction* transaction = reader_->next()) {
    take(*transaction);
    before_ = reader_->lsn();
    unflushed_bytes_ += transaction->size_bytes();
    if (unflushed_bytes_ >= kSplitFlushEvery) {
      if (std::chrono::steady_clock::now() - marked_ >= kSplitMarkEvery) mark_all();
      flush();
    }
    if (stop.requested()) break;
  }
  if (mark_due() == std::chrono::milliseconds(0)) mark_all();
  flush();
}

std::optional<std::chrono::milliseconds> Splitter::mark_due() const {
  if (std::none_of(parts_.begin(), parts_.end(), [&](const auto& named) {
        return !named.second->empty() && named.second->needs(before_);
      })) {
    return std::nullopt;
  }
  const auto passed = std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::steady_clock::now() - marked_);
  return std::max(std::chrono::milliseconds(0), kSplitMarkEvery - passed);
}

void Splitter::mark_all() {
  for (const auto& [name, part] : parts_) {
    if (!part->empty() && part->needs(before_)) used(*part).mark(before_);
  }
  marked_ = std::chrono::steady_clock::now();
}

void Splitter::flush() {
  for (const auto& [name, part] : parts_) part->flush();
  unflushed_bytes_ = 0;
}

void Splitter::take(Transaction& transaction) {
  facts_.clock = std::max(facts_.clock, transaction.position().c);
  if (transaction.kind() == Transaction::Kind::Mark) take_mark(transaction);
  if (!all_made_) {
    for (std::uint32_t i = 0; i < catalog_.rule.into; ++i) part(std::to_string(i));
    all_made_ = true;
  }
  switch (transaction.kind()) {
    case Transaction::Kind::Mark:
      break;
    case Transaction::Kind::Gap:
      mark_all();
      for (const auto& [name, part] : parts_) {
        if (!part->empty()) used(*part).gap(transaction.lsn(), before_);
      }
      break;
    case Transaction::Kind::Transaction:
      take_transaction(transaction);
      break;
  }
  const Change& end = transaction.end();
  if (transaction.kind() == Transaction::Kind::Gap) return;
  facts_.proven_us = std::max(facts_.proven_us, proven_time_us(transaction));
  if (end.next) facts_.next = end.next;
  if (end.timeline) facts_.timeline = end.timeline;
}

// A connection's first mark says what the source holds from here on: parts pass that on at once,
// other marks when they are due.
void Splitter::take_mark(const Transaction& mark) {
  const Change& said = mark.end();
  if (said.timeline) facts_.timeline = said.timeline;
  if (said.next) facts_.next = said.next;
  if (!begun_) {
    before_ = mark.lsn();
    begin_catalog();
  }
  auto holding = Holding::of_mark(said.columns);
  if (!holding) return;
  source_holding_ = std::move(*holding);
  if (catalog_.source_tables != source_holding_.tables) {
    catalog_.source_tables = source_holding_.tables;
    catalog_.save(directory_);
  }
  for (const auto& [name, part] : parts_) {
    if (part->empty() || !part->needs(mark.lsn())) continue;
    used(*part).begin(mark.lsn(), holding_of(name));
  }
}

// Each time through it the routes begin as they did before it: with the tables known then.
void Splitter::take_transaction(Transaction& transaction) {
  const auto known = static_cast<std::ptrdiff_t>(tables_->all().size());
  take_lines(transaction, tables_->learned());
  tables_->save();
  for (;;) {
    for (Part* part : open_) part->append(transaction.end_line().body);
    if (!left_out_) return;
    std::vector<SplitTable> tables(tables_->all().begin(), tables_->all().begin() + known);
    router_ = std::make_unique<Router>(catalog_.rule, tables, before_);
    transaction.rewind();
    take_lines(transaction, tables);
  }
}

void Splitter::take_lines(Transaction& transaction, std::vector<SplitTable>& tables) {
  const Lsn lsn = transaction.lsn();
  std::uint64_t number = 0;
  Line line;
  std::optional<std::string> replace;
  Route route;
  open_.clear();
  left_out_ = false;
  while (transaction.next_line(line)) {
    const Change change = parse_change(line.body);
    const std::string text = numbered(line.body, number++);
    if (change.action == Action::Replace) {  // goes where its update goes, and the other way round
      route = router_->route(change);
      replace = text;
      continue;
    }
    if (!replace) route = {};
    route.add(router_->route(change));
    // What befell a partition concerns its root, whichever part has that.
    if (change.root != 0 && source_holding_.by_root()) route.all = true;
    if (replace) put(route, lsn, *replace);
    put(route, lsn, text);
    replace.reset();
    if (change.action == Action::Schema) router_->learn(change, lsn, tables);
  }
}

void Splitter::put(const Route& route, Lsn lsn, std::string_view line) {
  if (route.all) {
    for (const auto& [name, part] : parts_) {
      if (!part->empty()) put(*part, lsn, line);
    }
    return;
  }
  for (const std::string& name : route.parts) put(*part(name), lsn, line);
}

// One part more has to be open for those that are made meanwhile.
void Splitter::put(Part& part, Lsn lsn, std::string_view line) {
  if (!part.needs(lsn)) return;
  if (!part.in_transaction()) {
    left_out_ = left_out_ || open_.size() + 1 >= open_parts_.most();
    if (open_.size() + 1 >= open_parts_.most()) return;
    open_.push_back(&part);
  }
  used(part).append(line);
}

}  // namespace daystream::command
