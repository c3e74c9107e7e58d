// Configuration files of programs: comments, and keys that stand for flags.
#include "program/config_file.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "daystream/error.h"
#include "program/json.h"
#include "stream_fixture.h"
#include "support/process.h"
#include "support/temp_dir.h"

using namespace daystream;
using program::with_config_file;
using program::without_comments;
using Texts = std::vector<std::string>;

namespace {

// A program with a subcommand, as CLI11 knows it, and a file for it.
struct Program {
  Program() {
    app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
    app.add_option("--ca", text);
    CLI::App& serve = *app.add_subcommand("serve");
    serve.add_option("--listen", texts)->allow_extra_args(false)->take_all();
    serve.add_option("--window", text);
    serve.add_flag("--once", flag);
    serve.add_flag("--secret", flag)->group("");
    program::add_config_option(serve, text);
    app.add_subcommand("cat")->add_option("--window", text);
  }
  Texts expand(const std::string& json, const Texts& arguments) {
    support::write_file(file, json);
    return with_config_file(app, arguments);
  }
  std::string refusal(const std::string& json) {
    try {
      expand(json, {"serve", "--config", file});
    } catch (const ConfigError& e) {
      return e.what();
    }
    return "none";
  }

  support::TempDir dir;
  const std::string file = (dir / "c.json").string();
  CLI::App app;
  std::string text;
  Texts texts;
  bool flag = false;
};

}  // namespace

TEST_CASE("json: comments become spaces, and what stands in text stays", "[config]") {
  CHECK(without_comments("{} // end") == "{}       ");
  CHECK(without_comments("[1, // one\n 2]") == "[1,       \n 2]");
  CHECK(without_comments("[/* a\nb */2]") == "[    \n    2]");
  CHECK(without_comments(R"({"a//b": "/* c */"})") == R"({"a//b": "/* c */"})");
  CHECK(without_comments(R"(["\"//", 1] // x)") == R"(["\"//", 1]     )");
  CHECK(without_comments("[/* never") == "[/* never");
  CHECK(without_comments("[1, /") == "[1, /");
  CHECK(without_comments("") == "");
}

TEST_CASE("config file: its keys come as flags before the real ones", "[config]") {
  Program p;
  const std::string json = R"({
    "ca": "ca.pem",            // a flag that all commands take
    "listen": ["a:1", "b:2"],
    "once": true, "window": 5
  })";
  CHECK(p.expand(json, {"serve", "--config", p.file, "--window", "6"}) ==
        Texts{"serve", "--ca=ca.pem", "--listen=a:1", "--listen=b:2", "--once", "--window=5",
              "--config", p.file, "--window", "6"});
  CHECK(p.expand(R"({"once": false})", {"--ca", "serve", "serve", "--config=" + p.file}) ==
        Texts{"--ca", "serve", "serve", "--config=" + p.file});
  // Of another command, and of the program that comes after "--", it is not ours to read.
  CHECK(p.expand(json, {"cat", "--config", p.file}) == Texts{"cat", "--config", p.file});
  CHECK(p.expand(json, {"serve", "--", "x", "--config", p.file}) ==
        Texts{"serve", "--", "x", "--config", p.file});
}

TEST_CASE("config file: a value on the line counts, two of them are refused", "[config]") {
  const auto window_of = [](const Texts& more) {
    Program p;
    support::write_file(p.file, R"({"window": 5})");
    Texts arguments = {"serve", "--config", p.file};
    arguments.insert(arguments.end(), more.begin(), more.end());
    program::parse_with_config_file(p.app, arguments);
    return p.app.get_subcommand("serve")->get_option("--window")->as<std::string>();
  };
  CHECK(window_of({}) == "5");
  CHECK(window_of({"--window", "6"}) == "6");
  CHECK(window_of({"--window", "6", "--window", "6"}) == "6");
  CHECK_THROWS_WITH(window_of({"--window", "6", "--window", "7"}),
                    "--window is given more than once, with different values");
  CHECK_THROWS_WITH(window_of({"--config", "other.json"}),
                    "--config is given more than once, with different values");
}

TEST_CASE("config file: what is wrong is said with file and key", "[config]") {
  Program p;
  const std::string of_file = " of configuration file \"" + p.file + "\"";
  for (const char* const key : {"listne", "config", "secret", "help"}) {
    CHECK(p.refusal("{\"" + std::string(key) + "\": \"x\"}") ==
          "unrecognized key \"" + std::string(key) + "\"" + of_file);
  }
  CHECK(p.refusal(R"({"window": [1, 2]})") ==
        "cannot use key \"window\"" + of_file + ": must be text or a number");
  CHECK(p.refusal(R"({"listen": [null]})") ==
        "cannot use key \"listen\"" + of_file + ": must be text or a number");
  CHECK(p.refusal("[]") == "cannot read configuration file \"" + p.file + "\": must be an object");
  CHECK(p.refusal("{ /*").starts_with("cannot read configuration file \"" + p.file + "\": "));
  std::filesystem::remove(p.file);
  CHECK_THROWS_WITH(
      with_config_file(p.app, {"serve", "--config", p.file}),
      "could not read configuration file \"" + p.file + "\": No such file or directory");
  std::filesystem::create_directory(p.file);
  CHECK_THROWS_WITH(with_config_file(p.app, {"serve", "--config", p.file}),
                    "could not read configuration file \"" + p.file + "\": it is a directory");
  std::filesystem::remove(p.file);
  CHECK_THROWS_WITH(with_config_file(p.app, {"serve", "--config", "/dev/zero"}),
                    "could not read configuration file \"/dev/zero\": it has more than 64 MiB");
}

TEST_CASE("config file: serve, pull and consume begin with nothing else", "[config]") {
  test::WrittenStream stream;
  Writer writer = stream.writer();
  writer.append(test::transaction(1, 2));
  writer.flush();
  const support::TempDir dir;
  const std::string file = (dir / "c.json").string();
  const auto run = [&](const std::string& command, const nlohmann::json& config) {
    support::write_file(file, "// of a test\n" + config.dump());
    return support::run({DAYSTREAM_PROGRAM, command, "--config", file});
  };
  const std::string at = (dir / "at").string();
  const support::Result consumed = run("consume", {{"stream", stream.directory.path().string()},
                                                   {"checkpoint", at},
                                                   {"batch", true},
                                                   {"once", true},
                                                   {"command", {"cp", "/dev/stdin", at + ".got"}}});
  INFO(consumed.err);
  CHECK(consumed.ok());
  CHECK(support::read_file(at + ".got").find("_action\tcommit") != std::string::npos);
  CHECK(run("consume", {{"checkpoint", at}}).err.starts_with("daystream: STREAM is required\n"));
  CHECK(run("serve", {{"dir", {"x=/nowhere"}}, {"most-connections", 1}}).err.find("/nowhere") !=
        std::string::npos);
  CHECK(run("serve", nlohmann::json::object()).err.starts_with("daystream: DIR is required\n"));
  CHECK(run("pull", {{"url", "http://127.0.0.1:1/prod"}})
            .err.starts_with("daystream: DIR is required\n"));
}
