#include "support/cluster.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <mutex>
#include <stdexcept>
#include <system_error>

namespace support {

namespace fs = std::filesystem;
namespace pg = daystream::program;

// Session ------------------------------------------------------------------------------------

Session::Session(const std::string& conninfo)
    : connection_(pg::connect(conninfo, "deltaflood tests")) {
  execute("RESET search_path");  // test cases name their tables as people do
}

Rows Session::query(const std::string& sql) {
  const pg::PgResult result = pg::exec(connection_.get(), sql);
  Rows rows;
  for (int i = 0; i < PQntuples(result.get()); ++i) {
    Row& row = rows.emplace_back();
    for (int j = 0; j < PQnfields(result.get()); ++j) {
      if (PQgetisnull(result.get(), i, j)) {
        row.emplace_back(std::nullopt);
      } else {
        row.emplace_back(std::string(PQgetvalue(result.get(), i, j),
                                     static_cast<std::size_t>(PQgetlength(result.get(), i, j))));
      }
    }
  }
  return rows;
}

std::string Session::scalar(const std::string& sql) {
  const Rows rows = query(sql);
  if (rows.empty() || rows[0].empty() || !rows[0][0]) {
    throw std::runtime_error("no value from: " + sql);
  }
  return *rows[0][0];
}

void Session::execute(const std::string& sql) {
  query(sql);
}

void Session::send(const std::string& sql) {
  if (PQsendQuery(connection_.get(), sql.c_str()) == 0) {
    pg::throw_error(connection_.get(), nullptr, "could not send \"" + sql + "\"");
  }
}

bool Session::busy() {
  if (PQconsumeInput(connection_.get()) == 0) {
    pg::throw_error(connection_.get(), nullptr, "could not read from the server");
  }
  return PQisBusy(connection_.get()) != 0;
}

void Session::finish() {
  pg::PgResult failed;
  while (pg::PgResult result{PQgetResult(connection_.get())}) {
    if (PQresultStatus(result.get()) == PGRES_FATAL_ERROR) failed = std::move(result);
  }
  if (failed) pg::throw_error(connection_.get(), failed.get(), "could not finish a statement");
}

int Session::backend_pid() const {
  return PQbackendPID(connection_.get());
}

// Cluster ------------------------------------------------------------------------------------

namespace {

std::string bin(const std::string& name) {
  return std::string(SUPPORT_PG_BINDIR) + "/" + name;
}

bool server_knows(const std::string& setting) {
  static const std::string all =
      run_ok({bin("postgres"), "--describe-config"}, Process::Options{.user = User::server()});
  return all.find("\n" + setting + "\t") != std::string::npos;
}

void give_to_server_user(const fs::path& path) {
  const User user = User::server();
  if (user.uid && chown(path.c_str(), *user.uid, user.gid) != 0) {
    throw std::system_error(errno, std::generic_category(), "could not give away " + path.string());
  }
}

void make_server_dir(const fs::path& path, mode_t mode) {
  fs::create_directories(path);
  give_to_server_user(path);
  chmod(path.c_str(), mode);
}

void initdb(const fs::path& data, const std::vector<std::string>& more) {
  std::vector<std::string> argv = {bin("initdb"), "-A",       "trust",      "-N",
                                   "-U",          "postgres", "-E",         "UTF8",
                                   "--no-locale", "-D",       data.string()};
  argv.insert(argv.end(), more.begin(), more.end());
  run_ok(argv, Process::Options{.user = User::server(), .folder = "/"});
}

void copy_tree(const fs::path& from, const fs::path& to) {
  // cp keeps owners and can share blocks, std::filesystem does neither.
  run_ok({"cp", "-a", "--reflink=auto", from.string(), to.string()});
}

// The data folder that clusters of this build and this server version are copied from.
fs::path template_dir() {
  static const std::string version = run_ok({bin("postgres"), "-V"});
  std::string name = fmt::format("cluster-template-{}-", geteuid());
  for (const char c : version) name += std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
  return fs::path(build_dir()) / name;
}

// Data folders that this process has done with. A new one is a thousand files, which an ext4 that
// has just removed as many takes half a second of CPU to create; in one that was used, only what
// its server has written differs from the template.
class UsedFolders {
 public:
  static UsedFolders& get() {
    static UsedFolders folders;
    return folders;
  }

  void keep(const fs::path& data) {
    const fs::path to = dir_ / fmt::format("{}", count_++);
    std::error_code left;  // for TempDir to remove
    fs::rename(data, to, left);
    if (left) return;
    const std::lock_guard lock(mutex_);
    folders_.push_back(to);
  }

  // Puts a copy of `from` at `to`, out of a used folder. False when there is none.
  bool make(const fs::path& from, const fs::path& to) {
    fs::path used;
    {
      const std::lock_guard lock(mutex_);
      if (folders_.empty()) return false;
      used = std::move(folders_.back());
      folders_.pop_back();
    }
    // By size and time, to the nanosecond.
    run_ok({"rsync", "--archive", "--delete", "--modify-window=-1", from.string() + "/",
            used.string() + "/"});
    fs::rename(used, to);
    return true;
  }

 private:
  TempDir dir_;
  std::atomic<int> count_ = 0;
  std::mutex mutex_;
  std::vector<fs::path> folders_;
};

}  // namespace

void Cluster::initialize(const Options& options) {
  if (options.own_system_identifier || !options.initdb_arguments.empty()) {
    initdb(data_dir(), options.initdb_arguments);
    return;
  }
  const fs::path shared = template_dir();
  if (fs::exists(shared)) {
    if (!UsedFolders::get().make(shared, data_dir())) copy_tree(shared, data_dir());
    return;
  }
  initdb(data_dir(), {});
  // Tests that run side by side may each be first: a whole template appears at once, one wins.
  const fs::path mine = fmt::format("{}.{}", shared.string(), getpid());
  copy_tree(data_dir(), mine);
  std::error_code lost;
  fs::rename(mine, shared, lost);
  if (lost) fs::remove_all(mine);
}

void Cluster::copy_from_primary(const Options& options) {
  const Cluster& primary = *options.standby_of;
  std::vector<std::string> argv = {
      bin("pg_basebackup"), "-D", data_dir().string(), "-R", "-c", "fast", "-N", "-d",
      primary.conninfo()};
  if (!options.standby_slot.empty()) {
    primary.execute(
        "SELECT pg_create_physical_replication_slot(" + pg::quote_literal(options.standby_slot) +
        ", true) WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = " +
        pg::quote_literal(options.standby_slot) + ")");
    argv.insert(argv.end(), {"-S", options.standby_slot});
  }
  run_ok(argv, Process::Options{.user = User::server(), .folder = "/"});
}

// The build may lie where the server's user cannot go, so what it loads is copied beside its data.
void Cluster::install_our_files() {
  const fs::path plugin = fs::path(build_dir()) / "plugin/deltaflood.so";
  fs::create_directories(dir_ / "lib");
  if (fs::exists(plugin)) {
    // Under a new name first: a server that has the old file mapped must not see it change.
    fs::copy_file(plugin, dir_ / "lib/new", fs::copy_options::overwrite_existing);
    fs::rename(dir_ / "lib/new", dir_ / "lib/deltaflood.so");
  }
  const fs::path extensions =
      dir_ / ("extension" + std::string(SUPPORT_PG_SHAREDIR) + "/extension");
  fs::create_directories(extensions);
  for (const auto& entry : fs::directory_iterator(SUPPORT_SQL_DIR)) {
    if (!entry.path().filename().string().starts_with("deltaflood")) continue;
    fs::copy_file(entry.path(), extensions / entry.path().filename(),
                  fs::copy_options::overwrite_existing);
  }
}

Cluster::Cluster(const Options& options) {
  make_server_dir(dir_ / "socket", 0755);
  make_server_dir(dir_ / "run", 0755);
  // initdb and pg_basebackup make the folder themselves where its parent lets them.
  make_server_dir(data_dir(), 0700);
  if (options.standby_of != nullptr) {
    copy_from_primary(options);
  } else {
    if (!options.own_system_identifier && options.initdb_arguments.empty() &&
        fs::exists(template_dir())) {
      fs::remove(data_dir());
    }
    initialize(options);
  }
  install_our_files();

  std::string config = fmt::format(
      "listen_addresses = ''\n"
      "unix_socket_directories = '{}'\n"
      "dynamic_library_path = '{}:$libdir'\n"
      "wal_level = logical\n"
      "max_wal_senders = 20\n"
      "max_replication_slots = 20\n"
      "max_prepared_transactions = 20\n"
      "max_connections = 60\n"
      "shared_buffers = 32MB\n"
      "fsync = {}\n"
      "logging_collector = off\n"
      "log_min_messages = warning\n",
      socket_dir(), (dir_ / "lib").string(), options.fsync ? "on" : "off");
  // The setting came with 15.19; an older server refuses to start with a name it does not know.
  if (server_knows("output_plugin_libraries")) {
    config += "output_plugin_libraries = 'pgoutput,test_decoding,deltaflood'\n";
  }
  if (server_knows("extension_destdir")) {
    config += fmt::format("extension_destdir = '{}'\n", (dir_ / "extension").string());
  }
  for (const std::string& line : options.config) config += line + "\n";
  append_config(config);
  if (options.start) start();
}

Cluster::~Cluster() {
  try {
    if (running()) stop(Shutdown::Immediate);
    if (!dir_.is_kept()) UsedFolders::get().keep(data_dir());
  } catch (...) {  // the Process kills what did not stop, and the folder goes with TempDir
  }
}

void Cluster::append_config(const std::string& lines) {
  append_file(data_dir() / "postgresql.conf", lines + "\n");
}

void Cluster::start() {
  if (running()) return;
  install_our_files();
  // Not by pg_ctl: as our own child it dies with us, and its end is seen at once.
  const int log_fd = open((dir_ / "log").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  const Fd owned(log_fd);
  postmaster_.emplace(std::vector<std::string>{bin("postgres"), "-D", data_dir().string()},
                      Process::Options{.user = User::server(),
                                       .folder = "/",
                                       .output_fd = log_fd,
                                       .error_fd = log_fd,
                                       .death_signal = SIGQUIT,
                                       .own_group = true});
  const bool up = eventually([&] { return !running() || PQping(conninfo().c_str()) == PQPING_OK; });
  if (!up || !running()) throw std::runtime_error("PostgreSQL did not start:\n" + log_tail());
}

bool Cluster::running() {
  return postmaster_ && postmaster_->running();
}

pid_t Cluster::postmaster_pid() const {
  if (!postmaster_) throw std::runtime_error("PostgreSQL is not running");
  return postmaster_->pid();
}

void Cluster::request_stop(Shutdown mode) {
  if (!running()) return;
  postmaster_->signal(mode == Shutdown::Smart  ? SIGTERM
                      : mode == Shutdown::Fast ? SIGINT
                                               : SIGQUIT);
}

void Cluster::stop(Shutdown mode) {
  if (!running()) return;
  request_stop(mode);
  if (!postmaster_->wait(kPatience)) {
    throw std::runtime_error("PostgreSQL did not stop:\n" + log_tail());
  }
  postmaster_.reset();
}

void Cluster::kill9() {
  if (!running()) return;
  postmaster_->signal(SIGKILL);
  postmaster_->wait();
  postmaster_.reset();
  // Backends notice the death by themselves, and a new postmaster refuses to start before they
  // did. They are orphans now, but all of them work in the data folder.
  const std::string data = data_dir().string();
  const bool gone = eventually([&] {
    for (const auto& entry : fs::directory_iterator("/proc")) {
      std::error_code ended;
      const fs::path cwd = fs::read_symlink(entry.path() / "cwd", ended);
      if (!ended && cwd.string() == data) return false;
    }
    return true;
  });
  if (!gone) throw std::runtime_error("backends outlived the postmaster:\n" + log_tail());
}

void Cluster::restart(Shutdown mode) {
  stop(mode);
  start();
}

void Cluster::promote() {
  execute("SELECT pg_promote(true, 60)");
  if (!eventually([&] { return scalar("SELECT pg_is_in_recovery()") == "f"; })) {
    throw std::runtime_error("PostgreSQL was not promoted:\n" + log_tail());
  }
}

void Cluster::configure(const std::vector<std::string>& lines) {
  for (const std::string& line : lines) append_config(line);
  if (running()) postmaster_->signal(SIGHUP);
}

std::string Cluster::conninfo(const std::string& database, const std::string& user) const {
  const auto quoted = [](const std::string& value) {
    std::string out = "'";
    for (const char c : value) {
      if (c == '\'' || c == '\\') out += '\\';
      out += c;
    }
    return out + "'";
  };
  return fmt::format("host={} user={} dbname={}", socket_dir(), quoted(user), quoted(database));
}

Session Cluster::session(const std::string& database) const {
  return Session(conninfo(database));
}

Rows Cluster::query(const std::string& sql, const std::string& database) const {
  return session(database).query(sql);
}

std::string Cluster::scalar(const std::string& sql, const std::string& database) const {
  return session(database).scalar(sql);
}

void Cluster::execute(const std::string& sql, const std::string& database) const {
  session(database).execute(sql);
}

void Cluster::create_database(const std::string& name, const std::string& options) const {
  execute("CREATE DATABASE " + pg::quote_identifier(name) + " " + options);
}

std::string Cluster::tool(const std::string& name) {
  return bin(name);
}

std::string Cluster::run_tool(const std::string& name, std::vector<std::string> arguments,
                              Process::Options options) const {
  arguments.insert(arguments.begin(), bin(name));
  options.user = User::server();
  if (options.folder.empty()) options.folder = "/";
  options.env.emplace_back("PGHOST", socket_dir());
  options.env.emplace_back("PGUSER", "postgres");
  return run_ok(std::move(arguments), options);
}

std::string Cluster::log_tail(std::size_t size_bytes) const {
  std::error_code missing;
  if (!fs::exists(dir_ / "log", missing)) return "";
  std::string log = read_file(dir_ / "log");
  return log.size() <= size_bytes ? log : log.substr(log.size() - size_bytes);
}

}  // namespace support
