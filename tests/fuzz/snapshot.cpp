// A mirror's file that somebody else has made: all of it may be anything.
#include <fcntl.h>
#include <unistd.h>

#include "daystream/error.h"
#include "snapshot/rotation.h"
#include "store/checkpoint.h"
#include "store/mirror_file.h"
#include "store/mirrored_table.h"
#include "support/scratch_dir.h"
#include "target.h"

using namespace deltamirror;

namespace {

const std::string& file_with(std::string_view bytes) {
  static const support::ScratchDir folder;
  static const std::string file = (folder.path() / "m.db").string();
  for (const char* const end : {"", "-wal", "-shm"}) unlink(beside(file, end).c_str());
  const int fd = open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  fuzz::require(fd >= 0 &&
                    write(fd, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()) &&
                    close(fd) == 0,
                "there is room for a small file");
  return file;
}

}  // namespace

FUZZ_TARGET(snapshot) {
  parse_retention(input);
  parse_snapshot_name(input);
  const std::string& file = file_with(input);
  try {
    const Database db = open_for_reading(file);
    load_checkpoints(db);
    for (const MirroredTable& table : load_tables(db)) table.key();
  } catch (const daystream::Error&) {
  } catch (const std::invalid_argument&) {
  }
}
