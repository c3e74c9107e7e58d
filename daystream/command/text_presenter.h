// Lines for a person at a terminal: a heading for each transaction, changes under each other, in
// colours.
#pragma once

#include <cstddef>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "presenter.h"

namespace daystream::command {

class TextPresenter final : public Presenter {
 public:
  // `most_lines` of a transaction are shown, and then how many there are more.
  explicit TextPresenter(bool colours,
                         std::size_t most_lines = std::numeric_limits<std::size_t>::max()) noexcept
      : colours_(colours), most_lines_(most_lines) {}

  void line(std::string& out, const Transaction& of, const Line& line) override;
  void end(std::string& out, const Transaction& of) override;

 private:
  enum class Colour { Plain, Heading, Quiet, Added, Changed, Removed };

  void heading(std::string& out, const Transaction& of);
  void put(std::string& out, Colour colour, std::string_view text) const;
  void value(std::string& out, std::string_view raw) const;

  bool colours_;
  const std::size_t most_lines_;
  std::size_t lines_ = 0;        // of the transaction so far
  bool open_ = false;            // the heading is written
  std::size_t table_width_ = 0;  // grows with the longest name met, so that columns stand in line
  std::optional<std::vector<std::pair<std::string, std::string>>> old_;  // of a `replace`
};

}  // namespace daystream::command
