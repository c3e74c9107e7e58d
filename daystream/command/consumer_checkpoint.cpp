#include "consumer_checkpoint.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>

#include <cerrno>

#include "daystream/error.h"
#include "daystream/line.h"
#include "dir.h"

namespace daystream::command {

namespace {

std::filesystem::path folder_of(const std::filesystem::path& path) {
  return path.has_parent_path() ? path.parent_path() : ".";
}

}  // namespace

ConsumerCheckpoint::ConsumerCheckpoint(std::filesystem::path path) : path_(std::move(path)) {
  // Not the file itself: that one is replaced.
  const std::string name = path_.string() + ".lock";
  lock_ = UniqueFd(open(name.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0640));
  if (!lock_) throw IoError(fmt::format("could not open lock file \"{}\"", name), errno);
  while (flock(lock_.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EINTR) continue;
    if (errno != EWOULDBLOCK) throw IoError(fmt::format("could not lock file \"{}\"", name), errno);
    throw Error(fmt::format("checkpoint \"{}\" is in use by another consumer", path_.string()),
                "a checkpoint has one consumer: end that one and its command first");
  }
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
                      "name another file, or remove it to begin anew");
  }
  if (system != system_identifier) {
    throw WrongSource(fmt::format("checkpoint \"{}\" is of system \"{}\", the daystream of \"{}\"",
                                  path_.string(), system, system_identifier),
                      "name the daystream it belongs to, or another checkpoint file");
  }
  return Acknowledged{*position, *lsn};
}

void ConsumerCheckpoint::save(const Acknowledged& done,
                              const std::string& system_identifier) const {
  const auto dir = real_dir(folder_of(path_));
  const std::string name = path_.filename().string();
  const std::string temporary = name + ".new";
  dir->remove(temporary);
  const auto file = dir->create(temporary);
  file->write_at(fmt::format("_c\t{}\t_s\t{}\t_lsn\t{}\t_system\t{}\n", done.position.c,
                             done.position.s, done.lsn.text(), system_identifier),
                 0);
  file->sync();
  dir->rename(temporary, name);
  dir->sync();
}

}  // namespace daystream::command
