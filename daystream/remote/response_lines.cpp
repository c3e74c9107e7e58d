#include "remote/response_lines.h"

#include "calendar.h"

namespace daystream::remote {

void ResponseLines::begin_behind(Position last, std::uint32_t chain) {
  last_ = last;
  chain_.begin(chain);
  spool_.begin_day(day_number(last.c), true);
}

void ResponseLines::begin_response() {
  beats_ = Beats();
  runs_ = LineRuns();
  spool_.drop_half_line();
  chain_.drop_half_line();
}

void ResponseLines::take(std::string_view bytes, bool is_filtered) {
  unbeaten_.clear();
  beats_.strip(bytes, unbeaten_);
  runs_.feed(unbeaten_, [&](std::int64_t day, std::string_view run) {
    if (spool_.empty() || day != spool_.last_day()) spool_.begin_day(day, false);
    spool_.append(run);
    if (is_filtered) chain_.add(run);
    if (run.back() == '\n') spool_.end_line();
  });
  if (runs_.last() != Position::begin()) last_ = runs_.last();
  caught_up_ = caught_up_ || at_tail();
}

}  // namespace daystream::remote
