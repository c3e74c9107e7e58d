// `daystream pull` of a stream that has files, and no server that sends its lines.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>

#include "daystream/stream.h"
#include "reader_source.h"
#include "remote/relay.h"

namespace daystream::remote {

class FilesRelay final : public Relay {
 public:
  FilesRelay(Stream stream, std::filesystem::path directory, bool once);
  ~FilesRelay() override;

 private:
  std::string manifest_text() override;
  void begin() override;
  bool receive(const Stop& stop) override;
  bool at_tail() const override { return at_tail_; }
  void begin_day();
  bool pull_some();

  const Stream stream_;
  std::unique_ptr<ReaderSource> source_;
  std::unique_ptr<File> file_;  // that is pulled, and up to where
  std::int64_t day_ = 0;
  std::uint64_t at_ = 0;
  bool at_tail_ = false;
};

}  // namespace daystream::remote
