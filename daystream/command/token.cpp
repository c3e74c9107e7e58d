// daystream token: makes a token with which a host may read what `daystream serve` serves.
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "commands.h"
#include "serve/access.h"

namespace daystream::command {

void add_token(CLI::App& app, Chosen& chosen) {
  struct Options {
    std::string file;
    std::string name;
    std::vector<std::string> streams;
    std::string tables;
    std::vector<std::string> fleet;
    std::string expires;
  };
  auto options = std::make_shared<Options>();
  CLI::App& command = *app.add_subcommand("token", "make a token for a reader on another host");
  command.add_option("FILE", options->file, "the file that \"daystream serve --tokens\" reads")
      ->required();
  command.add_option("NAME", options->name, "whose it is: one word, for the log")->required();
  command.add_option("--streams", options->streams, "good for these only: prod,test")
      ->delimiter(',');
  command.add_option("--tables", options->tables,
                     "good for these tables only, and no whole copy: flights,ops.*");
  command
      .add_option("--fleet", options->fleet,
                  "may read the configurations of these mirrors (\"daystream serve --fleet\"), or "
                  "of those that fit a pattern: edge7, edge-*")
      ->delimiter(',');
  command.add_option("--expires", options->expires, "good through this day, UTC: 2026-12-31");
  command.footer(
      "Prints the token, which is stored nowhere: FILE gets its SHA-256 only. Several are good at\n"
      "once; to replace one, add the new, hand it out, then delete the old line. The server reads\n"
      "FILE again on SIGHUP.\n\n"
      "Examples:\n"
      "  (umask 077; daystream token /etc/daystream/tokens edge7 --streams prod > edge7.token)\n"
      "  daystream tail https://stream1:8447/prod --token-file edge7.token");
  command.callback([options, &chosen] {
    chosen = [options](const Reach&) {
      const std::string token = serve::Access::make_token();
      serve::Access::append_line(
          options->file,
          serve::Access::line_for(token, options->name, options->streams, options->tables,
                                  options->fleet, options->expires));
      std::puts(token.c_str());
      return 0;
    };
  });
}

}  // namespace daystream::command
