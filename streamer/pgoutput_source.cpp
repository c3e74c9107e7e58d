#include "pgoutput_source.h"

#include <fmt/format.h>

#include <filesystem>

namespace deltastream {

namespace {

std::vector<pgoutput::ShapeRow> known_shapes(pgoutput::ShapeLog& log, const PgoutputBegin& begin) {
  std::vector<pgoutput::ShapeRow> known = log.open(begin.lsn, begin.confirmed);
  if (!known.empty() || begin.first_shapes.empty()) return known;
  log.keep(begin.lsn, begin.first_shapes);
  return begin.first_shapes;
}

}  // namespace

PgoutputSource::PgoutputSource(const Config& config, ReplicationStream& server,
                               const PgoutputBegin& begin)
    : publication_(config.publication),
      spool_(std::filesystem::path(config.directory) / ".spool"),
      log_(config.directory),
      decoder_(spool_, log_, config.publication, known_shapes(log_, begin), begin.next),
      watch_(config.conninfo, config.publication, begin.told),
      stream_(
          server, decoder_, [this] { on_data(); },
          [this](const std::set<std::uint32_t>& unknown) { watch_.tell(unknown); }) {
  // Nothing is known, as of a slot that somebody else has made: all are asked for, before rows
  // come.
  if (!decoder_.knows_any()) watch_.tell({0});
}

void PgoutputSource::on_data() {
  watch_.saw_data();
  if (changed_) return;
  changed_ = watch_.take_changed();
  if (!changed_) return;
  throw daystream::ConnectionLost(
      fmt::format("publication \"{}\" has other tables now", publication_),
      "it connects again, and says so in the stream");
}

}  // namespace deltastream
