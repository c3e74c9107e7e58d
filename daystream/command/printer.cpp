#include "printer.h"

#include <string>
#include <string_view>

namespace daystream::command {

namespace {

bool is_replace(const Line& line) {
  return line.body.find("\t_action\treplace") != std::string_view::npos &&
         parse_change(line.body).action == Action::Replace;
}

}  // namespace

bool Printer::show(Transaction& transaction) {
  if (!selection_.takes_transaction(transaction)) return false;
  bool shown = selection_.takes_all();
  if (shown && format_ == Format::Tsv && !after_ && !transaction.text().empty()) {
    output_.write(transaction.text());
    return true;
  }
  Line line;
  while (transaction.next_line(line)) {
    if (after_ && line.position <= *after_) continue;
    if (selection_.looks_at_rows() && is_replace(line)) {
      shown = show_pair(transaction, line) || shown;
    } else if (selection_.takes_all() || selection_.takes_line(line)) {
      put(line);
      shown = true;
    }
  }
  if (shown && !(after_ && transaction.position() <= *after_)) put(transaction.end_line());
  return shown;
}

bool Printer::wants(Transaction& transaction) {
  if (!selection_.takes_transaction(transaction)) return false;
  if (selection_.takes_all()) return transaction.kind() == Transaction::Kind::Transaction;
  Line line;
  bool wanted = false;
  while (!wanted && transaction.next_line(line)) wanted = selection_.takes_line(line);
  return wanted;
}

// `replace` and the `update` it belongs to are one change.
bool Printer::show_pair(Transaction& transaction, const Line& replace) {
  const std::string whole(replace.whole);
  const std::string body(replace.body);
  const Line kept{replace.position, body, whole};
  const bool wanted = selection_.takes_line(kept);
  Line update;
  if (!transaction.next_line(update)) return false;
  if (!wanted && !selection_.takes_line(update)) return false;
  put(kept);
  put(update);
  return true;
}

void Printer::put(const Line& line) {
  format_line(output_.buffer(), format_, line);
  output_.written();
}

}  // namespace daystream::command
