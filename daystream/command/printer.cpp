#include "printer.h"

#include <string>
#include <string_view>
#include <utility>

#include "search.h"

namespace daystream::command {

namespace {

bool is_replace(const Line& line) {
  return line.body.find("\t_action\treplace") != std::string_view::npos &&
         parse_change(line.body).action == Action::Replace;
}

bool is_shape(const Line& line) {
  return find_shape(line.body) != std::string_view::npos &&
         parse_change(line.body).action == Action::Schema;
}

}  // namespace

Printer::Printer(Selection selection, std::unique_ptr<Presenter> presenter,
                 std::optional<Position> after, Output& output)
    : selection_(std::move(selection)),
      presenter_(std::move(presenter)),
      after_(after),
      output_(output) {
  presenter_->start(output_.buffer());
}

bool Printer::show(Transaction& transaction) {
  const bool teaches = presenter_->needs_shapes() && !selection_.takes_all();
  if (!selection_.takes_transaction(transaction)) {
    if (teaches) teach(transaction);
    return false;
  }
  bool shown = selection_.takes_all();
  if (shown && presenter_->is_verbatim() && !after_ && !transaction.text().empty()) {
    output_.write(transaction.text());
    return true;
  }
  Line line;
  const bool by_row = selection_.looks_at_rows();
  while (selection_.next_candidate(transaction, line, teaches)) {
    if (after_ && line.position <= *after_) continue;
    if (by_row && is_replace(line)) {
      shown = show_pair(transaction, line) || shown;
    } else if (selection_.takes_all() || selection_.takes_line(line)) {
      put(transaction, line);
      shown = true;
    } else if (teaches && is_shape(line)) {
      presenter_->learn(line);
    }
  }
  if (shown && !(after_ && transaction.position() <= *after_)) {
    presenter_->end(output_.buffer(), transaction);
    output_.written();
  }
  return shown;
}

bool Printer::wants(Transaction& transaction) {
  if (!selection_.takes_transaction(transaction)) return false;
  if (selection_.takes_all()) return transaction.kind() == Transaction::Kind::Transaction;
  Line line;
  bool wanted = false;
  while (!wanted && selection_.next_candidate(transaction, line, false)) {
    wanted = selection_.takes_line(line);
  }
  return wanted;
}

// The shapes of tables in a transaction of which nothing else is wanted.
void Printer::teach(Transaction& transaction) {
  if (!selection_.takes_source(transaction)) return;
  Line line;
  while (transaction.next_line_where(find_shape, line)) {
    if (is_shape(line)) presenter_->learn(line);
  }
}

void Printer::finish() {
  output_.flush();
  presenter_->finish();
}

// `replace` and the `update` it belongs to are one change.
bool Printer::show_pair(Transaction& transaction, const Line& replace) {
  const std::string whole(replace.whole);
  const std::string_view body = std::string_view(whole).substr(whole.size() - replace.body.size());
  const Line kept{replace.position, body, whole};
  const bool wanted = selection_.takes_line(kept);
  Line update;
  if (!transaction.next_line(update)) return false;
  if (!wanted && !selection_.takes_line(update)) return false;
  put(transaction, kept);
  put(transaction, update);
  return true;
}

void Printer::put(const Transaction& of, const Line& line) {
  presenter_->line(output_.buffer(), of, line);
  output_.written();
}

}  // namespace daystream::command
