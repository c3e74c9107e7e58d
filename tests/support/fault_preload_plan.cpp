#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <system_error>

#include "support/fault_preload.h"
#include "support/fault_shared.h"

namespace support {

struct FaultPreload::Shared : FaultShared {};

FaultPreload::FaultPreload(const Plan& plan) : plan_(plan) {
  const std::string path = dir_ / "counts";
  const Fd fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666));
  if (!fd || fchmod(fd.get(), 0666) != 0 || ftruncate(fd.get(), sizeof(Shared)) != 0) {
    throw std::system_error(errno, std::generic_category(), "could not create " + path);
  }
  void* page = mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  if (page == MAP_FAILED) throw std::system_error(errno, std::generic_category(), "mmap " + path);
  shared_ = static_cast<Shared*>(page);
  if (!plan.keep_synced.empty()) std::filesystem::create_directory(dir_ / "kept");
  if (plan.at != 0) {
    arm({.in = plan.at,
         .sticky = plan.sticky,
         .short_write = plan.short_write,
         .error = plan.error});
  }
}

FaultPreload::~FaultPreload() {
  munmap(shared_, sizeof(Shared));
}

std::vector<std::pair<std::string, std::string>> FaultPreload::env() const {
  std::string calls;
  for (const std::string& call : plan_.calls) calls += call + ",";
  std::string except;
  for (const std::string& part : plan_.except) except += part + ",";
  std::vector<std::pair<std::string, std::string>> out = {
      {"LD_PRELOAD", SUPPORT_FAULT_PRELOAD},
      // Were the build sanitized, its runtime would insist on being loaded first.
      {"ASAN_OPTIONS", "verify_asan_link_order=0"},
      {"FAULT_COUNTS", dir_ / "counts"},
      {"FAULT_CALLS", calls},
      {"FAULT_PATH", plan_.path_prefix},
      {"FAULT_EXCEPT", except},
  };
  if (!plan_.open_for_write_only) out.emplace_back("FAULT_ALL_OPENS", "1");
  if (plan_.sync_delay.count() > 0) {
    out.emplace_back("FAULT_SYNC_DELAY_MS", std::to_string(plan_.sync_delay.count()));
  }
  if (!plan_.keep_synced.empty()) {
    out.emplace_back("FAULT_KEEP", plan_.keep_synced);
    out.emplace_back("FAULT_KEEP_IN", dir_ / "kept");
  }
  if (plan_.log_syncs) out.emplace_back("FAULT_SYNC_LOG", dir_ / "syncs");
  return out;
}

std::uint64_t FaultPreload::matched() const {
  return shared_->matched.load();
}
std::uint64_t FaultPreload::struck() const {
  return shared_->struck.load();
}
void FaultPreload::arm(const Strike& strike) {
  shared_->at.store(0);  // what is said next belongs to the new one
  shared_->error.store(static_cast<std::uint64_t>(strike.error));
  shared_->sticky.store(strike.sticky ? 1 : 0);
  shared_->short_write.store(strike.short_write ? 1 : 0);
  shared_->at.store(shared_->matched.load() + strike.in);
}
void FaultPreload::heal() {
  shared_->at.store(0);
}

void FaultPreload::read_log() const {
  std::ifstream in(dir_ / "syncs");
  in.seekg(static_cast<std::streamoff>(log_offset_));
  for (std::string line; std::getline(in, line) && !in.eof();) {
    const std::size_t tab = line.find('\t');
    if (tab == std::string::npos) throw std::runtime_error("sync log: cannot read " + line);
    log_.push_back({line.substr(tab + 1), std::stoull(line.substr(0, tab))});
    log_offset_ += line.size() + 1;
  }
}

std::vector<FaultPreload::Sync> FaultPreload::sync_log() const {
  const std::lock_guard lock(log_mutex_);
  read_log();
  return log_;
}

std::filesystem::path FaultPreload::synced_copy(const std::filesystem::path& file) const {
  return dir_ / "kept" / file.filename();
}

std::size_t FaultPreload::sync_count() const {
  const std::lock_guard lock(log_mutex_);
  read_log();
  return log_.size();
}

}  // namespace support
