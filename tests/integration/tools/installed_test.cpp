// The library as others get it: installed into a folder, found by pkg-config, its examples built
// and run, and readers that know nothing but FORMAT.md.
#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "../pipeline/pipeline.h"

using namespace pipeline;
using support::program;
using support::run_ok;

namespace {

// As bash does at Tab behind `words`, of which the last is not whole.
constexpr const char* kBash =
    "source \"$1\"; COMP_WORDS=(\"${@:3}\"); COMP_CWORD=$(($# - 3)); \"_$2\"; "
    "printf '%s\\n' \"${COMPREPLY[@]}\"";

bool has_line(const std::string& text, const std::string& line) {
  return ("\n" + text).find("\n" + line + "\n") != std::string::npos;
}

// A tree that `meson install` made, once.
struct Installed {
  Installed() {
    run_ok({"meson", "install", "-C", support::build_dir(), "--no-rebuild", "--quiet", "--destdir",
            (dir.path() / "root").string()},
           {}, std::chrono::minutes{2});
    for (const auto& entry : std::filesystem::recursive_directory_iterator(dir.path() / "root")) {
      if (entry.path().filename() == "daystream.pc") pkgconfig = entry.path().parent_path();
      if (entry.path().filename() == "follow.cpp") examples = entry.path().parent_path();
    }
    libraries = pkgconfig.parent_path();
    env = {{"PKG_CONFIG_PATH", pkgconfig.string()},
           {"PKG_CONFIG_SYSROOT_DIR", (dir.path() / "root").string()}};
  }
  // Compiles the example with what pkg-config says; `flags` are its options.
  std::string build(const std::string& name, const std::string& flags) const {
    std::string out = (dir.path() / name).string();
    run_ok({"sh", "-c",
            "${CXX:-c++} -std=c++20 " + (examples / "follow.cpp").string() + " $(pkg-config " +
                flags + " daystream) -o " + out},
           {.env = env}, std::chrono::minutes{3});
    return out;
  }

  support::TempDir dir;
  std::filesystem::path pkgconfig, libraries, examples;
  std::vector<std::pair<std::string, std::string>> env;
};

std::size_t lines_in(const std::string& text) {
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

std::size_t inserts_of_foxes(const std::string& text) {
  std::size_t count = 0;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.find("_table\tfoxes\t") != std::string::npos &&
        line.find("_action\tinsert\t") != std::string::npos) {
      ++count;
    }
  }
  return count;
}

}  // namespace

TEST_CASE("installed: the library, and its examples, follow a stream", "[tools][installed]") {
  const Installed installed;
  REQUIRE(!installed.pkgconfig.empty());
  REQUIRE(!installed.examples.empty());
  const std::string follow = installed.build("follow", "--cflags --libs");
  const std::pair<std::string, std::string> where{"LD_LIBRARY_PATH", installed.libraries.string()};

  Pipeline p;
  p.execute("CREATE TABLE foxes (id int PRIMARY KEY, name text)");
  p.start_stream();
  const auto catch_up = [&] {
    const std::string lsn = p.scalar("SELECT pg_current_wal_lsn()");
    REQUIRE(support::eventually([&] {
      return p.scalar("SELECT confirmed_flush_lsn >= '" + lsn + "' FROM pg_replication_slots") ==
             "t";
    }));
  };
  p.execute("INSERT INTO foxes SELECT i, E'fox\\t' || i FROM generate_series(1, 40) i");
  catch_up();
  const std::string checkpoint = (p.folder() / "checkpoint").string();
  const std::vector<std::string> once = {follow, p.daystream().string(), checkpoint, "once"};
  CHECK(inserts_of_foxes(run_ok(once, {.env = {where}})) == 40);
  CHECK(inserts_of_foxes(run_ok(once, {.env = {where}})) == 0);  // from the checkpoint on
  p.execute("INSERT INTO foxes VALUES (41, NULL); UPDATE foxes SET id = 100 WHERE id = 1");
  p.execute("BEGIN; INSERT INTO foxes VALUES (1000, 'never'); ROLLBACK");
  p.execute("DELETE FROM foxes WHERE id = 2");
  catch_up();
  CHECK(inserts_of_foxes(run_ok(once, {.env = {where}})) == 1);
  CHECK(support::run({follow}, {.env = {where}}).exit.code == 2);

  SECTION("nothing private can be had from the shared one; the static one needs no other of ours") {
    const std::string names =
        run_ok({"sh", "-c",
                "nm -D --defined-only -C " + (installed.libraries / "libdaystream.so").string()});
    CHECK(names.find("daystream::Reader::next()@@DAYSTREAM_0") != std::string::npos);
    CHECK(names.find("GroupScanner") == std::string::npos);
    CHECK(names.find("nlohmann") == std::string::npos);
    // Where only the static one is, what pkg-config says with --static is all that it takes.
    run_ok({"sh", "-c", "rm " + (installed.libraries / "libdaystream.so").string() + "*"});
    const std::string alone = installed.build("follow_static", "--static --cflags --libs");
    CHECK(lines_in(run_ok({alone, p.daystream().string(), checkpoint + "2", "once"})) > 40);
    CHECK(run_ok({"readelf", "-d", alone}).find("libdaystream") == std::string::npos);
  }
  SECTION("scripts with nothing of ours read the same, compressed days too") {
    const auto python = [&](const std::filesystem::path& directory) {
      return run_ok({"python3", (installed.examples / "read.py").string(), directory.string()});
    };
    const auto tcl = [&](const std::filesystem::path& directory) {
      return run_ok({"tclsh", (installed.examples / "read.tcl").string(), directory.string()});
    };
    const std::string told = python(p.daystream());
    const std::string listed = tcl(p.daystream());
    CHECK(lines_in(told) == 43);
    CHECK(lines_in(listed) == 43);
    std::istringstream lines(told);
    std::string first;
    std::getline(lines, first);
    const auto change = nlohmann::json::parse(first);
    CHECK(change[1] == "foxes");
    CHECK(change[4]["name"] == "fox\t1");
    // A copy of which the days are compressed, as they are once they are closed.
    const auto copy = p.folder() / "copy";
    std::filesystem::copy(p.daystream(), copy);
    for (const auto& entry : std::filesystem::directory_iterator(p.daystream())) {
      if (entry.path().extension() != ".tsv") continue;
      run_ok({"zstd", "-q", "--rm", (copy / entry.path().filename()).string()});
    }
    CHECK(python(copy) == told);
    CHECK(tcl(copy) == listed);
  }
}

TEST_CASE("installed: a script that knows only FORMAT.md sees a byte that is another",
          "[tools][installed]") {
  Pipeline p;
  p.execute("CREATE TABLE foxes (id int PRIMARY KEY, name text)");
  p.start_stream();
  p.execute("INSERT INTO foxes VALUES (1, 'reynard')");
  const std::string lsn = p.scalar("SELECT pg_current_wal_lsn()");
  REQUIRE(support::eventually([&] {
    return p.scalar("SELECT confirmed_flush_lsn >= '" + lsn + "' FROM pg_replication_slots") == "t";
  }));
  const auto copy = p.folder() / "copy";
  std::filesystem::copy(p.daystream(), copy);
  run_ok({"sh", "-c", "sed -i s/reynard/raynerd/ " + copy.string() + "/*.tsv"});
  const auto result = support::run({"python3", TOOLS_EXAMPLES "/read.py", copy.string()});
  CHECK(result.exit.code == 1);
  CHECK_THAT(result.err, Catch::Contains("the CRC at"));
}

TEST_CASE("installed: bash and zsh complete commands, options and their choices",
          "[tools][installed]") {
  const Installed installed;
  std::filesystem::path bash, zsh;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(installed.dir.path())) {
    if (entry.path().filename() == "completions") bash = entry.path();
    if (entry.path().filename() == "vendor-completions") zsh = entry.path();
  }
  const bool has_zsh = support::run({"sh", "-c", "command -v zsh"}).ok();
  struct Case {
    std::vector<std::string> words;
    std::string is_there;
    std::string is_not;
  };
  for (const Case& c :
       std::vector<Case>{{{"deltamirror", ""}, "seed", "schema"},
                         {{"deltamirror", "config", ""}, "check", "seed"},
                         {{"deltamirror", "config", "check", "--"}, "--json", "--until-lsn"},
                         {{"deltamirror", "run", "x.db", "--on-trouble", ""}, "hide", "--once"},
                         {{"deltamirror", "--log-level", ""}, "debug", "seed"},
                         {{"deltastream", "--on-lost-slot", ""}, "replace", "--check"},
                         {{"deltastream", "--ch"}, "--check", "--create-slot"},
                         {{"daystream", "cat", "prod", "--for"}, "--format", "--follow"},
                         {{"daystream", "group", "prod", ""}, "retry", "cat"}}) {
    const std::string& program = c.words.front();
    std::vector<std::string> command = {"bash", "-c", kBash, "bash", bash / program, program};
    command.insert(command.end(), c.words.begin(), c.words.end());
    const std::string by_bash = run_ok(command);
    CAPTURE(c.words, by_bash);
    CHECK(has_line(by_bash, c.is_there));
    CHECK_FALSE(has_line(by_bash, c.is_not));
    if (!has_zsh) continue;
    std::string line;
    for (const std::string& word : c.words) line += (line.empty() ? "" : " ") + word;
    const std::string by_zsh =
        run_ok({"zsh", "-f", TOOLS_SOURCE_DIR "/complete.zsh", zsh.string(), line});
    CAPTURE(by_zsh);
    CHECK(has_line(by_zsh, c.is_there));
    CHECK_FALSE(has_line(by_zsh, c.is_not));
  }
  const std::string split = run_ok({"bash", "-c", kBash, "bash", bash / "deltamirror",
                                    "deltamirror", "deltamirror", "run", "--on-trouble", "=", "k"});
  CHECK(split == "keep\n");
}
