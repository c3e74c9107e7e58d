#include "part.h"

#include <utility>

#include "stream_view.h"

namespace daystream::command {

namespace {

// The LSN of the gap that a daystream ends with, after its recovery.
std::optional<Lsn> last_gap(const std::filesystem::path& directory) {
  const auto dir = real_dir(directory);
  const StreamView view(*dir);
  const auto end = view.last_end();
  if (!end || end->action != Action::Gap) return std::nullopt;
  return end->lsn;
}

WriterOptions options_with(const SourceFacts& facts) {
  WriterOptions options;
  options.clock = [&facts] { return facts.clock; };
  options.day_mark = [&facts] { return MarkFacts{facts.timeline, facts.next, {}}; };
  return options;
}

}  // namespace

Part::Part(const std::filesystem::path& directory, const Manifest& manifest,
           const SourceFacts& facts)
    : facts_(facts), writer_(directory, manifest, std::nullopt, options_with(facts)) {
  gap_ = last_gap(directory);
}

void Part::begin(Lsn lsn, const Holding& holding) {
  MarkFacts said{facts_.timeline, facts_.next, {{"tables", holding.tables}}};
  for (const auto& option : holding.options) said.holds.push_back(option);
  writer_.declare_holding(holding);
  writer_.mark(lsn, said);
  gap_.reset();
}

void Part::mark(Lsn lsn) {
  if (!needs(lsn)) return;
  writer_.mark(lsn, {facts_.timeline, facts_.next, {}});
  gap_.reset();
}

void Part::gap(Lsn lsn, Lsn before) {
  if (before < last_lsn() || gap_ == lsn) return;
  writer_.gap(lsn);
  gap_ = lsn;
}

void Part::flush() {
  if (writer_.dirty()) writer_.flush();
}

}  // namespace daystream::command
