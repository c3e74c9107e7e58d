// The flags of every command that reads from another host.
#pragma once

#include <CLI/CLI.hpp>

#include "remote/http_client.h"

namespace daystream::command {

// `options` must outlive the parsing.
inline void add_remote_options(CLI::App& command, remote::Options& options) {
  command.add_option("--ca", options.ca,
                     "file with the certificates that may vouch for the server (PEM)");
  auto* cert = command.add_option("--cert", options.cert, "file with our own certificate (PEM)");
  auto* key = command.add_option("--key", options.key, "file with its private key (PEM)");
  cert->needs(key);
  key->needs(cert);
  command.add_option("--token-file", options.token_file,
                     "file with our token (default: the environment's DAYSTREAM_TOKEN)");
}

}  // namespace daystream::command
