// Shows the wanted lines of whole transactions.
#pragma once

#include <memory>
#include <optional>

#include "daystream/position.h"
#include "daystream/transaction.h"
#include "output.h"
#include "presenter.h"
#include "selection.h"

namespace daystream::command {

// Ownership: borrows `output`.
class Printer {
 public:
  // Lines at or before `after` are left out, also of a transaction that ends beyond it.
  Printer(Selection selection, std::unique_ptr<Presenter> presenter, std::optional<Position> after,
          Output& output);

  // True: something of it was wanted, and shown.
  bool show(Transaction& transaction);
  // Whether show() would show something.
  bool wants(Transaction& transaction);
  // Once nothing more comes. Throws Error where something could not be shown as asked.
  void finish();

 private:
  bool show_pair(Transaction& transaction, const Line& replace);
  void teach(Transaction& transaction);
  void put(const Transaction& of, const Line& line);

  Selection selection_;
  std::unique_ptr<Presenter> presenter_;
  std::optional<Position> after_;
  Output& output_;
};

}  // namespace daystream::command
