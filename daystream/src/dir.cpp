#include "dir.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "daystream/error.h"
#include "daystream/unique_fd.h"
#include "write_all.h"

namespace daystream {

namespace {

// What is in these files is all of someone's tables: the group may read, others not.
constexpr mode_t kFileMode = 0640;
constexpr mode_t kDirectoryMode = 0750;

[[noreturn]] void fail(const char* action, const std::string& path) {
  const int error = errno;
  throw IoError(fmt::format("could not {} \"{}\"", action, path), error);
}

class RealFile final : public File {
 public:
  RealFile(std::string path, UniqueFd fd) : File(std::move(path)), fd_(std::move(fd)) {}

  std::size_t read_at(std::span<char> into, std::uint64_t offset) const override {
    std::size_t done = 0;
    while (done < into.size()) {
      const ssize_t got = pread(fd_.get(), into.data() + done, into.size() - done,
                                static_cast<off_t>(offset + done));
      if (got == 0) break;
      if (got > 0) {
        done += static_cast<std::size_t>(got);
      } else if (errno != EINTR) {
        fail("read file", path());
      }
    }
    return done;
  }

  void write_at(std::string_view bytes, std::uint64_t offset) override {
    if (!write_all_at(fd_.get(), bytes, offset)) fail("write file", path());
  }

  void truncate(std::uint64_t size) override {
    while (ftruncate(fd_.get(), static_cast<off_t>(size)) != 0) {
      if (errno != EINTR) fail("cut file", path());
    }
  }

  void sync() override {
    if (fdatasync(fd_.get()) != 0) fail("sync file", path());
  }

  std::uint64_t size() const override {
    struct stat status {};
    if (fstat(fd_.get(), &status) != 0) fail("look at file", path());
    return static_cast<std::uint64_t>(status.st_size);
  }

 private:
  UniqueFd fd_;
};

UniqueFd open_directory(const std::filesystem::path& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) fail("open directory", path.string());
  return fd;
}

void sync_directory(const std::filesystem::path& path) {
  const UniqueFd fd = open_directory(path);
  if (fsync(fd.get()) != 0) fail("sync directory", path.string());
}

class RealDir final : public Dir {
 public:
  using Dir::Dir;
  explicit RealDir(std::filesystem::path path) : Dir(std::move(path)) {}

  std::unique_ptr<File> open(const std::string& name) override {
    return open_file(name, O_RDONLY | O_NONBLOCK, "open file");
  }
  std::unique_ptr<File> open_writable(const std::string& name) override {
    return open_file(name, O_RDWR | O_NOFOLLOW | O_NONBLOCK, "open file");
  }
  std::unique_ptr<File> create(const std::string& name) override {
    return open_file(name, O_RDWR | O_CREAT | O_EXCL, "create file");
  }
  void rename(const std::string& from, const std::string& to) override {
    const std::string new_path = path_of(to);
    if (::rename(path_of(from).c_str(), new_path.c_str()) != 0) fail("replace file", new_path);
  }
  void remove(const std::string& name) override {
    const std::string path = path_of(name);
    if (unlink(path.c_str()) != 0 && errno != ENOENT) fail("remove file", path);
  }
  std::vector<std::string> list() override {
    std::unique_ptr<DIR, int (*)(DIR*)> handle(opendir(Dir::path().c_str()), closedir);
    if (!handle) fail("open directory", Dir::path().string());
    std::vector<std::string> names;
    for (;;) {
      errno = 0;
      const dirent* entry = readdir(handle.get());
      if (entry == nullptr) break;
      names.emplace_back(entry->d_name);
    }
    if (errno != 0) fail("read directory", Dir::path().string());
    std::sort(names.begin(), names.end());
    return names;
  }
  void sync() override { sync_directory(Dir::path()); }

 private:
  std::unique_ptr<File> open_file(const std::string& name, int flags, const char* action) {
    const std::string path = path_of(name);
    UniqueFd fd;
    do {
      fd = UniqueFd(::open(path.c_str(), flags | O_CLOEXEC, kFileMode));
    } while (!fd && errno == EINTR);
    if (!fd && errno == ENOENT && (flags & O_CREAT) == 0) return nullptr;
    if (!fd) fail(action, path);
    // A pipe of that name would be waited for, forever, until somebody writes to it.
    struct stat status {};
    if (fstat(fd.get(), &status) != 0) fail(action, path);
    if (!S_ISREG(status.st_mode)) {
      throw NeedsPerson(fmt::format("could not {} \"{}\": it is no regular file", action, path),
                        "put the file itself there, not a link, a directory or a device");
    }
    return std::make_unique<RealFile>(path, std::move(fd));
  }
};

}  // namespace

std::unique_ptr<Dir> real_dir(const std::filesystem::path& path) {
  return std::make_unique<RealDir>(path);
}

UniqueFd open_unnamed_in(const std::filesystem::path& folder) {
  UniqueFd fd(::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (fd) return fd;
  // Not every file system knows files that never had a name.
  std::string name = folder / "daystream-XXXXXX";
  fd = UniqueFd(mkostemp(name.data(), O_CLOEXEC));
  if (fd) unlink(name.c_str());
  return fd;
}

UniqueFd open_unnamed() {
  const std::filesystem::path place = std::filesystem::temp_directory_path();
  UniqueFd fd = open_unnamed_in(place);
  if (!fd) {
    throw IoError(fmt::format("could not create a temporary file in \"{}\"", place.string()), errno,
                  "TMPDIR says where temporary files go");
  }
  return fd;
}

std::unique_ptr<File> unnamed_file() {
  return std::make_unique<RealFile>("a temporary file", open_unnamed());
}

std::filesystem::path whole_path(const std::filesystem::path& path) {
  std::filesystem::path absolute = std::filesystem::absolute(path).lexically_normal();
  return absolute.has_filename() ? absolute : absolute.parent_path();
}

bool make_directory(const std::filesystem::path& path) {
  if (std::filesystem::is_directory(path)) return false;
  const std::filesystem::path clean = whole_path(path);
  if (clean.has_parent_path() && clean.parent_path() != clean) make_directory(clean.parent_path());
  if (mkdir(clean.c_str(), kDirectoryMode) != 0) {
    if (errno == EEXIST && std::filesystem::is_directory(clean)) return false;
    fail("create directory", path.string());
  }
  sync_directory(clean.parent_path());
  return true;
}

void replace_file(Dir& dir, const std::string& name, std::string_view text, Replacing how) {
  const std::string fresh = name + ".new";
  // What lies there may be a link to elsewhere, put there by who may write here.
  dir.remove(fresh);
  {
    const auto file = dir.create(fresh);
    file->write_at(text, 0);
    if (how.synced) file->sync();
  }
  if (how.for_everybody && chmod(dir.path_of(fresh).c_str(), 0644) != 0) {
    fail("open to everybody file", dir.path_of(fresh));
  }
  dir.rename(fresh, name);
  if (how.synced) dir.sync();
}

std::string read_whole(const File& file) {
  const std::uint64_t size = file.size();
  if (size > kMostOfWhole) {
    throw Corruption(file.path(), 0,
                     fmt::format("it has {} bytes, far more than such a file ever has", size));
  }
  std::string text(size, '\0');
  text.resize(file.read_at(text, 0));
  return text;
}

}  // namespace daystream
