#include "server/server_error.h"

#include <string_view>

#include "server/slot.h"

namespace deltastream {

using daystream::ConfigError;
using daystream::ConnectionLost;
using daystream::NeedsPerson;
using daystream::program::SqlError;

void explain_server_error(const SqlError& error) {
  const std::string_view state = error.sqlstate();
  const std::string text = error.what();
  const auto says = [&](std::string_view words) { return text.find(words) != std::string::npos; };

  // The plugin is not there, or not allowed. Before the classes: SQLSTATEs differ by version.
  if (says("may not be used as an output plugin")) {
    throw NeedsPerson(text,
                      "as a superuser: ALTER SYSTEM SET output_plugin_libraries = "
                      "pgoutput, test_decoding, deltaflood; SELECT pg_reload_conf();");
  }
  if (says("could not access file \"deltaflood\"")) {
    throw NeedsPerson(text,
                      "install deltaflood.so in the server's $libdir (pg_config --pkglibdir), or "
                      "add its folder to dynamic_library_path");
  }

  // The plugin's own (plugin/claim.h).
  if (state == "DF001") {
    throw NeedsPerson(
        text,
        "a slot and a daystream belong to each other: name that daystream's directory with -D, or "
        "another slot with -S; --adopt-slot takes the slot, and then the other daystream cannot go "
        "on and its mirrors must be seeded again");
  }
  if (error.retryable()) throw ConnectionLost(text, error.hint());
  // object_in_use: most often our own last session, which the server has not missed yet.
  if (state == "55006") throw ConnectionLost(text, "another client streams from this slot");
  if (state == "42704") {
    throw SlotLost(text);
  }
  // The WAL the slot needs is gone: 55000 from 15's check of the slot, 58P01 from the WAL reader.
  if (says("can no longer get changes") || says("has already been removed")) {
    throw SlotLost(text);
  }
  if (says("logical decoding cannot be used while in recovery")) {
    throw ConnectionLost(text, "this server is a standby: connect to the primary");
  }
  if (says("wal_level")) {
    throw NeedsPerson(text, "ALTER SYSTEM SET wal_level = logical; then restart the server");
  }
  if (state == "42501") {
    throw NeedsPerson(text, "the role needs REPLICATION: ALTER ROLE … REPLICATION;");
  }
  // invalid_parameter_value comes from the plugin: a filter it cannot parse.
  if (state == "22023") throw ConfigError(text, error.hint());
  throw SqlError(text, error.hint(), error.sqlstate());
}

}  // namespace deltastream
