#include "consumer_checkpoint.h"

#include <fmt/format.h>

#include "daystream/error.h"
#include "daystream/line.h"
#include "daystream/manifest.h"
#include "dir.h"
#include "lock.h"
#include "place.h"

namespace daystream::command {

namespace {

constexpr const char* kHint =
    "end the consumer before its checkpoint is moved or replaced, then start it with the one to go "
    "on from; what was not saved is handed over again";

std::filesystem::path folder_of(const std::filesystem::path& path) {
  return path.has_parent_path() ? path.parent_path() : ".";
}

}  // namespace

// The lock is of a file beside it, as the checkpoint itself is replaced; and beside what a symbolic
// link leads to, which would be replaced in place of the link.
ConsumerCheckpoint::ConsumerCheckpoint(const std::filesystem::path& path)
    : path_(real_name(path)),
      lock_(lock_file(path_.string() + ".lock",
                      {"checkpoint", path,
                       "a checkpoint has one consumer: end that one and its command first"})),
      lock_place_("lock file", path_.string() + ".lock", identity_of(lock_.get()), kHint) {}

void ConsumerCheckpoint::check_place() const {
  const auto now = std::chrono::steady_clock::now();
  if (now - looked_ < PlaceWatch::kBetweenLooks) return;
  looked_ = now;
  look_now();
}

void ConsumerCheckpoint::look_now() const {
  lock_place_.look_now();
  if (place_) place_->look_now();
}

std::optional<Acknowledged> ConsumerCheckpoint::load(const std::string& system_identifier) const {
  const auto file = real_dir(folder_of(path_))->open(path_.filename().string());
  if (!file) return std::nullopt;
  std::string text = read_whole(*file);
  if (text.ends_with('\n')) text.pop_back();
  std::optional<Position> position;
  std::optional<Lsn> lsn;
  std::string c;
  std::string system;
  try {
    std::string_view key;
    std::string_view value;
    for (FieldCursor fields(text); fields.next(key, value);) {
      if (key == "_c") c = value;
      if (key == "_s") position = Position::parse(c + "/" + std::string(value));
      if (key == "_lsn") lsn = Lsn::parse(value);
      if (key == "_system") system = value;
    }
  } catch (const ProtocolError&) {
    position.reset();
  }
  if (!position || !lsn) {
    throw NeedsPerson(fmt::format("file \"{}\" is not a checkpoint", path_.string()),
                      "name another file, or remove it to begin again");
  }
  require_same_source(fmt::format("checkpoint \"{}\"", path_.string()), {system, {}, {}},
                      "the daystream", {system_identifier, {}, {}},
                      "name the daystream it belongs to, or another checkpoint file",
                      daystream::Pipe::IsAnother);
  return Acknowledged{*position, *lsn};
}

void ConsumerCheckpoint::save(const Acknowledged& done,
                              const std::string& system_identifier) const {
  look_now();
  replace_file(*real_dir(folder_of(path_)), path_.filename().string(),
               fmt::format("_c\t{}\t_s\t{}\t_lsn\t{}\t_system\t{}\n", done.position.c,
                           done.position.s, done.lsn.text(), system_identifier));
  place_.emplace("checkpoint", path_, identity_of(path_).value_or(FileIdentity{}), kHint);
}

}  // namespace daystream::command
