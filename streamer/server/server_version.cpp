#include "server/server_version.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <vector>

namespace deltastream {

namespace {

struct Fault {
  int mended_in;  // minor release of 15
  const char* what;
};
// From https://www.postgresql.org/docs/15/release.html. The list has bugs that may lose or change
// what is streamed, or let a slot get stuck or lost; not those that cost time only, or can crash
// only a debug build.
constexpr Fault kFaults[] = {
    {6, "rows may be decoded with the wrong catalog after a savepoint that changed it"},
    {8, "a new slot may begin inside a transaction"},
    {10, "a slot may go back to WAL that was removed"},
    {13, "rows may be decoded with the shape from before an ALTER of another session"},
    {14, "decoding may wait forever after a crash, and WAL that is needed be removed"},
    {16, "a new slot may be invalidated at once"},
    {18, "a shutdown may wait for the stream forever"},
    {20,
     "rows may be decoded with what a rolled back savepoint did to the catalog, and a new slot "
     "may miss a transaction that was just committing"},
};
constexpr int kLast = 20;

}  // namespace

std::string known_faults(int version) {
  if (version / 10000 != 15) return {};
  std::vector<const char*> faults;
  for (const Fault& fault : kFaults) {
    if (version % 10000 < fault.mended_in) faults.push_back(fault.what);
  }
  if (faults.empty()) return {};
  return fmt::format("PostgreSQL 15.{} has faults that 15.{} has not: {}", version % 10000, kLast,
                     fmt::join(faults, "; "));
}

}  // namespace deltastream
