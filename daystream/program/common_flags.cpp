#include "program/common_flags.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <vector>

#include "commit.h"
#include "program/terminal.h"

namespace daystream::program {

namespace {

using nlohmann::ordered_json;

// CLI11 writes what IsMember() allows behind the type: "TEXT:{error,warn}".
std::vector<std::string> choices_in(const std::string& type) {
  std::vector<std::string> out;
  const std::size_t open = type.find('{');
  const std::size_t close = type.find('}', open);
  if (open == std::string::npos || close == std::string::npos) return out;
  std::size_t begin = open + 1;
  while (begin < close) {
    const std::size_t end = std::min(type.find(',', begin), close);
    out.push_back(type.substr(begin, end - begin));
    begin = end + 1;
  }
  return out;
}

void set_text(ordered_json& out, const char* key, const std::string& text) {
  if (!text.empty()) out[key] = text;
}

ordered_json describe(const CLI::Option& option) {
  ordered_json out;
  out["names"] = ordered_json::array();
  for (const std::string& name : option.get_snames()) out["names"].push_back("-" + name);
  for (const std::string& name : option.get_lnames()) out["names"].push_back("--" + name);
  if (option.get_positional()) set_text(out, "positional", option.get_name(true));
  if (option.get_items_expected_max() > 0) {
    const std::string type = option.get_type_name();
    set_text(out, "value", type.substr(0, type.find(':')));
    const std::vector<std::string> choices = choices_in(type);
    if (!choices.empty()) out["choices"] = choices;
  }
  set_text(out, "description", option.get_description());
  set_text(out, "default", option.get_default_str());
  set_text(out, "environment", option.get_envname());
  set_text(out, "group", option.get_group());
  if (option.get_required()) out["required"] = true;
  if (option.get_items_expected_max() > 1) out["repeats"] = true;
  return out;
}

ordered_json describe(const CLI::App& app) {
  ordered_json out;
  out["name"] = app.get_name();
  set_text(out, "description", app.get_description());
  set_text(out, "footer", app.get_footer());
  out["options"] = ordered_json::array();
  for (const CLI::Option* option : app.get_options({})) {
    if (!option->get_group().empty()) out["options"].push_back(describe(*option));
  }
  if (app.get_require_subcommand_min() > 0) out["needs_command"] = true;
  out["commands"] = ordered_json::array();
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    out["commands"].push_back(describe(*command));
  }
  return out;
}

// Words go on beneath themselves, not at the left edge where a terminal would put them.
class Help : public CLI::Formatter {
  std::string make_option_desc(const CLI::Option* option) const override {
    constexpr std::size_t kWidthOfPages = 100;  // where it is no terminal
    constexpr std::size_t kLeast = 30;
    const std::size_t width =
        is_terminal(STDOUT_FILENO) ? width_of_terminal(STDOUT_FILENO) : kWidthOfPages;
    const std::size_t beside = get_column_width() + kLeast;
    return wrapped(CLI::Formatter::make_option_desc(option),
                   std::max(width, beside) - get_column_width());
  }
};

[[noreturn]] void print(const std::string& text) {
  throw CLI::CallForVersion(text + "\n", 0);
}

}  // namespace

std::string wrapped(const std::string& text, std::size_t width) {
  std::string out;
  std::size_t column = 0;
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    if (column > 0 && column + 1 + word.size() > width) {
      out += '\n';
      column = 0;
    } else if (column > 0) {
      out += ' ';
      ++column;
    }
    out += word;
    column += word.size();
  }
  return out;
}

CLI::Option* add_json_flag(CLI::App& command, bool& json, const std::string& what) {
  return command.add_flag("--json", json, what);
}

CLI::Option* add_all_flag(CLI::App& command, bool& all, const std::string& thing) {
  return command.add_flag("--all", all, "name each " + thing + ", also where there are many");
}

CLI::Option* add_label_option(CLI::App& command, std::vector<std::string>& labels,
                              const std::string& what) {
  return command.add_option("--label", labels, what)
      ->type_name("KEY=VALUE")
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->allow_extra_args(false);
}

std::string cli_description(const CLI::App& app) {
  return describe(app).dump(1);
}

void add_common_flags(CLI::App& app, const std::string& formats) {
  app.formatter(std::make_shared<Help>());
  app.set_help_flag("-h,--help", "show this help and exit");
  app.set_version_flag("--version",
                       fmt::format("{} {} (commit {}; {})\n", app.get_name(), DELTAFLOOD_VERSION,
                                   DELTAFLOOD_COMMIT, formats),
                       "print the version and exit");
  app.add_flag_callback("--describe", [&app] { print(cli_description(app)); })->group("");
}

}  // namespace daystream::program
