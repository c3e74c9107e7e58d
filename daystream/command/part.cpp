#include "part.h"

#include <ctime>
#include <utility>

#include "calendar.h"
#include "daystream/proven_time.h"
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

// The clock that the Writer goes by is the source's: it was not now that this was made.
Manifest made_now(Manifest manifest) {
  if (manifest.created.empty()) manifest.created = utc_text(at_second(std::time(nullptr)));
  return manifest;
}

WriterOptions options_with(const InputFacts& facts) {
  WriterOptions options;
  options.clock = [&facts](std::int64_t) { return facts.clock; };
  options.day_mark = [&facts] { return mark_facts(facts); };
  return options;
}

}  // namespace

MarkFacts mark_facts(const InputFacts& facts) {
  MarkFacts said{facts.timeline, facts.next, {}, {}};
  if (facts.leading_fields) said.leading_fields = facts.leading_fields();
  return said;
}

Part::Part(const std::filesystem::path& directory, const Manifest& manifest,
           const InputFacts& facts)
    : facts_(facts), writer_(directory, made_now(manifest), std::nullopt, options_with(facts)) {
  gap_ = last_gap(directory);
}

void Part::begin(Lsn lsn, const Holding& holding) {
  MarkFacts said = mark_facts(facts_);
  said.holds = holding.fields();
  writer_.declare_holding(holding);
  writer_.mark(lsn, said);
  gap_.reset();
}

void Part::mark(Lsn lsn) {
  if (!needs(lsn)) return;
  MarkFacts said = mark_facts(facts_);
  if (facts_.proven_us > 0) said.leading_fields.push_back(proven_time_field(facts_.proven_us));
  writer_.mark(lsn, said);
  gap_.reset();
}

void Part::gap(Lsn lsn, Lsn before) {
  if (before < last_lsn() || gap_ == lsn) return;
  writer_.gap(lsn);
  gap_ = lsn;
}

void Part::new_gap(Lsn lsn,
                   const std::vector<std::pair<std::string, std::string>>& leading_fields) {
  writer_.gap(lsn, leading_fields);
  gap_ = lsn;
}

void Part::flush() {
  if (writer_.dirty()) writer_.flush();
}

void Part::close() {
  flush();
  writer_.release_files();
}

}  // namespace daystream::command
