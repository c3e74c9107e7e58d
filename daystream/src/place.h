// What a path names, whatever it is called: a file or directory is known by its device and inode.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>

namespace daystream {

struct FileIdentity {
  dev_t device = 0;
  ino_t inode = 0;
  bool operator==(const FileIdentity&) const = default;
};

// nullopt: nothing has that name. Throws IoError where that cannot be found out.
std::optional<FileIdentity> identity_of(const std::filesystem::path& path);
// Throws IoError.
FileIdentity identity_of(int fd);

// The path of what a symbolic link leads to in the end, as files beside it are named after it;
// `path` itself where it is no link.
std::filesystem::path real_name(const std::filesystem::path& path);

// A lock on a file as such, by whatever name it was opened: one process has it, until it has closed
// its last duplicate of `fd`. SQLite's locks are elsewhere in the file, and neither meets the
// other. False: somebody has it. Throws IoError.
bool lock_inode(int fd);
// The process that has it; 0: none. `fd` may be open to read only.
int inode_lock_holder(int fd);
// What that process calls the file; empty where we may not know.
std::string name_used_by(int pid, const FileIdentity& file);

// Looks whether a path still names what it did: a file that is deleted, moved or replaced under its
// owner would be written to forever, with nobody to see it.
//
// It asks the path, and not the file: inotify hears of a moved file, but not of a folder above it
// that was moved, and has limits that others use up. One stat a second costs nothing.
class PlaceWatch {
 public:
  // `what`: mirror, daystream, checkpoint. `hint`: what to do.
  PlaceWatch(std::string what, std::filesystem::path path, FileIdentity was, std::string hint);

  // Throws NeedsPerson where the path names something else, or nothing: `mirror "x.db" was
  // replaced while it was in use`. A path that cannot be looked at now counts as unchanged. Asked
  // more often than kBetweenLooks, it does not look.
  void look();
  void look_now() const;  // whenever it was asked last
  // The same as words, for a caller that goes on otherwise; empty: it is as it was.
  std::string problem() const;

  static constexpr std::chrono::milliseconds kBetweenLooks{1000};

 private:
  std::string what_;
  std::filesystem::path path_;
  FileIdentity was_;
  std::string hint_;
  std::chrono::steady_clock::time_point looked_{};
};

// Watches a daystream's directory for its writer.
PlaceWatch watch_directory(const std::filesystem::path& directory);

}  // namespace daystream
