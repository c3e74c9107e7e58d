#include "claim.h"

extern "C" {
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "replication/slot.h"
#include "storage/fd.h"
}

namespace deltaflood {

namespace {

// ID LSN NAME, and a newline. The LSN is up to where the slot was confirmed when it was claimed.
constexpr int kMostBytes = 2048;

// The server removes a slot's folder with the slot, and in it by itself only what begins with
// "xid".
void path_of(char* path, const char* name) {
  snprintf(path, MAXPGPATH, "pg_replslot/%s/%s", NameStr(MyReplicationSlot->data.name), name);
}

[[noreturn]] void fail(const char* action, const char* path) {
  const int reason = errno;
  ereport(ERROR, (errcode_for_file_access(),
                  errmsg("could not %s file \"%s\": %s", action, path, strerror(reason))));
  pg_unreachable();
}

// How many bytes; 0: there is no claim. `text` has room for kMostBytes and a NUL.
int read_claim(char* text) {
  char path[MAXPGPATH];
  path_of(path, "deltaflood");
  const int fd = OpenTransientFile(path, O_RDONLY | PG_BINARY);
  if (fd < 0) {
    if (errno == ENOENT) return 0;
    fail("open", path);
  }
  const ssize_t size = read(fd, text, kMostBytes);
  if (size < 0) {
    fail("read", path);
  }
  (void)CloseTransientFile(fd);
  text[size] = '\0';
  return static_cast<int>(size);
}

void write_claim(const char* text) {
  char path[MAXPGPATH];
  char unready[MAXPGPATH];
  path_of(path, "deltaflood");
  path_of(unready, "deltaflood.new");
  const int fd = OpenTransientFile(unready, O_WRONLY | O_CREAT | O_TRUNC | PG_BINARY);
  if (fd < 0) {
    fail("make", unready);
  }
  const size_t size = strlen(text);
  errno = ENOSPC;  // where less was written, and it does not say why
  if (write(fd, text, size) != static_cast<ssize_t>(size) || pg_fsync(fd) != 0 ||
      CloseTransientFile(fd) != 0) {
    fail("write", unready);
  }
  (void)durable_rename(unready, path, ERROR);
}

XLogRecPtr confirmed() {
  SpinLockAcquire(&MyReplicationSlot->mutex);
  const XLogRecPtr lsn = MyReplicationSlot->data.confirmed_flush;
  SpinLockRelease(&MyReplicationSlot->mutex);
  return lsn;
}

bool is_of(const char* text, std::string_view id) {
  return strncmp(text, id.data(), id.size()) == 0 && text[id.size()] == ' ';
}

// Whether nothing was confirmed since `text` was written.
bool is_unread(const char* text, XLogRecPtr now) {
  const char* const space = strchr(text, ' ');
  uint32 high = 0;
  uint32 low = 0;
  if (space == nullptr || sscanf(space, " %X/%X", &high, &low) != 2) return false;
  return ((static_cast<uint64>(high) << 32) | low) == now;
}

[[noreturn]] void refuse(char* text, const Claim& claim) {
  text[strcspn(text, "\n")] = '\0';
  const char* name = strchr(text, ' ');
  name = name == nullptr ? nullptr : strchr(name + 1, ' ');
  name = name == nullptr ? "?" : name + 1;
  const bool replaced = !claim.name.empty() && strcmp(name, claim.name.data()) == 0;
  ereport(ERROR,
          (errcode(ERRCODE_OTHER_DAYSTREAM),
           errmsg("the slot belongs to another daystream, which has read from it"),
           replaced ? errdetail("That one was %s, where a new one is now: the directory was "
                                "replaced (its daystream had the id %.*s, and has %s now).",
                                name, static_cast<int>(strcspn(text, " ")), text, claim.id.data())
                    : errdetail("It is that of %s, and not of %s.", name,
                                claim.name.empty() ? "this one" : claim.name.data())));
  pg_unreachable();
}

}  // namespace

// Who has no id (pg_recvlogical, the SQL functions) is refused nothing, but noted: what it confirms
// is gone for others too.
void claim_slot(const Claim& given) {
  if (MyReplicationSlot == nullptr || MyReplicationSlot->data.persistency == RS_TEMPORARY) return;
  const bool has_id = !given.id.empty();
  const Claim claim = has_id ? given : Claim{"-", "a reader that is no daystream", false};
  char text[kMostBytes + 1];
  const bool claimed = read_claim(text) > 0;
  if (claimed && (!has_id || is_of(text, claim.id))) return;
  const XLogRecPtr now = confirmed();
  if (claimed && !claim.adopt && !is_unread(text, now)) refuse(text, claim);
  if (given.only_look) return;
  snprintf(text, sizeof text, "%s %X/%X %.1000s\n", claim.id.data(), static_cast<uint32>(now >> 32),
           static_cast<uint32>(now), claim.name.data());
  write_claim(text);
}

}  // namespace deltaflood
