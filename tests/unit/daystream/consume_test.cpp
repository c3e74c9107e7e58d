// daystream consume, with real commands that acknowledge, fail and are killed.
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>

#include <catch2/catch.hpp>
#include <random>
#include <sstream>

#include "daystream/unique_fd.h"
#include "stream_fixture.h"
#include "support/process.h"

using namespace daystream;
using namespace daystream::test;
using support::Process;

namespace {

// Notes each transaction's LSN in the file $1 when its commit line is there, then acknowledges it.
constexpr const char* kNote = R"sh(
tab=$(printf '\t')
while IFS=$tab read -r c seconds s number rest; do
  case "$rest" in
    *_action*commit) printf '%s\n' "$rest" | sed 's/.*_lsn.\([^\t]*\).*/\1/' >> "$1"
                     printf '%s/%s\n' "$seconds" "$number" ;;
  esac
done)sh";

struct Queue : WrittenStream {
  explicit Queue(int transactions) {
    Writer writer = this->writer();
    writer.mark(Lsn{0x1000}, {1, 1, {}});
    for (int i = 1; i <= transactions; ++i) {
      if (i % 7 == 0) ++now;
      writer.append(transaction(i, 1 + i % 3));
    }
    writer.flush();
  }  // namespace
  std::string path(const std::string& name) { return directory.path() / name; }
  std::vector<std::string> argv(std::vector<std::string> options,
                                const std::vector<std::string>& command) {
    std::vector<std::string> all = {DAYSTREAM_PROGRAM, "consume", directory.path(), "--checkpoint",
                                    path("at")};
    all.insert(all.end(), options.begin(), options.end());
    all.push_back("--");
    all.insert(all.end(), command.begin(), command.end());
    return all;
  }
  std::vector<std::string> note() { return {"sh", "-c", kNote, "sh", path("noted")}; }
  // Nothing beyond the mark at the beginning, which nobody has to acknowledge.
  bool nothing_done() {
    const std::string at = slurp(path("at"));
    return at.empty() || at.starts_with("_c\t1507550400\t_s\t0\t");
  }
  // Whether the last process that had to do with the checkpoint has ended.
  bool is_free() {
    const UniqueFd lock(open(path("at.lock").c_str(), O_RDONLY | O_CLOEXEC));
    return !lock || flock(lock.get(), LOCK_EX | LOCK_NB) == 0;
  }
  // The numbers of the transactions that were noted, in order.
  std::vector<int> noted() {
    std::vector<int> numbers;
    std::istringstream lines(slurp(path("noted")));
    for (std::string line; std::getline(lines, line);) {
      const auto lsn = Lsn::parse(line);
      REQUIRE(lsn);
      numbers.push_back(static_cast<int>((lsn->value - 0x1000) / 16));
    }
    return numbers;
  }
};

std::vector<int> up_to(int count) {
  std::vector<int> numbers;
  for (int i = 1; i <= count; ++i) numbers.push_back(i);
  return numbers;
}

}  // namespace

TEST_CASE("consume: hands over each transaction once, and goes on where it was", "[consume]") {
  Queue queue(20);
  const auto once = [&] { return support::run(queue.argv({"--once"}, queue.note())); };
  CHECK(once().err.empty());
  CHECK(queue.noted() == up_to(20));
  CHECK(slurp(queue.path("at")) ==
        "_c\t1507550402\t_s\t21\t_lsn\t0/1140\t_system\t7000000000000000001\n");
  CHECK(once().ok());
  CHECK(queue.noted() == up_to(20));
  {
    Writer writer = queue.writer();
    for (int i = 21; i <= 25; ++i) writer.append(transaction(i));
    writer.flush();
  }
  CHECK(once().ok());
  CHECK(queue.noted() == up_to(25));
}

TEST_CASE("consume: follows, and ends when it is told to", "[consume]") {
  Queue queue(5);
  Process consume(queue.argv({}, queue.note()));
  CHECK(support::eventually([&] { return queue.noted().size() == 5; }));
  Writer writer = queue.writer();
  writer.append(transaction(6));
  writer.flush();
  CHECK(support::eventually([&] { return queue.noted().size() == 6; }));
  const auto second = support::run(queue.argv({"--once"}, queue.note()));
  CHECK(second.exit == support::Exit{1, 0});
  CHECK(second.err.starts_with("daystream: checkpoint \"" + queue.path("at") +
                               "\" is in use by daystream (pid " + std::to_string(consume.pid())));
  CHECK(second.err.find("as \"" + queue.path("at") + "\"") != std::string::npos);
  consume.signal(SIGTERM);
  CHECK(consume.wait() == support::Exit{0, 0});
  CHECK(support::run(queue.argv({"--once"}, queue.note())).ok());
  CHECK(queue.noted() == up_to(6));
}

TEST_CASE("consume: what a power loss has torn is waited for, unless it is to end", "[consume]") {
  Queue queue(5);
  std::filesystem::remove(queue.path("durable"));
  const std::string whole = slurp(queue.day_path());
  std::string torn = whole;
  torn.replace(torn.rfind("_xid\t4\t") + 5, 3, 3, '\0');
  spill(queue.day_path(), torn);
  const auto once = support::run(queue.argv({"--once"}, queue.note()));
  CHECK(once.exit == support::Exit{3, 0});
  CHECK(once.err.find(", where nothing says that it was on disk") != std::string::npos);
  CHECK(once.err.find("HINT: start its deltastream") != std::string::npos);
  Process consume(queue.argv({}, queue.note()));
  CHECK(support::eventually([&] { return queue.noted() == up_to(3); }));
  Writer writer = queue.writer();
  for (int i = 4; i <= 6; ++i) writer.append(transaction(i, 1 + i % 3));
  writer.flush();
  CHECK(support::eventually([&] { return queue.noted() == up_to(6); }));
  consume.signal(SIGTERM);
  CHECK(consume.wait() == support::Exit{0, 0});
}

TEST_CASE("consume: a checkpoint by another name has the same one consumer", "[consume]") {
  Queue queue(5);
  std::filesystem::create_symlink("at", queue.path("link"));
  Process consume(queue.argv({}, queue.note()));
  CHECK(support::eventually([&] { return queue.noted().size() == 5; }));
  std::vector<std::string> by_link = queue.argv({"--once"}, queue.note());
  std::replace(by_link.begin(), by_link.end(), queue.path("at"), queue.path("link"));
  const auto second = support::run(by_link);
  CHECK(second.exit == support::Exit{1, 0});
  CHECK(second.err.find("is in use by daystream (pid " + std::to_string(consume.pid())) !=
        std::string::npos);
  consume.signal(SIGTERM);
  CHECK(consume.wait() == support::Exit{0, 0});
  CHECK(support::run(by_link).ok());
  CHECK(std::filesystem::is_symlink(queue.path("link")));
  CHECK(queue.noted() == up_to(5));
}

TEST_CASE("consume: a checkpoint that is taken away under its consumer ends it", "[consume]") {
  Queue queue(5);
  Process consume(queue.argv({}, queue.note()));
  CHECK(support::eventually([&] { return queue.noted().size() == 5 && !queue.nothing_done(); }));
  const std::string gone = GENERATE("at", "at.lock");
  std::filesystem::remove(queue.path(gone));
  CHECK(consume.wait() == support::Exit{3, 0});
  CHECK(consume.err().find("\"" + queue.path(gone) + "\" was deleted or moved away") !=
        std::string::npos);
}

TEST_CASE("consume: no more than the window is handed over without acknowledgement", "[consume]") {
  Queue queue(50);
  // Counts commit lines until nothing comes for as long as it takes us to ask it to end.
  const std::string count =
      "while read -r line; do case \"$line\" in *commit) echo >> \"$1\" ;; esac; done";
  Process consume(
      queue.argv({"--window", "7", "--once"}, {"sh", "-c", count, "sh", queue.path("count")}));
  CHECK(support::eventually([&] { return slurp(queue.path("count")).size() == 7; }));
  CHECK(consume.running());
  consume.signal(SIGTERM);
  CHECK(consume.wait() == support::Exit{1, 0});
  CHECK(slurp(queue.path("count")).size() == 7);
  CHECK(
      consume.err().starts_with("daystream: command \"sh\" ended with exit code 0, with 7 "
                                "transactions not acknowledged\n"));
  CHECK(queue.nothing_done());
}

TEST_CASE("consume: a batch counts when its command exits with 0", "[consume]") {
  Queue queue(10);
  const std::string append = "cat >> \"$1\"; printf 'end\\n' >> \"$1\"; test ! -e \"$2\"";
  const auto batches = [&] {
    return support::run(
        queue.argv({"--batch", "--window", "4", "--once"},
                   {"sh", "-c", append, "sh", queue.path("all"), queue.path("broken")}));
  };
  spill(queue.path("broken"), "");
  const auto failed = batches();
  CHECK(failed.exit == support::Exit{1, 0});
  CHECK(
      failed.err.starts_with("daystream: command \"sh\" ended with exit code 1, with 4 "
                             "transactions not acknowledged\n"));
  CHECK(queue.nothing_done());
  std::filesystem::remove(queue.path("broken"));
  std::filesystem::remove(queue.path("all"));
  CHECK(batches().ok());
  // All lines after the mark, in batches of 4, 4 and 2 transactions.
  std::string expected;
  int commits = 0;
  std::istringstream lines(slurp(queue.day_path()));
  for (std::string line; std::getline(lines, line);) {
    if (line.find("_action\tmark") != std::string::npos) continue;
    expected += line + "\n";
    if (!line.ends_with("commit")) continue;
    ++commits;
    if (commits % 4 == 0 || commits == 10) expected += "end\n";
  }
  CHECK(slurp(queue.path("all")) == expected);
  std::filesystem::remove(queue.path("all"));
  CHECK(batches().ok());
  CHECK_FALSE(std::filesystem::exists(queue.path("all")));
}

TEST_CASE("consume: a consumer killed at random misses nothing and repeats at most its window",
          "[consume]") {
  const auto seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  constexpr int kTransactions = 300;
  constexpr int kWindow = 5;
  Queue queue(kTransactions);
  std::vector<std::size_t> starts;  // how many were noted when each of them began
  const auto start = [&] {
    starts.push_back(queue.noted().size());
    Process::Options options;
    options.own_group = true;
    return Process(queue.argv({"--once", "--window", std::to_string(kWindow)}, queue.note()),
                   options);
  };
  for (int kills = 0; kills < 12; ++kills) {
    Process consume = start();
    const std::size_t more = starts.back() + std::uniform_int_distribution<>(0, 12)(random);
    REQUIRE(
        support::eventually([&] { return queue.noted().size() >= more || !consume.running(); }));
    if (!consume.running()) {  // it was faster and has done all
      CHECK(consume.wait() == support::Exit{0, 0});
      break;
    }
    if (kills % 3 == 0) {
      consume.signal(SIGTERM);  // hands over no more and ends
      // Or is ended by it, where it has not begun to listen yet.
      const support::Exit exit = consume.wait();
      CHECK((exit == support::Exit{0, 0} || exit.signal == SIGTERM));
    } else {
      consume.signal_group(SIGKILL);
      consume.wait();
    }
    // Its command may die a moment later, and holds the checkpoint as long as it lives.
    REQUIRE(support::eventually([&] { return queue.is_free(); }));
  }
  Process last = start();
  const support::Exit exit = last.wait();
  CHECK(last.err().empty());
  CHECK(exit == support::Exit{0, 0});
  const std::vector<int> noted = queue.noted();
  int expected = 1;  // the next one, unless a start goes back
  std::size_t next_start = 0;
  for (std::size_t i = 0; i < noted.size(); ++i) {
    while (next_start < starts.size() && starts[next_start] <= i) {
      CHECK(noted[i] <= expected);
      // Its window and, because it is told of after it is noted, the one at work.
      CHECK(noted[i] >= expected - kWindow - 1);
      expected = noted[i];
      ++next_start;
    }
    REQUIRE(noted[i] == expected);
    ++expected;
  }
  CHECK(expected == kTransactions + 1);
}

TEST_CASE("consume: what is wrong is said, and moves nothing", "[consume]") {
  Queue queue(3);
  const auto check = [&](const std::vector<std::string>& argv, int code, const std::string& text) {
    const auto result = support::run(argv);
    CHECK(result.exit == support::Exit{code, 0});
    CHECK(result.err.substr(0, result.err.find('\n')) == "daystream: " + text);
  };
  check(queue.argv({"--once"}, {"/nowhere/program"}), 2,
        "could not start command \"/nowhere/program\": No such file or directory");
  check(queue.argv({"--once"}, {"echo", "done"}), 1,
        "command \"echo\" wrote \"done\", which is no position of a transaction that it was "
        "handed and has not acknowledged");
  CHECK(queue.nothing_done());
  spill(queue.path("at"), "_c\t1507550400\t_s\t0\t_lsn\t0/1000\t_system\t7\n");
  check(queue.argv({"--once"}, {"cat"}), 3,
        "checkpoint \"" + queue.path("at") +
            "\" is of another cluster (system identifier 7) than the daystream (system "
            "identifier 7000000000000000001)");
  spill(queue.path("at"), "once upon a time\n");
  check(queue.argv({"--once"}, {"cat"}), 3,
        "file \"" + queue.path("at") + "\" is not a checkpoint");
}

TEST_CASE("consume: a gap ends it, after all that came before", "[consume]") {
  Queue queue(3);
  {
    Writer writer = queue.writer();
    writer.gap(lsn_of(3));
    writer.mark(lsn_of(4), {1, 5, {{"tables", ""}}});
    writer.append(transaction(5));
    writer.flush();
  }
  for (int i = 0; i < 2; ++i) {  // also when started again
    const auto result = support::run(queue.argv({"--once"}, queue.note()));
    CHECK(result.exit == support::Exit{3, 0});
    CHECK_THAT(result.err, Catch::Contains("changes after LSN 0/1030 are missing"));
  }
  CHECK(queue.noted() == up_to(3));
}

TEST_CASE("consume: a transaction of any size needs little memory", "[consume]") {
  Queue queue(1);
  constexpr int kRows = 600'000;
  {
    Writer writer = queue.writer();
    const std::string filler(100, 'x');
    for (int i = 0; i < kRows; ++i) writer.append(row(2, i) + "\tfiller\t" + filler);
    writer.append(commit(2));
    writer.flush();
  }
  constexpr std::size_t kLittle = 48 << 20;
  REQUIRE(std::filesystem::file_size(queue.day_path()) > 2 * kLittle);
  constexpr const char* kCount = R"py(
import sys
lines = 0
for line in sys.stdin:
    lines += 1
    if line.rstrip().endswith("commit"):
        print("/".join(line.split("\t")[1:4:2]), flush=True)
open(sys.argv[1], "w").write(str(lines))
)py";
  Process consuming(queue.argv({}, {"python3", "-c", kCount, queue.path("count")}));
  REQUIRE(support::eventually([&] {
    return slurp(queue.path("at")).find("0/1020") != std::string::npos || !consuming.running();
  }));
  INFO(consuming.err());
  REQUIRE(consuming.running());
  CHECK(consuming.peak_resident_bytes() < kLittle);
  consuming.signal(SIGTERM);
  CHECK(consuming.wait() == support::Exit{0, 0});
  CHECK(slurp(queue.path("count")) == std::to_string(kRows + 4));  // with the first one's lines
}
