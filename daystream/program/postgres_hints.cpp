#include "program/postgres_hints.h"

#include <fmt/format.h>

#include <regex>

#include "program/postgres.h"

namespace daystream::program {

namespace {

// The line that pg_hba.conf lacks, of a kind that fits how we came; empty: the words are of
// something else.
std::string missing_hba_line(const std::string& words) {
  static const std::regex kEntry(
      "no pg_hba.conf entry for host \"([^\"]*)\", user \"([^\"]*)\", database \"([^\"]*)\""
      "(, SSL encryption)?");
  std::smatch found;
  if (!std::regex_search(words, found, kEntry)) return {};
  const std::string host = found[1];
  const bool local = host == "[local]";
  const bool v6 = host.find(':') != std::string::npos;
  const std::string address = local ? "" : fmt::format(" {}/{}", host, v6 ? 128 : 32);
  return fmt::format(
      "add this line to the server's pg_hba.conf, then SELECT pg_reload_conf(): {} {} {}{} "
      "scram-sha-256",
      local              ? "local"
      : found[4].matched ? "hostssl"
                         : "host",
      quote_identifier(found[3].str()), quote_identifier(found[2].str()), address);
}

struct Advice {
  std::string_view words;
  std::string_view hint;
  Reason reason = Reason::Away;
};
constexpr Advice kConnection[] = {
    {"password authentication failed",
     "the role or its password is another one: look at user=… and at the file that PGPASSFILE "
     "names, or ~/.pgpass",
     Reason::Refused},
    {"no password supplied",
     "put the password into the file that PGPASSFILE names, or ~/.pgpass, readable by you alone",
     Reason::Refused},
    {"Peer authentication failed",
     "over the socket a role is let in as the user of the same name: run this as that user, or "
     "connect with host=… and a password",
     Reason::Refused},
    {"pg_hba.conf rejects",
     "a line of the server's pg_hba.conf with \"reject\" is the first that fits: put one that lets "
     "us in before it",
     Reason::Refused},
    {"startup parameter: replication",
     "this is a pooler, which passes no replication on: name the server itself with host=… and "
     "port=…",
     Reason::Refused},
    {"replication role to start walsender", "as a superuser: ALTER ROLE … REPLICATION;",
     Reason::Refused},
    {"permission denied to start WAL sender", "as a superuser: ALTER ROLE … REPLICATION;",
     Reason::Refused},
    {"is not permitted to log in", "as a superuser: ALTER ROLE … LOGIN;", Reason::Refused},
    {"permission denied for database", "as its owner: GRANT CONNECT ON DATABASE … TO …;",
     Reason::Refused},
    {"could not translate host name", "no such host is known here: look at host=… and at the DNS"},
    {"onnection refused",
     "nothing listens there: look at host=… and port=…, whether the server runs, and at its "
     "listen_addresses"},
    {"No such file or directory",
     "no server listens at that socket: name its folder, or a host, with host=…"},
    {"timeout expired", "no answer came: look at host=… and port=…, and at firewalls in between"},
    {"timed out", "no answer came: look at host=… and port=…, and at firewalls in between"},
    {"No route to host", "look at host=…, and at the network and firewalls in between"},
    {"requested standby connections exceeds", "raise max_wal_senders, and restart the server"},
    {"too many", "raise max_connections, or the role's CONNECTION LIMIT"},
    {"remaining connection slots", "raise max_connections, and restart the server"},
    {"starting up", "it takes up connections in a moment"},
    {"recovery mode", "it takes up connections in a moment"},
    {"shutting down", "start the server again"},
    {"server does not support SSL", "set ssl = on at the server; or sslmode=prefer, unencrypted",
     Reason::Refused},
    {"certificate verify failed",
     "sslrootcert=… must name the file of who has signed the server's certificate",
     Reason::Refused},
    {"root certificate file", "name that file with sslrootcert=…", Reason::Refused},
    {"does not match host name", "connect by the name that the server's certificate is for",
     Reason::Refused},
    {"definition of service", "look at the file that PGSERVICEFILE names, or ~/.pg_service.conf",
     Reason::Refused},
    {"does not exist", "look at user=… and dbname=…; \"psql -l\" lists the databases",
     Reason::Refused},
};

// What GRANT has to be of: `permission denied for table x`.
std::string missing_grant(const std::string& words, const std::string& user) {
  static const std::regex kDenied(
      "permission denied for (table|view|materialized view|schema|"
      "function|sequence) \"?([^\" ]+)\"?");
  std::smatch found;
  if (!std::regex_search(words, found, kDenied)) return {};
  const std::string kind = found[1];
  const char* const right = kind == "schema"     ? "USAGE ON SCHEMA"
                            : kind == "function" ? "EXECUTE ON FUNCTION"
                                                 : "SELECT ON";
  return fmt::format("as its owner: GRANT {} {} TO {};", right, found[2].str(),
                     quote_identifier(user));
}

}  // namespace

std::string connection_hint(const std::string& words) {
  if (std::string line = missing_hba_line(words); !line.empty()) return line;
  for (const Advice& advice : kConnection) {
    if (words.find(advice.words) != std::string::npos) return std::string(advice.hint);
  }
  return "\"psql\" with the same connection string says the same: make that one work first.";
}

Reason connection_reason(const std::string& words) {
  Reason reason =
      words.find("no pg_hba.conf entry") != std::string::npos ? Reason::Refused : Reason::Away;
  for (const Advice& advice : kConnection) {
    if (words.find(advice.words) == std::string::npos) continue;
    if (advice.reason == Reason::Away) return Reason::Away;
    reason = advice.reason;
  }
  return reason;
}

std::string refusal_hint(std::string_view sqlstate, const std::string& words,
                         const std::string& user) {
  if (sqlstate == "42501") {
    if (words.find("row-level security") != std::string::npos) {
      return fmt::format("ALTER ROLE {} BYPASSRLS; else rows would be missing without a word.",
                         quote_identifier(user));
    }
    return missing_grant(words, user);
  }
  if (sqlstate == "57014") return "it was cancelled, by a person or a timeout: try again";
  return {};
}

}  // namespace daystream::program
