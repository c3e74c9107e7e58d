// Consumer groups, with real workers that are killed, stopped and poisoned.
#include <signal.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <deque>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>

#include "command/group_look.h"
#include "command/part_runner.h"
#include "sharing/file_store.h"
#include "sharing/share.h"
#include "stream_fixture.h"
#include "support/process.h"

using namespace daystream;
using namespace daystream::test;
using support::Process;

namespace {

constexpr const char* kExample = SOURCE_ROOT "/daystream/examples/group_worker.py";
// Debian's own: what stands before it in a PATH can take a second to start.
constexpr const char* kPython = "/usr/bin/python3";
// Seconds. A command that only starts must not be taken for one that hangs, on a busy machine
// either.
constexpr const char* kShortLease = "6";
constexpr int kKeys = 37;

// Two rows of different keys, which are columns `a`.
std::string keyed(int number, const std::string& key) {
  std::string lines;
  for (const std::string& one : {key, key + "x"}) {
    lines +=
        fmt::format("_table\tfox\t_xid\t{}\t_action\tinsert\ta\t{}\tb\t{}\n", number, one, number);
  }
  return lines +
         fmt::format("_xid\t{0}\t_lsn\t0/{1:X}\t_next\t{2}\t_time\t{3}.000000\t_action\tcommit",
                     number, lsn_of(number).value, number + 1, kNoon);
}

struct Herd : WrittenStream {
  Writer writer = WrittenStream::writer();
  int written = 1;

  Herd() {
    writer.mark(Lsn{0x1000}, {1, 1, {}});
    writer.append(
        "_table\tfox\t_xid\t1\t_oid\t7001\t_identity\td\t_pkey\t1\t_ikey\t1\t_action\tschema\t"
        "a\t1 text not null\tb\t2 integer\n" +
        commit(1));
    writer.flush();
  }
  void write(int transactions) {
    for (int i = 0; i < transactions; ++i) {
      ++written;
      if (written % 50 == 0) ++now;
      writer.append(keyed(written, fmt::format("k{}", written % kKeys)));
    }
    writer.flush();
  }
  std::string path(const std::string& name) { return directory.path() / name; }
  std::vector<std::string> consume(const std::vector<std::string>& options,
                                   const std::vector<std::string>& command) {
    std::vector<std::string> all = {DAYSTREAM_PROGRAM, "consume", directory.path(), "--group", "g"};
    all.insert(all.end(), options.begin(), options.end());
    all.push_back("--");
    all.insert(all.end(), command.begin(), command.end());
    return all;
  }
  std::vector<std::string> once_each() { return {kPython, kExample, path("done.db")}; }
  support::Result group(std::vector<std::string> what) {
    std::vector<std::string> all = {DAYSTREAM_PROGRAM, "group", directory.path()};
    all.insert(all.end(), what.begin(), what.end());
    return support::run(all);
  }
  nlohmann::json status() {
    const auto shown = group({"status", "g", "--json"});
    INFO(shown.err);
    REQUIRE(shown.ok());
    return nlohmann::json::parse(shown.out);
  }
  bool is_made() { return !group({"list"}).out.empty(); }
  bool all_done() {
    const nlohmann::json parts = status()["parts"];
    return std::all_of(parts.begin(), parts.end(), [](const nlohmann::json& part) {
      return part["oldest_unacknowledged"].is_null();
    });
  }
  // What is wrong with what the example has done; empty: each row once, those of a key in order.
  std::string wrong() {
    const auto shown = support::run({kPython, "-c",
                                     "import sqlite3, sys\n"
                                     "for (line,) in sqlite3.connect(sys.argv[1]).execute("
                                     "'select line from done order by n'): print(line)",
                                     path("done.db")});
    if (!shown.ok()) return shown.err;
    std::map<std::string, int> last;
    int rows = 0;
    std::istringstream lines(shown.out);
    for (std::string line; std::getline(lines, line);) {
      const auto at = line.find("\tinsert\ta\t");
      if (at == std::string::npos) continue;  // the schema, which all parts have
      const std::string key = line.substr(at + 10, line.find('\t', at + 10) - at - 10);
      const int number = std::stoi(line.substr(line.rfind('\t') + 1));
      if (number == last[key]) return fmt::format("{} of key {} was done twice", number, key);
      if (number < last[key]) return fmt::format("{} of key {} came late", number, key);
      last[key] = number;
      ++rows;
    }
    if (rows != 2 * (written - 1)) return fmt::format("{} rows of {}", rows, 2 * (written - 1));
    return "";
  }
};

}  // namespace

TEST_CASE("group: parts share out all rows, and each key is in one of them, in order", "[group]") {
  Herd herd;
  herd.write(200);
  std::deque<Process> workers;
  for (int i = 0; i < 3; ++i) {
    workers.emplace_back(
        herd.consume({"--into", "5", "--once", "--lease", "60"}, herd.once_each()));
  }
  for (Process& worker : workers) {
    const bool ok = worker.wait() == support::Exit{0, 0};
    CHECK(ok);
    if (!ok) UNSCOPED_INFO(worker.err());
  }
  CHECK(herd.wrong() == "");
  CHECK(herd.all_done());
  CHECK(herd.status()["workers"].empty());
}

TEST_CASE("group: rows of one key meet in one part, wherever its reading begins", "[group]") {
  Herd herd;
  const auto change = [&](const std::string& rows) {
    ++herd.written;
    std::string lines;
    std::istringstream given(rows);
    for (std::string line; std::getline(given, line);) {
      lines += fmt::format("_table\tfox\t_xid\t{}\t_action\t{}\n", herd.written, line);
    }
    const std::string end = keyed(herd.written, "");
    herd.writer.append(lines + end.substr(end.rfind('\n') + 1));
    herd.writer.flush();
  };
  // Each worker ends after each change, so that every row is read by one that has to look back for
  // the table's key.
  const auto parts_of = [&](const std::string& rows) {
    change(rows);
    const auto ran =
        support::run(herd.consume({"--into", "16", "--once", "--batch"},
                                  {"sh", "-c", "cat > " + herd.path("part") + "$DAYSTREAM_PART"}));
    INFO(ran.err);
    CHECK(ran.ok());
    std::map<int, std::string> parts;
    for (int part = 0; part < 16; ++part) {
      const std::string file = herd.path("part") + std::to_string(part);
      if (std::filesystem::exists(file)) parts[part] = slurp(file);
      std::filesystem::remove(file);
    }
    return parts;
  };
  parts_of("insert\ta\tfirst\tb\t1");  // and the schema, which all parts have
  const auto inserted = parts_of("insert\ta\told\tb\t1");
  REQUIRE(inserted.size() == 1);
  const auto other = parts_of("insert\ta\tnew\tb\t1");
  REQUIRE(other.size() == 1);
  REQUIRE(inserted.begin()->first != other.begin()->first);
  CHECK(parts_of("update\ta\told\tb\t2").begin()->first == inserted.begin()->first);
  const auto moved = parts_of("replace\ta\told\nupdate\ta\tnew\tb\t3");
  CHECK(moved.size() == 2);
  for (const auto& [part, lines] : moved) {
    CHECK((part == inserted.begin()->first || part == other.begin()->first));
    CHECK(lines.find("\treplace\ta\told\n") != std::string::npos);
    CHECK(lines.find("\tupdate\ta\tnew\tb\t3\n") != std::string::npos);
  }
  CHECK(parts_of("delete\ta\tnew").begin()->first == other.begin()->first);
  CHECK(parts_of("truncate").size() == 16);
}

TEST_CASE("group: by table, all rows of a table are in one part", "[group]") {
  Herd herd;
  herd.write(20);
  CHECK(support::run(herd.consume({"--by", "table", "--into", "4", "--once"}, herd.once_each()))
            .ok());
  CHECK(herd.wrong() == "");
  const auto parts = support::run({kPython, "-c",
                                   "import sqlite3, sys\n"
                                   "print(sqlite3.connect(sys.argv[1]).execute("
                                   "'select count(distinct part) from done').fetchone()[0])",
                                   herd.path("done.db")});
  CHECK(parts.out == "1\n");
}

TEST_CASE("group: whoever is killed and stopped, each transaction is done once and in order",
          "[group]") {
  const char* const given = std::getenv("DELTAFLOOD_FAULT_SEED");
  const unsigned seed =
      given != nullptr ? static_cast<unsigned>(std::atoi(given)) : std::random_device{}();
  UNSCOPED_INFO("DELTAFLOOD_FAULT_SEED=" << seed);
  std::mt19937 random(seed);
  const char* const rounds_given = std::getenv("DELTAFLOOD_FAULT_ROUNDS");
  const int rounds = rounds_given != nullptr ? std::atoi(rounds_given) : 25;
  Herd herd;
  const auto argv =
      herd.consume({"--into", "8", "--lease", kShortLease, "--window", "20"}, herd.once_each());
  std::vector<std::unique_ptr<Process>> workers(8);
  Process::Options alone;
  alone.own_group = true;
  for (auto& worker : workers) worker = std::make_unique<Process>(argv, alone);
  for (int round = 0; round < rounds; ++round) {
    herd.write(static_cast<int>(random() % 80));
    auto& worker = workers[random() % workers.size()];
    switch (random() % 5) {
      case 0:
        worker->signal(SIGKILL);
        worker = std::make_unique<Process>(argv, alone);
        break;
      case 1:
        worker->signal(SIGSTOP);  // its commands go on
        break;
      case 2:
        worker->signal_group(SIGSTOP);
        break;
      case 3:
        worker->signal_group(SIGCONT);
        break;
      default:
        support::eventually(std::chrono::milliseconds(random() % 1500), [] { return false; });
    }
  }
  for (auto& worker : workers) worker->signal_group(SIGCONT);
  REQUIRE(support::eventually([&] { return herd.is_made(); }));
  CHECK(support::eventually([&] { return herd.all_done(); }));
  CHECK(herd.wrong() == "");
  for (auto& worker : workers) worker->signal(SIGTERM);
  for (auto& worker : workers) CHECK(worker->wait() == support::Exit{0, 0});
}

TEST_CASE("group: a worker frozen past its lease does not commit", "[group]") {
  Herd herd;
  // The example, but that it waits for a file before it looks at a commit line, and says meanwhile
  // that it is at work.
  const std::string gated = fmt::format(R"py(
import os, sys, time
def gate(lines):
    for line in lines:
        if '\tcommit' in line and 'k' in seen:
            open('{0}reached', 'w').close()
            while not os.path.exists('{0}go'):
                print('working', flush=True)
                time.sleep(0.1)
        seen.append('k' if '\tinsert' in line else '')
        yield line
seen = []
source = open('{1}').read().replace('in sys.stdin:', 'in gate(sys.stdin):')
try:
    exec(source, {{'gate': gate, '__name__': 'worker'}})
except SystemExit as end:
    open('{0}outcome.new', 'w').write(str(end))
    os.rename('{0}outcome.new', '{0}outcome')
)py",
                                        herd.directory.path().string() + "/", kExample);
  Process frozen(herd.consume({"--into", "1", "--lease", kShortLease},
                              {kPython, "-c", gated, herd.path("done.db")}));
  REQUIRE(support::eventually([&] { return herd.is_made(); }));
  REQUIRE(support::eventually([&] { return herd.status()["parts"][0]["epoch"] == 1; }));
  herd.write(1);
  REQUIRE(support::eventually([&] { return std::filesystem::exists(herd.path("reached")); }));
  frozen.signal(SIGSTOP);
  Process other(herd.consume({"--lease", kShortLease}, herd.once_each()));
  CHECK(support::eventually([&] { return herd.wrong() == ""; }));
  CHECK(support::eventually([&] { return herd.all_done(); }));
  spill(herd.path("go"), "");
  REQUIRE(support::eventually([&] { return std::filesystem::exists(herd.path("outcome")); }));
  CHECK(slurp(herd.path("outcome")) == "part 0: lost to epoch 2");
  CHECK(herd.wrong() == "");
  frozen.signal(SIGCONT);
  CHECK(support::eventually(
      [&] { return frozen.err().find("lost part 0 (epoch 1)") != std::string::npos; }));
  for (Process* worker : {&frozen, &other}) {
    worker->signal(SIGTERM);
    CHECK(worker->wait() == support::Exit{0, 0});
  }
}

TEST_CASE("group: a command that hangs is ended, and its transaction handed over again",
          "[group]") {
  Herd herd;
  herd.write(3);
  // Only the first one hangs.
  const std::string command = "if mkdir " + herd.path("hung") +
                              " 2>/dev/null; then exec sleep 1000; fi; exec " +
                              std::string(kPython) + " " + kExample + " " + herd.path("done.db");
  const auto done = support::run(
      herd.consume({"--into", "1", "--lease", kShortLease, "--once"}, {"sh", "-c", command}));
  INFO(done.err);
  CHECK(done.ok());
  CHECK(done.err.find("ended by signal 9") != std::string::npos);
  CHECK(herd.wrong() == "");
  CHECK(herd.status()["parts"][0]["redeliveries"] == 1);
}

TEST_CASE("group: poison becomes a dead letter, and is done once it can be", "[group]") {
  Herd herd;
  herd.write(3);
  ++herd.written;
  herd.writer.append(keyed(herd.written, "poison"));
  herd.write(3);
  const std::string command = fmt::format(
      "while IFS= read -r line; do case \"$line\" in *poison*) test -e {0} || exit 7; esac; "
      "printf '%s\\n' \"$line\"; done | {3} {1} {2}",
      herd.path("mended"), kExample, herd.path("done.db"), kPython);
  // The shell's own exit code is the example's: it acknowledges all before the poison.
  const std::vector<std::string> argv =
      herd.consume({"--into", "1", "--lease", "60", "--max-deliver", "2"}, {"sh", "-c", command});
  Process worker(argv);
  REQUIRE(support::eventually([&] { return herd.is_made(); }));
  CHECK(support::eventually([&] { return herd.status()["parts"][0]["dead_letters"] == 1; }));
  CHECK(support::eventually([&] { return herd.all_done(); }));
  const auto letters = nlohmann::json::parse(herd.group({"dead", "g", "--json"}).out);
  REQUIRE(letters.size() == 1);
  CHECK(letters[0]["failures"] == 2);
  CHECK(slurp(letters[0]["file"]).find("poison") != std::string::npos);
  CHECK(herd.wrong() == fmt::format("{} rows of {}", 2 * 6, 2 * 7));
  spill(herd.path("mended"), "");
  CHECK(herd.group({"retry", "g", letters[0]["letter"]}).ok());
  CHECK(support::eventually([&] { return herd.wrong() == ""; }));
  CHECK(support::eventually([&] { return herd.group({"dead", "g"}).out.empty(); }));
  worker.signal(SIGTERM);
  CHECK(worker.wait() == support::Exit{0, 0});
}

TEST_CASE("group: a batch counts when its command exits with 0", "[group]") {
  Herd herd;
  herd.write(30);
  // Only the first one fails.
  const std::string command = "if mkdir " + herd.path("failed") +
                              " 2>/dev/null; then exit 5; fi; cat >> " + herd.path("lines");
  const auto done = support::run(
      herd.consume({"--into", "1", "--batch", "--window", "10", "--once"}, {"sh", "-c", command}));
  INFO(done.err);
  CHECK(done.ok());
  CHECK(done.err.find("ended with exit code 5, with 10 transactions not acknowledged") !=
        std::string::npos);
  const std::string cat =
      support::run({DAYSTREAM_PROGRAM, "cat", herd.directory.path(), "--tables", "*"}).out;
  CHECK(slurp(herd.path("lines")) == cat);
  CHECK(herd.status()["parts"][0]["redeliveries"] == 1);
}

TEST_CASE("group: a day that is gone before it was read ends the worker", "[group]") {
  Herd herd;
  herd.write(3);
  const auto argv = herd.consume({"--into", "1", "--once"}, herd.once_each());
  CHECK(support::run(argv).ok());
  herd.now += 86400;
  herd.write(3);
  CHECK(herd.group({"reset", "g", "--to", fmt::format("{}/0", kNoon)}).ok());
  std::filesystem::remove(herd.day_path());
  const auto ended = support::run(argv);
  INFO(ended.err);
  CHECK(ended.exit == support::Exit{3, 0});
  CHECK(herd.status()["parts"][0]["lag_bytes"].is_null());
}

TEST_CASE("group: looks that have no time find together what one finds", "[group]") {
  Herd herd;
  herd.write(40);
  // Part 0 has what it needs far behind: 30 transactions of the key that another part has.
  for (int i = 0; i < 30; ++i) {
    ++herd.written;
    herd.writer.append(
        fmt::format("_table\tfox\t_xid\t{0}\t_action\tinsert\ta\tfar\tb\t{0}\n", herd.written) +
        commit(herd.written));
  }
  herd.write(10);
  REQUIRE(support::run(herd.consume({"--into", "2", "--once"}, herd.once_each())).ok());
  const Stream stream(herd.directory.path().string());
  const auto folder = herd.directory.path() / ".groups";
  for (const char* const place : {"begin", "end"}) {
    CAPTURE(place);
    REQUIRE(herd.group({"reset", "g", "--to", place}).ok());
    sharing::FileStore store(folder / "g");
    const auto whole = command::group_status(stream, store);
    std::optional<sharing::GroupStatus> before;
    const auto is_known = [](const sharing::PartStatus& part) { return part.is_known; };
    int looks = 0;
    while (!before || !std::all_of(before->parts.begin(), before->parts.end(), is_known)) {
      REQUIRE(++looks < 100);
      before = command::group_status(stream, store, {before ? &*before : nullptr, {}});
    }
    for (const sharing::PartStatus& part : whole.parts) {
      CHECK(part.is_known);
      CHECK(before->parts[part.part].oldest == part.oldest);
      CHECK(before->parts[part.part].lag_bytes == part.lag_bytes);
      CHECK(part.lag_seconds(kNoon) == 0);
      CHECK(part.oldest.has_value() == (part.lag_bytes > 0));
    }
    // What was found before a part was put back does not hold.
    REQUIRE(herd.group({"reset", "g", "--to", "begin"}).ok());
    const auto back = command::group_status(stream, store, {&*before, {}});
    const auto again = command::group_status(stream, store);
    CHECK(again.parts[0].lag_bytes > 0);
    CHECK(back.parts[0].lag_bytes == again.parts[0].lag_bytes);
    CHECK((!back.parts[0].oldest || back.parts[0].oldest == again.parts[0].oldest));
  }
}

TEST_CASE("group: who looks writes nothing", "[group]") {
  Herd herd;
  herd.write(3);
  const auto argv = herd.consume({"--into", "1", "--once"}, herd.once_each());
  REQUIRE(support::run(argv).ok());
  const std::string old = herd.path(".groups/g/workers/w.json");
  spill(old, R"({"id":"w","pid":1,"since":"2017-10-09","boot":"another","expires_at_boot_ns":1})");
  CHECK(herd.status()["workers"].empty());
  CHECK(std::filesystem::exists(old));
  REQUIRE(support::run(argv).ok());
  CHECK_FALSE(std::filesystem::exists(old));
}

TEST_CASE("group: pauses grow, up to a minute", "[group]") {
  using std::chrono::milliseconds;
  CHECK(command::retry_pause(0) == milliseconds{0});
  CHECK(command::retry_pause(1) == milliseconds{500});
  CHECK(command::retry_pause(2) == milliseconds{1000});
  CHECK(command::retry_pause(7) == milliseconds{32'000});
  CHECK(command::retry_pause(8) == milliseconds{60'000});
  CHECK(command::retry_pause(4'000'000'000) == milliseconds{60'000});
}

TEST_CASE("group: pause, resume, reset and drop", "[group]") {
  Herd herd;
  herd.write(5);
  const auto argv = herd.consume({"--into", "2", "--lease", "60"}, herd.once_each());
  Process worker(argv);
  REQUIRE(support::eventually([&] { return herd.is_made(); }));
  CHECK(support::eventually([&] { return herd.all_done(); }));
  CHECK(herd.group({"pause", "g"}).ok());
  CHECK(support::eventually([&] {
    const auto parts = herd.status()["parts"];
    return parts[0]["worker"].is_null() && parts[1]["worker"].is_null();
  }));
  herd.write(2);
  CHECK_FALSE(herd.all_done());
  const auto refused = herd.group({"drop", "g"});
  CHECK(refused.err.starts_with("daystream: consumer group \"g\" has a worker, process "));
  CHECK(herd.group({"resume", "g"}).ok());
  CHECK(support::eventually([&] { return herd.all_done(); }));
  CHECK(herd.wrong() == "");
  worker.signal(SIGTERM);
  CHECK(worker.wait() == support::Exit{0, 0});
  CHECK(herd.group({"reset", "g", "--to", "begin"}).ok());
  CHECK_FALSE(herd.all_done());
  CHECK(herd.group({"list"}).out == "g: by key into 2 parts, 0 workers\n");
  CHECK(herd.group({"drop", "g"}).ok());
  CHECK(herd.group({"list"}).out.empty());
  CHECK(herd.group({"status", "g"}).exit == support::Exit{3, 0});
}

TEST_CASE("group: what it was made with stays", "[group]") {
  Herd herd;
  const auto run = [&](const std::vector<std::string>& options) {
    return support::run(herd.consume(options, herd.once_each()));
  };
  const auto none = run({"--once"});
  CHECK(none.exit == support::Exit{2, 0});
  CHECK(none.err.starts_with("daystream: there is no consumer group \"g\" yet\nHINT: "));
  CHECK(run({"--once", "--into", "2"}).ok());
  const auto other = run({"--once", "--into", "3"});
  CHECK(other.exit == support::Exit{2, 0});
  CHECK(other.err.starts_with("daystream: consumer group \"g\" was made with --into 2\nHINT: "));
  CHECK(run({"--once", "--by", "table"}).err.find("was made with --by key") != std::string::npos);
  CHECK(run({"--once", "--tables", "fox"}).err.find("was made with --tables \"\"") !=
        std::string::npos);
  CHECK(run({"--once"}).ok());
  const auto named = support::run({DAYSTREAM_PROGRAM, "consume", herd.directory.path(), "--group",
                                   "../g", "--into", "2", "--", "true"});
  CHECK(named.err.starts_with("daystream: invalid name \"../g\" of a consumer group"));
}

TEST_CASE("group: transactions that are too old are left out", "[group]") {
  Herd herd;
  herd.write(4);
  CHECK(support::run(herd.consume({"--into", "1", "--once", "--expire", "1h"}, herd.once_each()))
            .ok());
  CHECK(herd.wrong() == "0 rows of 8");
  CHECK(herd.status()["parts"][0]["expired"] == 5);
}

TEST_CASE("group: of two who take an epoch one has it, and a lower one never counts", "[group]") {
  support::ScratchDir directory;
  const std::filesystem::path folder = directory.path() / "g";
  sharing::Rule rule;
  rule.into = 1;
  sharing::FileStore::create(folder, rule);
  sharing::FileStore store(folder);
  sharing::PartRecord first = store.part(0);
  CHECK(first.epoch == 0);
  first.epoch = 1;
  first.position = {kNoon, 1};
  CHECK(store.take(0, first));
  CHECK_FALSE(store.take(0, first));
  sharing::PartRecord second = first;
  second.epoch = 2;
  CHECK(store.take(0, second));
  first.position = {kNoon, 9};
  CHECK_FALSE(store.keep(0, first));
  CHECK(store.part(0).position == Position{kNoon, 1});
  second.epoch = 3;
  CHECK(store.take(0, second));
  // The file of epoch 1 is gone by now.
  CHECK_FALSE(store.take(0, first));
  CHECK_FALSE(store.keep(0, first));
  CHECK(store.part(0).epoch == 3);
  CHECK(store.record(0, 2));
}

TEST_CASE("share: a newcomer gets its share, and as few parts move as can", "[group]") {
  using sharing::BootTime;
  const BootTime now{1000};
  std::vector<sharing::Member> members;
  std::vector<sharing::PartRecord> parts(8);
  const auto add = [&](const std::string& id) {
    members.push_back({id, 1, "", sharing::boot_id(), now + BootTime{1}});
  };
  const auto hold = [&](std::uint32_t part, const std::string& id) {
    parts[part].holder = id;
    parts[part].boot = sharing::boot_id();
    parts[part].expires_at = now + BootTime{1};
  };
  add("a");
  CHECK(share_of("a", members, parts, now).take.size() == 8);
  for (std::uint32_t part = 0; part < 8; ++part) hold(part, "a");
  add("b");
  CHECK(share_of("a", members, parts, now).give == std::vector<std::uint32_t>{7, 6, 5, 4});
  CHECK(share_of("b", members, parts, now).take.empty());
  for (std::uint32_t part = 4; part < 8; ++part) hold(part, "b");
  CHECK(share_of("a", members, parts, now).give.empty());
  add("c");
  CHECK(share_of("a", members, parts, now).give == std::vector<std::uint32_t>{3});
  CHECK(share_of("b", members, parts, now).give == std::vector<std::uint32_t>{7});
  // One that has expired neither counts nor holds.
  parts[0].expires_at = now;
  members[0].expires_at = now;
  CHECK(share_of("c", members, parts, now).take.size() == 1);
  CHECK(share_of("a", members, parts, now).take.empty());
}
