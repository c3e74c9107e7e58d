// Lines as they stand in the files, or one JSON object each.
#pragma once

#include "format.h"
#include "presenter.h"

namespace daystream::command {

class LinePresenter final : public Presenter {
 public:
  explicit LinePresenter(Format format) noexcept : format_(format) {}

  void line(std::string& out, const Transaction&, const Line& line) override {
    format_line(out, format_, line);
  }
  void end(std::string& out, const Transaction& of) override {
    format_line(out, format_, of.end_line());
  }
  bool is_verbatim() const noexcept override { return format_ == Format::Tsv; }

 private:
  Format format_;
};

}  // namespace daystream::command
