#include "common/oracle.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <stdexcept>

namespace fault {

namespace {

constexpr const char* kUnchanged = "(unchanged)";
constexpr const char* kNull = "(null)";

// A change in a form that both plugins' texts can be brought to.
struct Change {
  std::string table, action;
  std::map<std::string, std::string> key;  // the old identity, where it was told
  std::map<std::string, std::string> row;
  std::string text() const {
    std::string out = table + " " + action;
    for (const auto& [name, value] : key) out += " old " + name + "=" + value;
    for (const auto& [name, value] : row) {
      out += " " + name + "=" + (value.size() > 80 ? value.substr(0, 80) + "…" : value);
    }
    return out;
  }
  bool operator==(const Change&) const = default;
};

struct Decoded {
  std::uint64_t lsn = 0;
  std::vector<Change> changes;
};

// Takes "name[type]:value " pairs off the front of `text` until its end, or until `stop`.
std::map<std::string, std::string> take_columns(std::string_view& text, std::string_view stop) {
  std::map<std::string, std::string> out;
  while (!text.empty() && (stop.empty() || !text.starts_with(stop))) {
    const std::size_t bracket = text.find('[');
    const std::size_t colon = text.find("]:", bracket);
    if (colon == std::string_view::npos) {
      throw std::runtime_error("test_decoding: cannot read " + std::string(text));
    }
    const std::string name(text.substr(0, bracket));
    const std::string_view type = text.substr(bracket + 1, colon - bracket - 1);
    text.remove_prefix(colon + 2);
    std::string value;
    if (text.starts_with('\'')) {
      std::size_t i = 1;
      for (; i < text.size(); ++i) {
        if (text[i] == '\'' && !text.substr(i + 1).starts_with('\'')) break;
        if (text[i] == '\'') ++i;
        value += text[i];
      }
      text.remove_prefix(i + 1);
    } else {
      const std::size_t space = text.find(' ');
      value = text.substr(0, space);
      text.remove_prefix(value.size());
      if (value == "null") value = kNull;
      if (value == "unchanged-toast-datum") value = kUnchanged;
      if (type == "boolean" && value == "true") value = "1";
      if (type == "boolean" && value == "false") value = "0";
    }
    if (text.starts_with(' ')) text.remove_prefix(1);
    out[name] = value;
  }
  return out;
}

Change parse_test_decoding(std::string_view text) {
  constexpr std::string_view kBegin = "table public.";
  if (!text.starts_with(kBegin)) {
    throw std::runtime_error("test_decoding: cannot read " + std::string(text));
  }
  text.remove_prefix(kBegin.size());
  Change change;
  const std::size_t colon = text.find(": ");
  change.table = text.substr(0, colon);
  text.remove_prefix(colon + 2);
  const std::size_t end = text.find(": ");
  change.action = text.substr(0, end);
  std::transform(change.action.begin(), change.action.end(), change.action.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  text.remove_prefix(end + 2);
  if (text.starts_with("old-key: ")) {
    text.remove_prefix(9);
    change.key = take_columns(text, "new-tuple: ");
    text.remove_prefix(11);
  }
  (change.action == "delete" ? change.key : change.row) = take_columns(text, "");
  // How ours leaves them out: an insert's NULLs are not there.
  if (change.action == "insert") {
    std::erase_if(change.row, [](const auto& column) { return column.second == kNull; });
  }
  std::erase_if(change.row, [](const auto& column) { return column.second == kUnchanged; });
  return change;
}

std::vector<Change> parse_ours(const support::StreamTransaction& transaction,
                               const std::vector<std::string>& tables) {
  std::vector<Change> out;
  std::map<std::string, std::string> identity;
  for (const std::string& line : transaction.lines) {
    Change change;
    change.table = support::stream_key(line, "_table").value_or("");
    change.action = support::stream_key(line, "_action").value_or("");
    if (std::find(tables.begin(), tables.end(), change.table) == tables.end()) continue;
    if (change.action != "insert" && change.action != "update" && change.action != "delete" &&
        change.action != "replace") {
      continue;
    }
    std::map<std::string, std::string> columns;
    bool in_columns = false;
    for (const auto& [key, value] : support::stream_fields(line)) {
      if (in_columns) columns[key] = value == "\\N" ? kNull : value;
      in_columns |= key == "_action";
    }
    if (change.action == "replace") {
      identity = columns;
      continue;
    }
    if (change.action == "delete") {
      change.key = columns;
    } else {
      change.row = columns;
      change.key = std::exchange(identity, {});
    }
    out.push_back(std::move(change));
  }
  return out;
}

std::vector<Decoded> drain(support::Session& session, const std::string& slot,
                           const std::vector<std::string>& tables) {
  std::vector<Decoded> out;
  Decoded current;
  for (const support::Row& row :
       session.query("SELECT lsn, data FROM pg_logical_slot_get_changes('" + slot +
                     "', NULL, NULL, 'include-xids', 'off', 'skip-empty-xacts', 'on')")) {
    const std::string& text = *row[1];
    if (text.starts_with("BEGIN")) {
      current = {};
    } else if (text.starts_with("COMMIT")) {
      current.lsn = support::parse_lsn(*row[0]);
      if (!current.changes.empty()) out.push_back(std::exchange(current, {}));
    } else {
      const Change change = parse_test_decoding(text);
      if (std::find(tables.begin(), tables.end(), change.table) != tables.end()) {
        current.changes.push_back(change);
      }
    }
  }
  return out;
}

}  // namespace

std::string difference_from_test_decoding(support::Session& session, const std::string& slot,
                                          const support::StreamContent& content,
                                          const std::vector<std::string>& tables) {
  std::vector<Decoded> ours;
  for (const support::StreamTransaction* commit : content.commits()) {
    Decoded decoded{commit->lsn, parse_ours(*commit, tables)};
    if (!decoded.changes.empty()) ours.push_back(std::move(decoded));
  }
  const std::vector<Decoded> theirs = drain(session, slot, tables);
  for (std::size_t i = 0; i < std::max(ours.size(), theirs.size()); ++i) {
    if (i == ours.size()) return "missing: commit " + support::lsn_text(theirs[i].lsn);
    if (i == theirs.size()) return "too many: commit " + support::lsn_text(ours[i].lsn);
    if (ours[i].lsn != theirs[i].lsn) {
      return fmt::format("commit {} where test_decoding has {}", support::lsn_text(ours[i].lsn),
                         support::lsn_text(theirs[i].lsn));
    }
    const auto& a = ours[i].changes;
    const auto& b = theirs[i].changes;
    for (std::size_t j = 0; j < std::max(a.size(), b.size()); ++j) {
      if (j < a.size() && j < b.size() && a[j] == b[j]) continue;
      return fmt::format("in commit {}: {}, test_decoding has {}", support::lsn_text(ours[i].lsn),
                         j < a.size() ? a[j].text() : std::string("nothing"),
                         j < b.size() ? b[j].text() : std::string("nothing"));
    }
  }
  return theirs.empty() ? "test_decoding saw nothing" : "";
}

}  // namespace fault
