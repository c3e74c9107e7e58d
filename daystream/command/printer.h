// Writes the wanted lines of whole transactions.
#pragma once

#include <optional>

#include "daystream/position.h"
#include "daystream/transaction.h"
#include "format.h"
#include "output.h"
#include "selection.h"

namespace daystream::command {

// Ownership: borrows `output`.
class Printer {
 public:
  // Lines at or before `after` are left out, also of a transaction that ends beyond it.
  Printer(Selection selection, Format format, std::optional<Position> after, Output& output)
      : selection_(std::move(selection)), format_(format), after_(after), output_(output) {}

  // True: something of it was wanted, and shown.
  bool show(Transaction& transaction);
  // Whether show() would show something.
  bool wants(Transaction& transaction);

 private:
  bool show_pair(Transaction& transaction, const Line& replace);
  void put(const Line& line);

  Selection selection_;
  Format format_;
  std::optional<Position> after_;
  Output& output_;
};

}  // namespace daystream::command
