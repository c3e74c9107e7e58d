// PostgreSQL's own plugin's messages into lines. An input is a session: a byte that says what is
// known of tables before it, then messages, each behind its length in two bytes.
#include <stdlib.h>

#include <filesystem>
#include <string>
#include <vector>

#include "daystream/error.h"
#include "daystream/line.h"
#include "streamer/pgoutput/decoder.h"
#include "target.h"

using namespace deltastream::pgoutput;

namespace {

// Where transactions in progress are kept: one folder a process, which each session clears.
const std::filesystem::path& spool_folder() {
  static const struct Folder {
    Folder() {
      std::string name = (std::filesystem::temp_directory_path() / "fuzz-pgoutput-XXXXXX").string();
      fuzz::require(mkdtemp(name.data()) != nullptr, "a folder can be made");
      path = name;
    }
    ~Folder() { std::filesystem::remove_all(path); }
    std::filesystem::path path;
  } folder;
  return folder.path;
}

struct Nobody final : ShapeKeeper {
  void keep(daystream::Lsn, const std::vector<ShapeRow>&) override {}
};

const char* const kShape = R"({"v": 1, "oid": 5, "schema": "public", "name": "t", "table": "t",
  "kind": "r", "persistence": "p", "identity": "d", "pkey": [1], "ikey": [1],
  "publications": [{"name": "flood", "actions": "iudt", "via_root": false}],
  "columns": [{"n": 1, "name": "a", "type": "text", "oid": 25, "mod": -1, "not_null": true},
              {"n": 2, "name": "b", "type": "text", "oid": 25, "mod": -1}]})";

// The next message of `rest`; false at its end.
bool next_message(std::string_view& rest, std::string_view& message) {
  if (rest.size() < 2) return false;
  const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(rest[at]); };
  const std::size_t size = std::size_t{byte(0)} << 8 | byte(1);
  message = rest.substr(2, size);
  rest.remove_prefix(std::min(rest.size(), 2 + size));
  return true;
}

// Whoever reads them has to understand each line, and what is made at once is of one transaction.
void check_lines(std::string_view lines, bool at_commit) {
  std::uint32_t xid = 0;
  bool committed = false;
  while (!lines.empty()) {
    const std::string_view line = lines.substr(0, lines.find('\n'));
    lines.remove_prefix(std::min(lines.size(), line.size() + 1));
    fuzz::require(!committed, "a commit line is the last of its transaction");
    const daystream::Change change = daystream::parse_change(line);
    fuzz::require(xid == 0 || change.xid == xid, "lines are of one transaction");
    xid = change.xid;
    committed = change.action == daystream::Action::Commit;
    daystream::unescape(change.table);
    if (change.action == daystream::Action::Schema) continue;  // its reader has a target
    daystream::FieldCursor columns(change.columns);
    std::string_view name;
    std::string_view value;
    while (columns.next(name, value)) {
      daystream::unescape(name);
      if (value != daystream::kNull) daystream::unescape(value);
    }
  }
  fuzz::require(committed == at_commit, "it is said that the transaction is whole");
}

void run_session(std::string_view messages, const std::vector<ShapeRow>& known) {
  Spool spool(spool_folder() / "spool");
  Nobody keeper;
  Decoder decoder(spool, keeper, "flood", known, 700);
  const auto check = [&] {
    try {
      check_lines(decoder.lines(), decoder.at_commit());
    } catch (const daystream::ProtocolError&) {
      fuzz::require(false, "a line that is written can be read");
    }
    if (decoder.at_commit()) decoder.clear_lines();
  };
  std::string_view message;
  while (next_message(messages, message)) {
    decoder.take(message);
    while (decoder.busy()) decoder.go_on(64);
    check();
  }
}

}  // namespace

FUZZ_TARGET(pgoutput) {
  if (input.empty()) return;
  std::vector<ShapeRow> known;
  if ((input[0] & 1) != 0) known.push_back({5, "shape", kShape});
  try {
    run_session(input.substr(1), known);
  } catch (const daystream::ProtocolError&) {
  }
  try {
    parse_shape(5, input, "flood");
  } catch (const daystream::ProtocolError&) {
  }
}
