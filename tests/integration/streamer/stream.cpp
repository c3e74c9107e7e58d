#include "stream.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <sstream>

#include "daystream/lsn.h"
#include "daystream/reader.h"

namespace deltastream_test {

using support::Process;
using support::Result;

bool streaming(const support::Process& process) {
  return support::eventually([&] { return contains(process.err(), "streaming from slot"); });
}

bool contains(const std::string& text, const std::string& needle) {
  return text.find(needle) != std::string::npos;
}

Stream::Stream(const support::Cluster& cluster, std::string slot)
    : cluster_(cluster), slot_(std::move(slot)) {}

std::vector<std::string> Stream::command(const std::vector<std::string>& more) const {
  std::vector<std::string> argv = {support::program("deltastream"), "-S", slot_, "-D",
                                   directory().string()};
  if (std::find(more.begin(), more.end(), "-d") == more.end()) {
    argv.insert(argv.end(), {"-d", cluster_.conninfo()});
  }
  argv.insert(argv.end(), more.begin(), more.end());
  return argv;
}

Process Stream::start(const std::vector<std::string>& more) const {
  return Process(command(more));
}

Result Stream::run(const std::vector<std::string>& more) const {
  return support::run(command(more));
}

Result Stream::run_to_end(const std::vector<std::string>& more) const {
  std::vector<std::string> all = {"-E", cluster_.scalar("SELECT pg_current_wal_flush_lsn()")};
  all.insert(all.end(), more.begin(), more.end());
  return run(all);
}

void Stream::create_slot() const {
  cluster_.execute("SELECT pg_create_logical_replication_slot('" + slot_ + "', 'deltaflood')");
}

std::string Stream::confirmed() const {
  return cluster_.scalar(
      "SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = '" + slot_ + "'");
}

bool Stream::caught_up() const {
  const std::string lsn = cluster_.scalar("SELECT pg_current_wal_flush_lsn()");
  return support::eventually([&] {
    return cluster_.scalar("SELECT count(*) FROM pg_replication_slots WHERE slot_name = '" + slot_ +
                           "' AND confirmed_flush_lsn >= '" + lsn + "'") == "1";
  });
}

std::string Stream::text() const {
  std::vector<std::filesystem::path> days;
  for (const auto& entry : std::filesystem::directory_iterator(directory())) {
    if (entry.path().extension() == ".tsv") days.push_back(entry.path());
  }
  std::sort(days.begin(), days.end());
  std::string all;
  for (const auto& day : days) all += support::read_file(day);
  return all;
}

std::uintmax_t Stream::size_bytes() const {
  std::uintmax_t size = 0;
  for (const auto& entry : std::filesystem::directory_iterator(directory())) {
    if (entry.path().extension() == ".tsv") size += entry.file_size();
  }
  return size;
}

std::vector<std::string> Stream::lines(const std::string& holding) const {
  std::vector<std::string> out;
  std::istringstream in(text());
  for (std::string line; std::getline(in, line);) {
    if (contains(line, holding)) out.push_back(line);
  }
  return out;
}

std::vector<std::string> Stream::commit_lsns() const {
  std::vector<std::string> out;
  for (const std::string& line : lines("\t_action\tcommit")) {
    const std::size_t at = line.find("\t_lsn\t") + 6;
    out.push_back(line.substr(at, line.find('\t', at) - at));
  }
  return out;
}

std::uint64_t lsn_value(const std::string& lsn) {
  return daystream::Lsn::parse(lsn).value().value;
}

void check_sound(const Stream& stream) {
  std::uint64_t last = 0;
  for (const std::string& lsn : stream.commit_lsns()) {
    CHECK(lsn_value(lsn) > last);
    last = lsn_value(lsn);
  }
  // The Reader checks positions and the CRC chain of all it delivers.
  daystream::Reader reader(stream.directory(), {});
  std::size_t commits = 0;
  while (daystream::Transaction* transaction = reader.next()) {
    if (transaction->kind() == daystream::Transaction::Kind::Transaction) ++commits;
  }
  CHECK(commits == stream.commit_lsns().size());
}

}  // namespace deltastream_test
