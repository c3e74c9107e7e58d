#include "program/postgres.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <utility>

#include "program/postgres_hints.h"
#include "program/quoted.h"
#include "src/reasons.h"
#include "src/waiting.h"

namespace daystream::program {

namespace {

// libpq and the server write several lines where a log line and an error message are one.
std::string one_line(const char* text) {
  std::string out;
  bool space = false;
  for (const char* c = text == nullptr ? "" : text; *c != '\0'; ++c) {
    if (*c == '\n' || *c == '\t' || *c == ' ') {
      space = !out.empty();
      continue;
    }
    if (space) out += ' ';
    space = false;
    out += *c;
  }
  return out;
}

// The words of libpq about a connection string, or about what it was taken to say. They quote it:
// of a password with a character that should have been escaped, libpq takes a part for a host, a
// port, a database or an option, and names that. What may be such a part is left out, as these
// words go into logs, files and pages that many read.
std::string libpq_words(const char* message) {
  std::string text;
  for (const char* c = message == nullptr ? "" : message; *c != '\0'; ++c) {
    const bool ends = *c == '\n' && c[1] != '\0' && !text.empty() && text.back() != ':';
    if (ends) text += ';';
    text += *c;
  }
  text = one_line(text.c_str());
  const auto first = text.find('"');
  const auto last = text.rfind('"');
  if (first == last) return text;
  const auto has = [&text](const char* word) { return text.find(word) != std::string::npos; };
  const auto leave_out = [&text](std::size_t from, std::size_t to) {
    text.replace(from, to - from + 1, "\"…\"");
  };
  const bool is_parser = has("invalid ") || has("missing ") || has("unexpected ") ||
                         has("forbidden ") || has("could not parse") || has("end of string");
  const bool is_odd = std::count(text.begin(), text.end(), '"') % 2 != 0;
  if (is_parser || (is_odd && has("@"))) {
    leave_out(first, last);
    return text;
  }
  for (auto from = first; from != std::string::npos;) {
    const auto to = text.find('"', from + 1);
    if (to == std::string::npos) break;
    if (text.find('@', from) < to) {
      leave_out(from, to);
      from = text.find('"', from + std::string_view("\"…\"").size());
    } else {
      from = text.find('"', to + 1);
    }
  }
  return text;
}

struct ConnInfoDeleter {
  void operator()(PQconninfoOption* o) const noexcept { PQconninfoFree(o); }
};

}  // namespace

bool SqlError::retryable() const noexcept {
  return is_retryable(reason_of_sqlstate(sqlstate_));
}

ExitCode SqlError::exit_code() const noexcept {
  return exit_code_of(reason_of_sqlstate(sqlstate_));
}

void throw_error(PGconn* connection, const PGresult* result, const std::string& action) {
  const char* state = result == nullptr ? nullptr : PQresultErrorField(result, PG_DIAG_SQLSTATE);
  if (state == nullptr) {
    // Without a SQLSTATE it is libpq that speaks: the connection.
    const std::string words = libpq_words(PQerrorMessage(connection));
    throw ConnectionLost(fmt::format("{}: {}", action, words), connection_hint(words));
  }
  const char* primary = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
  const char* detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
  const char* hint = PQresultErrorField(result, PG_DIAG_MESSAGE_HINT);
  std::string text = fmt::format("{}: {}", action, one_line(primary));
  if (detail != nullptr) text += fmt::format(" ({})", one_line(detail));
  const char* user = PQuser(connection);
  throw SqlError(
      text,
      hint != nullptr ? one_line(hint) : refusal_hint(state, text, user == nullptr ? "" : user),
      state);
}

namespace {

// Whoever may create in a schema of the path, or one that is called as we are ("$user"), could
// place an operator there that fits better than PostgreSQL's own, and would be run as us. Behind a
// pooler the session is not ours alone, and who has it next would look in vain for their tables:
// there the process is not the one that was told at the connection.
void look_names_up_in_pg_catalog(PGconn* connection) {
  exec(connection, fmt::format("SELECT pg_catalog.set_config('search_path', '', "
                               "pg_catalog.pg_backend_pid() OPERATOR(pg_catalog.<>) {})",
                               PQbackendPID(connection)));
}

}  // namespace

PgConn connect(const std::string& conninfo, const std::string& application_name,
               const std::vector<std::pair<std::string, std::string>>& extra) {
  std::vector<const char*> keys = {"fallback_application_name"};
  std::vector<const char*> values = {application_name.c_str()};
  char* problem = nullptr;
  const std::unique_ptr<PQconninfoOption, ConnInfoDeleter> parsed(
      PQconninfoParse(conninfo.c_str(), &problem));
  if (!parsed) {
    const std::string text = libpq_words(problem);
    PQfreemem(problem);
    throw ConfigError(fmt::format("cannot read the connection string: {}", text),
                      "write it as \"host=db1 dbname=prod user=mirror\", or as a URI: "
                      "postgresql://mirror@db1/prod");
  }
  for (const PQconninfoOption* option = parsed.get(); option->keyword != nullptr; ++option) {
    if (option->val == nullptr || option->val[0] == '\0') continue;
    keys.push_back(option->keyword);
    values.push_back(option->val);
  }
  for (const auto& [key, value] : extra) {
    keys.push_back(key.c_str());
    values.push_back(value.c_str());
  }
  keys.push_back(nullptr);
  values.push_back(nullptr);
  PgConn connection(PQconnectdbParams(keys.data(), values.data(), 0));
  if (!connection) throw std::bad_alloc();
  if (PQstatus(connection.get()) != CONNECTION_OK) {
    const std::string words = libpq_words(PQerrorMessage(connection.get()));
    throw NotConnected(fmt::format("could not connect to PostgreSQL: {}", words),
                       connection_hint(words), connection_reason(words));
  }
  // A notice is for psql's users; errors come through results.
  PQsetNoticeProcessor(
      connection.get(), [](void*, const char*) {}, nullptr);
  look_names_up_in_pg_catalog(connection.get());
  return connection;
}

namespace {

PgResult checked(PGconn* connection, PgResult result, const std::string& sql) {
  const ExecStatusType status = PQresultStatus(result.get());
  if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK && status != PGRES_COPY_OUT &&
      status != PGRES_COPY_BOTH && status != PGRES_COPY_IN) {
    spdlog::debug("what PostgreSQL refuses: {}", sql);
    throw_error(connection, result.get(), "PostgreSQL refuses");
  }
  return result;
}

}  // namespace

PgResult exec(PGconn* connection, const std::string& sql) {
  return checked(connection, PgResult(PQexec(connection, sql.c_str())), sql);
}

void send(PGconn* connection, const std::string& sql) {
  if (PQsendQuery(connection, sql.c_str()) == 0) {
    throw_error(connection, nullptr, "PostgreSQL refuses");
  }
}

bool is_answered(PGconn* connection, std::chrono::steady_clock::time_point until,
                 const Stop& stop) {
  // A request to end a statement may come before the server has begun it, and is lost then.
  constexpr std::chrono::milliseconds kBetweenRequests{100};
  while (PQisBusy(connection) != 0) {
    const auto now = std::chrono::steady_clock::now();
    const bool stopped = stop.requested();
    if (stopped) Cancel(connection).ask();
    if (!stopped && now >= until) return false;
    WaitSet news{PQsocket(connection)};
    if (!stopped) news.add(stop.fd());
    const auto next = now + kBetweenRequests;
    news.wait_until(stopped ? next : std::min(until, next));
    if (news.ready(PQsocket(connection)) && PQconsumeInput(connection) == 0) {
      throw_error(connection, nullptr, "PostgreSQL refuses");
    }
  }
  return true;
}

void take_answer(PGconn* connection, const std::string& sql) {
  PgResult answer(PQgetResult(connection));
  while (PgResult more{PQgetResult(connection)}) answer = std::move(more);
  checked(connection, std::move(answer), sql);
}

PgResult exec_params(PGconn* connection, const std::string& sql,
                     const std::vector<std::string>& params) {
  std::vector<const char*> values;
  values.reserve(params.size());
  for (const std::string& param : params) values.push_back(param.c_str());
  return checked(connection,
                 PgResult(PQexecParams(connection, sql.c_str(), static_cast<int>(values.size()),
                                       nullptr, values.data(), nullptr, nullptr, 0)),
                 sql);
}

std::optional<std::string> query_value(PGconn* connection, const std::string& sql,
                                       const std::vector<std::string>& params) {
  const PgResult result =
      params.empty() ? exec(connection, sql) : exec_params(connection, sql, params);
  if (PQntuples(result.get()) < 1 || PQgetisnull(result.get(), 0, 0)) return std::nullopt;
  return std::string(PQgetvalue(result.get(), 0, 0),
                     static_cast<std::size_t>(PQgetlength(result.get(), 0, 0)));
}

void Cancel::ask() const noexcept {
  char problem[256];
  if (cancel_ != nullptr) PQcancel(cancel_.get(), problem, sizeof problem);
}

std::string quote_identifier(std::string_view name) {
  return quoted(name, '"');
}
std::string quote_literal(std::string_view text) {
  return quoted(text, '\'');
}

void commit_nothing(PGconn* connection) {
  for (const char* sql :
       {"BEGIN", "SET LOCAL synchronous_commit = local", "SELECT pg_current_xact_id()", "COMMIT"}) {
    exec(connection, sql);
  }
}

}  // namespace daystream::program
