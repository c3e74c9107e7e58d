// The work of `daystream split`: one source, several parts.
#pragma once

#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "daystream/reader.h"
#include "daystream/stop.h"
#include "daystream/unique_fd.h"
#include "part.h"
#include "router.h"
#include "split_catalog.h"

namespace daystream::command {

// Exactly once, whatever is killed when:
// 1. Each part's last LSN says what it has; it skips what is not past it.
// 2. The source is read from after the smallest of these.
// 3. A part is made, and its first mark is on disk, before anything that follows is written
//    anywhere: so one that is missing or empty lacks nothing that another part is ahead of.
// 4. A transaction for more parts than may be open at once is gone through several times, each time
//    for some of them; which have it already, their last LSN says. All are made the first time.
// 5. What routing depends on is on disk in the catalog before the transaction that said it is.
class Splitter {
 public:
  // Throws ConfigError where `directory` was split by another rule, WrongSource where it is of
  // another database.
  Splitter(Stream source, std::filesystem::path directory, const SplitRule& rule);

  Reader& reader() { return *reader_; }
  // Works through what there is now, until `stop` is requested. All of it is on disk afterwards.
  void work(const Stop& stop);
  // When parts that had nothing for a while are due for a mark; nullopt: none is behind.
  std::optional<std::chrono::milliseconds> mark_due() const;
  // Brings all parts to the source's LSN.
  void mark_all();

 private:
  void open_parts();
  void begin_catalog();
  void take(Transaction& transaction);
  void take_transaction(Transaction& transaction);
  void take_mark(const Transaction& mark);
  void take_lines(Transaction& transaction, std::vector<SplitTable>& tables);
  void put(const Route& route, Lsn lsn, std::string_view line);
  void put(Part& part, Lsn lsn, std::string_view line);
  Part& used(Part& part);
  Part* part(const std::string& name);
  Part* make_part(const std::string& name);
  Holding holding_of(const std::string& name) const;
  Manifest manifest_of(const std::string& name) const;
  void flush();

  Stream source_;
  std::filesystem::path directory_;
  SplitCatalog catalog_;
  std::optional<SplitTables> tables_;  // once the catalog is there
  bool begun_ = false;                 // the catalog is there
  bool all_made_ = false;              // the parts, where their number is given
  InputFacts facts_;
  Holding source_holding_;  // in force now
  Lsn before_;              // the source's last LSN before what is being taken
  UniqueFd lock_;           // of the directory: a part that is not open is not locked itself
  OpenSet open_parts_{Part::kDescriptors};
  std::map<std::string, std::unique_ptr<Part>> parts_;
  std::vector<Part*> open_;  // with lines of the transaction that is being taken
  bool left_out_ = false;    // lines of that transaction are for parts that could not be open too
  std::unique_ptr<Router> router_;
  std::unique_ptr<Reader> reader_;
  std::uint64_t unflushed_bytes_ = 0;
  std::chrono::steady_clock::time_point marked_;
};

}  // namespace daystream::command
