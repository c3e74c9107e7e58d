// The one way to the disk: a directory and the files in it, so that tests can let the n-th call
// fail and forget what was never synced. Everything else in the library is above this line.
//
// Errors:  every function throws IoError naming the file; EINTR and short reads and writes are
//          dealt with here.
// Threads: a File may be used by several threads at once, a Dir too.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "daystream/unique_fd.h"

namespace daystream {

class File {
 public:
  virtual ~File() = default;

  const std::string& path() const noexcept { return path_; }  // for messages

  // Reads until `into` is full or the file ends; how much there was.
  virtual std::size_t read_at(std::span<char> into, std::uint64_t offset) const = 0;
  virtual void write_at(std::string_view bytes, std::uint64_t offset) = 0;
  virtual void truncate(std::uint64_t size) = 0;
  // Returns once the bytes and the size are on disk. A failure is final: the kernel may have
  // dropped the pages, so that a second call would succeed with the data gone.
  virtual void sync() = 0;
  virtual std::uint64_t size() const = 0;

 protected:
  explicit File(std::string path) : path_(std::move(path)) {}

 private:
  std::string path_;
};

class Dir {
 public:
  virtual ~Dir() = default;

  const std::filesystem::path& path() const noexcept { return path_; }
  std::string path_of(std::string_view name) const { return (path_ / name).string(); }

  // nullptr: there is no such file.
  virtual std::unique_ptr<File> open(const std::string& name) = 0;  // to read
  virtual std::unique_ptr<File> open_writable(const std::string& name) = 0;
  virtual std::unique_ptr<File> create(const std::string& name) = 0;        // must not exist
  virtual void rename(const std::string& from, const std::string& to) = 0;  // replaces
  virtual void remove(const std::string& name) = 0;                         // may be absent
  virtual std::vector<std::string> list() = 0;                              // sorted
  virtual void sync() = 0;  // the names in it are on disk

 protected:
  explicit Dir(std::filesystem::path path) : path_(std::move(path)) {}

 private:
  std::filesystem::path path_;
};

// The real one. Opens nothing before it is asked to.
std::unique_ptr<Dir> real_dir(const std::filesystem::path& path);

// A file without a name in $TMPDIR, or where temporary files go: it is gone with its last
// descriptor, however the process ends.
UniqueFd open_unnamed();
// The same in `folder`; empty where none can be made there, which errno explains.
UniqueFd open_unnamed_in(const std::filesystem::path& folder);
std::unique_ptr<File> unnamed_file();

// `path` from the root on, without a slash at its end: its filename() is the directory's name.
std::filesystem::path whole_path(const std::filesystem::path& path);

// Makes `path` and what is missing above it, each synced into its parent. True: it was not there.
bool make_directory(const std::filesystem::path& path);

struct Replacing {
  bool synced = true;          // it is there after a power loss
  bool for_everybody = false;  // to read, whatever the umask; the file is a real one
};
// Replaces `name`, or makes it. Whatever happens, one of the two is there whole: the new one is
// written, and synced, before it takes the place of the old one.
void replace_file(Dir& dir, const std::string& name, std::string_view text, Replacing how = {});

// The whole of a small file. Throws Corruption where it is larger than any such file.
constexpr std::uint64_t kMostOfWhole = 1 << 30;
std::string read_whole(const File& file);

}  // namespace daystream
