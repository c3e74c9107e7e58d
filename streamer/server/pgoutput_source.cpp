#include "server/pgoutput_source.h"

#include <fmt/format.h>

#include <filesystem>
#include <utility>

namespace deltastream {

namespace {

// Lines of one transaction gather up to this size, as they do in the plugin.
constexpr std::size_t kBatchBytes = 64 * 1024;

std::vector<pgoutput::ShapeRow> known_shapes(pgoutput::ShapeLog& log, const PgoutputBegin& begin) {
  std::vector<pgoutput::ShapeRow> known = log.open(begin.lsn, begin.confirmed);
  if (!known.empty() || begin.first_shapes.empty()) return known;
  log.keep(begin.lsn, begin.first_shapes);
  return begin.first_shapes;
}

}  // namespace

PgoutputStream::PgoutputStream(
    ReplicationStream& server, pgoutput::Decoder& decoder, std::function<void()> on_data,
    std::function<void(const std::vector<pgoutput::Decoder::Left>&)> on_left,
    std::function<void(const std::set<std::uint32_t>&)> on_unknown)
    : server_(server),
      decoder_(decoder),
      on_data_(std::move(on_data)),
      on_left_(std::move(on_left)),
      on_unknown_(std::move(on_unknown)) {}

std::optional<std::string_view> PgoutputStream::receive() {
  while (!decoder_.busy()) {
    const auto message = server_.receive();
    if (!message) return std::nullopt;
    const Frame frame = parse_frame(*message);
    const auto* const data = std::get_if<XLogData>(&frame);
    if (data == nullptr) return message;
    sent_us_ = data->sent_us;
    on_data_();
    decoder_.take(data->payload);
    if (const auto lines = made()) return lines;
  }
  // One piece of a transaction that is committed: in between, others are heard.
  decoder_.go_on(kBatchBytes);
  if (const auto lines = made()) return lines;
  return sign_of_life();
}

std::optional<std::string_view> PgoutputStream::made() {
  if (const auto left = decoder_.take_left(); !left.empty()) on_left_(left);
  if (const auto unknown = decoder_.take_unknown(); !unknown.empty()) on_unknown_(unknown);
  const std::string& lines = decoder_.lines();
  if (!decoder_.at_commit() && lines.size() < kBatchBytes) return std::nullopt;
  message_ = encode_data(sent_us_, lines);
  decoder_.clear_lines();
  return message_;
}

// A keepalive that says no position.
std::string_view PgoutputStream::sign_of_life() {
  message_ = encode_keepalive({{}, sent_us_, false});
  return message_;
}

PgoutputSource::PgoutputSource(const Config& config, ReplicationStream& server,
                               const PgoutputBegin& begin)
    : publication_(config.publication),
      told_(begin.told),
      spool_(std::filesystem::path(config.directory) / ".spool", config.most_spool_bytes),
      log_(config.directory),
      decoder_(spool_, log_, config.publication, known_shapes(log_, begin), begin.next),
      watch_(config.conninfo, config.publication, begin.told, begin.published),
      stream_(
          server, decoder_, [this] { on_data(); },
          [this](const std::vector<pgoutput::Decoder::Left>& left) { on_left(left); },
          [this](const std::set<std::uint32_t>& unknown) { watch_.tell(unknown); }) {
  // Nothing is known, as of a slot that somebody else has made: all are asked for, before rows
  // come.
  if (!decoder_.knows_any()) watch_.tell({0});
}

void PgoutputSource::on_data() {
  watch_.saw_data();
  if (changed_) return;
  changed_ = watch_.take_changed();
  if (changed_) end();
}

// The transaction comes again, behind a mark that no longer names these tables: a mirror that
// copied one again on its drop line would take the copy for whole.
void PgoutputSource::on_left(const std::vector<pgoutput::Decoder::Left>& left) {
  PublicationChange change;
  for (const pgoutput::Decoder::Left& table : left) {
    // Of all tables there are, one that is dropped is none of them any more.
    if (told_.empty() && !table.is_there) continue;
    if (!has_table(told_, table.name)) continue;
    change.left.push_back(table.name);
    change.all_left = change.all_left || told_.empty();
  }
  if (change.left.empty()) return;
  changed_ = std::move(change);
  end();
}

void PgoutputSource::end() {
  throw daystream::ConnectionLost(
      fmt::format("publication \"{}\" tells other tables now", publication_),
      "it connects again, and says so in the stream");
}

}  // namespace deltastream
