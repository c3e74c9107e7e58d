// A daystream of several days, and commands on it and its archive.
#pragma once

#include <string>
#include <vector>

#include "object_store.h"
#include "stream_fixture.h"
#include "support/process.h"

namespace archive_test {

using daystream::Lsn;
using daystream::Writer;
using daystream::test::transaction;
using daystream::test::WrittenStream;

inline support::Result daystream_command(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), support::program("daystream"));
  return support::run(arguments);
}

// A day has eleven transactions.
struct Source : WrittenStream {
  Source() : writer_(writer()) {
    writer_.mark(Lsn{0x1000}, {1, 1, {}});
    add_days(4);
  }
  void add_days(int count) {
    for (int i = 0; i < count * 11; ++i) {
      now += ++number_ % 11 == 0 ? 86400 : 1;
      writer_.append(transaction(number_, 1 + number_ % 5));
    }
    writer_.flush();
  }
  std::string path() const { return directory.path().string(); }

  Writer writer_;
  int number_ = 0;
};

inline support::Result archive(const Source& source, const ObjectStore& store,
                               const std::vector<std::string>& more = {}) {
  std::vector<std::string> arguments = {"archive", source.path(), store.address()};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return daystream_command(arguments);
}

}  // namespace archive_test
