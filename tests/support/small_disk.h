// A small file system of its own, in a mount namespace of this process so that nothing outlives it.
// It takes root.
#pragma once

#include <fmt/format.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <cstdint>
#include <filesystem>
#include <string>

namespace support {

class SmallDisk {
 public:
  explicit SmallDisk(const std::filesystem::path& at, const std::string& size = "4m") : at_(at) {
    std::filesystem::create_directories(at);
    // Of the same owner as the folder that it hides.
    struct stat owner {};
    const std::string data =
        ::stat(at.c_str(), &owner) == 0
            ? fmt::format("size={},uid={},gid={},mode=700", size, owner.st_uid, owner.st_gid)
            : "";
    mounted_ = ::unshare(CLONE_NEWNS) == 0 &&
               ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
               ::mount("tmpfs", at.c_str(), "tmpfs", 0, data.c_str()) == 0;
  }
  ~SmallDisk() {
    if (mounted_) ::umount2(at_.c_str(), MNT_DETACH);
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;

  bool mounted() const noexcept { return mounted_; }
  bool resize(const std::string& size) const {
    return ::mount("tmpfs", at_.c_str(), "tmpfs", MS_REMOUNT, ("size=" + size).c_str()) == 0;
  }
  // As large as what is on it and so much more.
  bool leave_free(std::uint64_t bytes) const {
    const std::filesystem::space_info space = std::filesystem::space(at_);
    return resize(std::to_string(space.capacity - space.free + bytes));
  }

 private:
  std::filesystem::path at_;
  bool mounted_ = false;
};

}  // namespace support
