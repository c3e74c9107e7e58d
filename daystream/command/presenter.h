// How chosen lines are shown.
#pragma once

#include <string>

#include "daystream/transaction.h"

namespace daystream::command {

// Gets the chosen lines of one transaction after the other, in order, each group of them followed
// by its end line (a mark or a gap comes alone). Appends to `out`; it keeps no view that it gets.
class Presenter {
 public:
  virtual ~Presenter() = default;

  // Called once, before anything else.
  virtual void start(std::string&) {}
  virtual void line(std::string& out, const Transaction& of, const Line& line) = 0;
  virtual void end(std::string& out, const Transaction& of) = 0;
  // Whether whole transactions may be passed on as they stand in the file instead.
  virtual bool is_verbatim() const noexcept { return false; }
  // Whether it must know the shapes of tables. Then it learns the `schema` lines that were not
  // chosen, in their order between those that were.
  virtual bool needs_shapes() const noexcept { return false; }
  virtual void learn(const Line&) {}
  // Called once, after everything else. Throws Error where something could not be shown as asked.
  virtual void finish() {}
};

}  // namespace daystream::command
