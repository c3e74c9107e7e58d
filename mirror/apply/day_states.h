// "latest-per-day": one row for each key and UTC day on which it changed, as it was at the day's
// end.
#pragma once

#include <memory>

#include "apply/history_writer.h"

namespace deltamirror {

std::unique_ptr<HistoryWriter> make_day_states(Database& db, const MirroredTable& history);

}  // namespace deltamirror
