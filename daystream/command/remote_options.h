// Who we are to other hosts: flags that every command takes, before or after its name.
#pragma once

#include <CLI/CLI.hpp>

#include "remote/http_client.h"

namespace daystream::command {

// `options` must outlive the parsing.
inline void add_remote_options(CLI::App& app, remote::Options& options) {
  const std::string group = "For an http(s):// STREAM";
  app.add_option("--ca", options.ca, "file with the certificates that may vouch for it (PEM)")
      ->envname("DAYSTREAM_CA")
      ->group(group);
  auto* cert = app.add_option("--cert", options.cert, "file with our own certificate (PEM)")
                   ->envname("DAYSTREAM_CERT")
                   ->group(group);
  auto* key = app.add_option("--key", options.key, "file with its private key (PEM)")
                  ->envname("DAYSTREAM_KEY")
                  ->group(group);
  cert->needs(key);
  key->needs(cert);
  app.add_option("--token-file", options.token_file,
                 "file with our token (or the token itself in DAYSTREAM_TOKEN)")
      ->envname("DAYSTREAM_TOKEN_FILE")
      ->group(group);
  app.add_flag("--token-in-the-clear", options.token_in_the_clear,
               "send the token without TLS to another machine too, where anybody on the way can "
               "read it")
      ->envname("DAYSTREAM_TOKEN_IN_THE_CLEAR")
      ->group(group);
}

}  // namespace daystream::command
