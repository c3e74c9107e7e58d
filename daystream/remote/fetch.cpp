#include "remote/fetch.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <functional>
#include <optional>

#include "daystream/error.h"
#include "daystream/unique_fd.h"
#include "program/retries.h"
#include "program/sha256.h"
#include "remote/s3_client.h"
#include "src/place.h"
#include "src/waiting.h"
#include "write_all.h"

namespace daystream::remote {

namespace {

[[noreturn]] void fail(const char* action, const std::filesystem::path& path) {
  throw IoError(fmt::format("could not {} file \"{}\"", action, path.string()), errno);
}

// Two at once would write into each other's bytes: it is locked until it is closed.
UniqueFd open_part(const std::filesystem::path& part) {
  UniqueFd fd(open(part.c_str(), O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0640));
  if (!fd) fail("open", part);
  if (lock_inode(fd.get())) return fd;
  throw Error(fmt::format("file \"{}\" is being fetched by process {}", part.string(),
                          inode_lock_holder(fd.get())),
              "wait until it is done, or fetch to another place");
}

// False: told to stop.
bool receive(SnapshotPlace& place, const OfferedSnapshot& chosen, const UniqueFd& fd,
             const std::filesystem::path& part, const Stop& stop, std::uint64_t& resumed_at) {
  struct stat status {};
  if (fstat(fd.get(), &status) != 0) fail("open", part);
  auto size = static_cast<std::uint64_t>(status.st_size);
  if (size > chosen.size_bytes) {
    if (ftruncate(fd.get(), 0) != 0) fail("cut", part);
    size = 0;
  }
  resumed_at = size;
  const auto take = [&](const std::string& bytes) {
    if (size + bytes.size() > chosen.size_bytes) {
      throw ProtocolError(fmt::format("{}: more bytes than the snapshot has", chosen.where));
    }
    if (!write_all(fd.get(), bytes)) fail("write", part);
    size += bytes.size();
  };
  if (size < chosen.size_bytes && !place.receive(chosen, size, take, stop)) return false;
  if (fsync(fd.get()) != 0) fail("sync", part);
  return true;
}

void sync_folder_of(const std::filesystem::path& path) {
  const auto folder = path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
  const UniqueFd fd(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd || fsync(fd.get()) != 0) fail("sync the folder of", path);
}

}  // namespace

std::string newest_snapshot(const Options& options, const std::string& address, const Stop& stop) {
  return snapshot_place(options, address, stop)->newest().id;
}

namespace {

// What `choose` says is asked again at each try: a place has newer ones now and then.
bool fetch(SnapshotPlace& place, const std::function<OfferedSnapshot()>& choose,
           const std::filesystem::path& path, const Stop& stop, Fetched& fetched) {
  program::Retries retries;
  while (!stop.requested()) {
    try {
      const OfferedSnapshot chosen = choose();
      retries.let_in();
      const std::filesystem::path part = fmt::format("{}.{}.part", path.string(), chosen.id);
      const UniqueFd fd = open_part(part);
      if (!receive(place, chosen, fd, part, stop, fetched.resumed_at)) {
        return false;
      }
      const std::string id = program::sha256_of_file(part, stop);
      if (id.empty()) return false;
      if (id != chosen.id) {
        std::filesystem::remove(part);
        throw Error(fmt::format("{}: what came has another SHA-256: {}", chosen.where, id),
                    "it is removed: try again; if that does not help, the file there was "
                    "changed after its SHA-256 was taken");
      }
      // A link does not replace what somebody has put there meanwhile.
      if (link(part.c_str(), path.c_str()) != 0) fail("create", path);
      unlink(part.c_str());
      sync_folder_of(path);
      fetched.id = chosen.id;
      fetched.size_bytes = chosen.size_bytes;
      return true;
    } catch (const Stopped&) {
      return false;
    } catch (const Error& e) {
      if (!retries.may_pass(e)) throw;
      retries.failed(e);
      sleep(stop, retries.pause());
    }
  }
  return false;
}

}  // namespace

bool fetch_newest_snapshot(const Options& options, const std::string& address,
                           const std::filesystem::path& path, const Stop& stop, Fetched& fetched,
                           const std::string& known) {
  const auto place = snapshot_place(options, address, stop);
  const auto newest = [&] {
    OfferedSnapshot found = place->newest();
    if (found.id != known) return found;
    throw NoSnapshot(fmt::format("{}: there is no newer snapshot yet", address),
                     "put one there: \"deltamirror snapshot\"");
  };
  return fetch(*place, newest, path, stop, fetched);
}

bool fetch_snapshot(SnapshotPlace& place, const ListedSnapshot& listed,
                    const std::filesystem::path& path, const Stop& stop, Fetched& fetched) {
  return fetch(
      place, [&] { return place.offered(listed); }, path, stop, fetched);
}

}  // namespace daystream::remote
