// The days of an archive in object storage as a directory that can be read.
#pragma once

#include <memory>

#include "remote/archive_index.h"
#include "remote/s3_client.h"
#include "src/read_only_dir.h"

namespace daystream::remote {

// It has daystream.json, the compressed days, and a `durable` that says where the last of them
// ends. It is as it was when it was first asked, until look_again(). Calls that change throw Error.
//
// A day costs nothing to open: what it ends in is in archive.json. A place in it then costs two
// requests, its index and a frame; a reader that goes on gets larger and larger pieces.
//
// Threads: any, as a Dir.
// Errors:  those of S3Client; NeedsPerson where there is no archive; Corruption where an object is
//          not there, or shorter than archive.json says; PositionGone where the day was deleted
//          from the archive.
class ArchiveDir final : public ReadOnlyDir {
 public:
  explicit ArchiveDir(const S3Address& address);
  ~ArchiveDir() override;

  std::unique_ptr<File> open(const std::string& name) override;
  std::vector<std::string> list() override;

  // Whether anything has changed since.
  bool look_again();

  class Shelf;

 private:
  Error refusal(const std::string& name) const override;

  std::shared_ptr<Shelf> shelf_;  // files that are open have it too
};

}  // namespace daystream::remote
