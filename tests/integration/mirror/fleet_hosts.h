// Hosts whose mirrors run by the configuration of a server, which has a fleet's directory.
#pragma once

#include <catch2/catch.hpp>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "pipeline.h"
#include "support/free_port.h"

using nlohmann::json;
using support::eventually;
using support::Exit;
using support::free_port;
using support::Process;
using support::program;
using support::Result;
using support::run;
using support::run_ok;

struct FleetHosts : Pipeline {
  FleetHosts() {
    cluster.execute(
        "CREATE TABLE fox(id int PRIMARY KEY, name text); INSERT INTO fox VALUES (1, 'a');"
        "CREATE TABLE hen(id int PRIMARY KEY, name text); INSERT INTO hen VALUES (1, 'b')");
    start_stream();
    std::filesystem::create_directories(fleet());
    put("fleet.json", R"({"mirrors": [{"name": "edge-*", "use": ["base.json"]},
                                      {"name": "edge-2", "use": ["two.json"]}]})");
    put("two.json", "{}");
    put_tables("{\"table\": \"fox\"}");
    publish();
    start_server();
  }
  std::string fleet() const { return (dir / "fleet").string(); }
  std::string file(const std::string& name) const { return (dir / (name + ".db")).string(); }
  std::string url(const std::string& name) const {
    return "http://127.0.0.1:" + std::to_string(port) + "/fleet/" + name;
  }
  void put(const std::string& name, const std::string& text) const {
    std::ofstream(fleet() + "/" + name) << text;
  }
  void put_tables(const std::string& tables) const {
    put("base.json", "{\"tables\": [" + tables + "]}");
  }
  Result command(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {program("daystream"), "fleet", fleet()});
    return run(arguments);
  }
  void publish() const { REQUIRE(command({"publish"}).ok()); }
  void publish_tables(const std::string& tables) const {
    put_tables(tables);
    publish();
  }

  void start_server(const std::vector<std::string>& more = {}) {
    std::vector<std::string> argv = {program("daystream"),
                                     "serve",
                                     stream(),
                                     "--fleet",
                                     fleet(),
                                     "--listen",
                                     "127.0.0.1:" + std::to_string(port)};
    argv.insert(argv.end(), more.begin(), more.end());
    server.emplace(argv);
    REQUIRE(eventually([&] {
      return !server->running() || server->err().find("serving at") != std::string::npos;
    }));
  }
  void kill_server() {
    server->signal(SIGKILL);
    server->wait();
  }
  std::vector<std::string> run_argv(const std::string& name) const {
    return {program("deltamirror"), "run",      file(name), "--daystream", stream(), "-d",
            cluster.conninfo(),     "--config", url(name)};
  }
  void start(const std::string& name) { hosts.insert_or_assign(name, Process(run_argv(name))); }
  void kill(const std::string& name) {
    hosts.at(name).signal(SIGKILL);
    hosts.at(name).wait();
  }

  json status(const std::string& name) const {
    return json::parse(run({program("deltamirror"), "status", file(name), "--json"}).out, nullptr,
                       false);
  }
  json config(const std::string& name) const {
    const json all = status(name);
    return all.is_object() ? all["config"] : json();
  }
  bool applies(const std::string& name, int revision) const {
    return eventually([&] {
      const json found = config(name);
      return found.is_object() && found["revision"] == revision;
    });
  }
  std::string count(const std::string& name, const std::string& table) const {
    try {
      const deltamirror::Database db(file(name), deltamirror::Database::Mode::ReadOnly);
      return db.value("SELECT count(*) FROM " + table).value_or("NULL");
    } catch (const std::exception&) {
      return "none";
    }
  }
  // As the server knows it.
  json told(const std::string& name) const {
    const json all = json::parse(
        run({program("daystream"), "fleet", fleet(), "status", "--json"}).out, nullptr, false);
    if (!all.is_object()) return json();
    for (const json& mirror : all["mirrors"]) {
      if (mirror["name"] == name) return mirror;
    }
    return json();
  }
  bool is_told(const std::string& name, const std::string& state, int revision) const {
    return eventually([&] {
      const json found = told(name);
      return found.is_object() && found["state"] == state && found["config"].is_object() &&
             found["config"]["revision"] == revision;
    });
  }
  bool says(const std::string& name, const std::string& text) const {
    return hosts.at(name).err().find(text) != std::string::npos;
  }

  const int port = free_port();
  std::optional<Process> server;
  std::map<std::string, Process> hosts;
};
