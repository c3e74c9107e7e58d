#include "verify/verify_report.h"

#include <fmt/format.h>

#include <cstdio>

#include "program/figures.h"
#include "src/json_text.h"

namespace deltamirror {

using nlohmann::ordered_json;

namespace {

constexpr std::uint64_t kNamed = 1000;  // rows of a source

}  // namespace

struct VerifyReport::Gathered {
  ordered_json all;
  ordered_json& source() { return all["sources"].back(); }
};

VerifyReport::VerifyReport(const std::string& mirror, bool json) {
  if (!json) return;
  json_ = std::make_unique<Gathered>();
  json_->all = {{"mirror", mirror}, {"rows", 0}, {"differences", 0}};
  json_->all["sources"] = ordered_json::array();
}

VerifyReport::~VerifyReport() = default;

void VerifyReport::source(const Checkpoint& at, bool named) {
  end_source();
  if (!json_) {
    if (named) fmt::print("source {}\n", at.source);
    return;
  }
  ordered_json source = {
      {"source", at.source}, {"position", at.position.text()}, {"lsn", at.lsn.text()}};
  for (const char* list : {"tables", "passed_over", "rows_that_differ"}) {
    source[list] = ordered_json::array();
  }
  json_->all["sources"].push_back(std::move(source));
}

void VerifyReport::difference(const std::string& row) {
  ++differences_;
  if (++of_source_ > kNamed) return;
  if (json_) {
    json_->source()["rows_that_differ"].push_back(row);
  } else {
    fmt::print("{}\n", row);
  }
}

void VerifyReport::compared(const std::string& table, std::uint64_t rows, std::uint64_t differences,
                            const std::string& how) {
  ++tables_;
  rows_ += rows;
  if (!json_) {
    fmt::print("{}: {}{}, {} differ\n", table, daystream::program::counted(rows, "row"), how,
               differences);
    return;
  }
  json_->source()["tables"].push_back(
      {{"table", table}, {"rows", rows}, {"differences", differences}});
  json_->all["rows"] = json_->all["rows"].get<std::uint64_t>() + rows;
}

void VerifyReport::passed_over(const std::string& table, const std::string& why) {
  ++passed_over_;
  if (json_) {
    json_->source()["passed_over"].push_back({{"table", table}, {"reason", why}});
  } else {
    fmt::print("{}: passed over, {}\n", table, why);
  }
}

void VerifyReport::end_source() {
  if (!json_ && of_source_ > kNamed) fmt::print("... and {} more\n", of_source_ - kNamed);
  of_source_ = 0;
}

void VerifyReport::finish() {
  end_source();
  if (!json_) {
    fmt::print("in all: {}, {}, {} differ{}\n", daystream::program::counted(tables_, "table"),
               daystream::program::counted(rows_, "row"), differences_,
               passed_over_ == 0 ? "" : fmt::format("; {} passed over", passed_over_));
  } else {
    json_->all["differences"] = differences_;
    fmt::print("{}", daystream::json_page(json_->all));
    std::fflush(stdout);
  }
}

}  // namespace deltamirror
