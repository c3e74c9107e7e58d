#include "program/usage.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <regex>

namespace daystream::program {

namespace {

// Letters to insert, leave out, change or swap with the next.
std::size_t distance(const std::string& a, const std::string& b) {
  std::vector<std::vector<std::size_t>> d(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) {
    for (std::size_t j = 0; j <= b.size(); ++j) {
      if (i == 0 || j == 0) {
        d[i][j] = i + j;
        continue;
      }
      d[i][j] = std::min(
          {d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
      }
    }
  }
  return d[a.size()][b.size()];
}

std::vector<std::string> commands_of(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    names.push_back(command->get_name());
  }
  return names;
}

std::vector<std::string> options_of(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* of = &app; of != nullptr; of = of->get_parent()) {
    for (const CLI::Option* option : of->get_options()) {
      for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    }
  }
  return names;
}

// The command that the line names, as far as it names one.
const CLI::App& chosen_command(const CLI::App& app) {
  const CLI::App* at = &app;
  while (!at->get_subcommands().empty()) at = at->get_subcommands().back();
  return *at;
}

std::string name_below(const CLI::App& app, const CLI::App& command) {
  std::string name;
  for (const CLI::App* at = &command; at != &app && at != nullptr; at = at->get_parent()) {
    name.insert(0, name.empty() ? at->get_name() : at->get_name() + " ");
  }
  return name;
}

std::string unexpected(const CLI::App& app, const CLI::App& command,
                       const std::vector<std::string>& words) {
  const auto option =
      std::find_if(words.begin(), words.end(), [](const auto& w) { return w.starts_with('-'); });
  if (option == words.end()) {
    return fmt::format("unrecognized argument \"{}\"{}", words.front(),
                       did_you_mean(words.front(), commands_of(command)));
  }
  const std::string name = option->substr(0, option->find('='));
  if (&command != &app && command.get_option_no_throw(name) != nullptr) {
    return fmt::format("option \"{}\" is one of \"{}\": write it behind that", name,
                       name_below(app, command));
  }
  return fmt::format("unrecognized option \"{}\"{}", name, did_you_mean(name, options_of(command)));
}

// What is wanted where `value` is none of the numbers of an option.
std::string number_of(const CLI::Option& option, const std::string& value) {
  const bool is_digits = !value.empty() && std::all_of(value.begin(), value.end(),
                                                       [](char c) { return c >= '0' && c <= '9'; });
  const std::string& type = option.get_type_name();
  const char* const wanted = is_digits                  ? "too large"
                             : type.starts_with("UINT") ? "must be a whole number, 0 or more"
                             : type.starts_with("INT")  ? "must be a whole number"
                                                        : "must be a number";
  return fmt::format("invalid {} \"{}\": {}", option.get_name(), value, wanted);
}

// CLI11's words for values, as it writes them.
std::string of_value(const CLI::App& command, const std::string& said) {
  static const std::regex not_one(R"(^(\S+): (.*) not in \{(.*)\}$)");
  static const std::regex not_within(R"(^(\S+): Value (.*) not in range \[?(.*?)\]?$)");
  static const std::regex no_number(R"(^Could not convert: (\S+) = (.*)$)");
  static const std::regex none_given(R"(^(\S+): \d+ required .* missing$)");
  std::smatch part;
  if (std::regex_match(said, part, not_one)) {
    const std::string words = std::regex_replace(part[3].str(), std::regex(","), ", ");
    return fmt::format("invalid {} \"{}\": must be one of {}", part[1].str(), part[2].str(), words);
  }
  if (std::regex_match(said, part, not_within)) {
    const std::string range = std::regex_replace(part[3].str(), std::regex(" - "), " to ");
    return fmt::format("invalid {} \"{}\": must be {}", part[1].str(), part[2].str(), range);
  }
  if (std::regex_match(said, part, no_number)) {
    for (const CLI::App* at = &command; at != nullptr; at = at->get_parent()) {
      const CLI::Option* const option = at->get_option_no_throw(part[1].str());
      if (option != nullptr) return number_of(*option, part[2].str());
    }
  }
  if (std::regex_match(said, part, none_given)) {
    return fmt::format("{} needs a value", part[1].str());
  }
  return said;
}

// A command that stands where what it is for should: "group list STREAM".
std::string misplaced_command(const CLI::App& command, const std::vector<std::string>& commands) {
  for (const CLI::Option* option : command.get_options()) {
    if (!option->get_positional() || option->empty()) continue;
    const std::string& value = option->results().front();
    if (std::find(commands.begin(), commands.end(), value) == commands.end()) continue;
    return fmt::format("\"{}\" belongs after {}", value, option->get_name());
  }
  return {};
}

std::string words_for(const CLI::App& app, const CLI::App& command, const CLI::ParseError& error) {
  const std::vector<std::string> left = app.remaining(true);
  const std::vector<std::string> commands = commands_of(command);
  if (!commands.empty() && command.get_require_subcommand_min() > 0) {
    if (left.empty()) return fmt::format("no command: {}", fmt::join(commands, ", "));
    const auto word = std::find_if(left.begin(), left.end(),
                                   [](const auto& each) { return !each.starts_with('-'); });
    if (word == left.end()) return unexpected(app, command, left);
    if (std::string misplaced = misplaced_command(command, commands); !misplaced.empty()) {
      return misplaced;
    }
    const std::string like = did_you_mean(*word, commands);
    return fmt::format(
        "unknown command \"{}\"{}", *word,
        like.empty() ? fmt::format(": there are {}", fmt::join(commands, ", ")) : like);
  }
  const bool is_extra = dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr;
  // What lacks may be what was mistyped.
  const bool is_mistyped =
      dynamic_cast<const CLI::RequiredError*>(&error) != nullptr &&
      std::any_of(left.begin(), left.end(), [](const auto& each) { return each.starts_with('-'); });
  if (!left.empty() && (is_extra || is_mistyped || error.get_exit_code() == 0)) {
    return unexpected(app, command, left);
  }
  if (!left.empty() && &command != &app &&
      dynamic_cast<const CLI::RequiredError*>(&error) != nullptr) {
    return fmt::format("\"{}\" belongs after \"{}\"", left.front(), name_below(app, command));
  }
  return of_value(command, error.what());
}

// What is empty is most often a shell's variable that is not set, and would stand for the current
// directory, or for all tables. libpq, though, takes an empty connection string as one.
void refuse_empty(const CLI::App& app, const CLI::App& command, const CLI::Option& option) {
  constexpr const char* kConnection = "--dbname";
  if (option.get_items_expected_min() == 0 || option.check_name(kConnection)) return;
  const std::vector<std::string>& values = option.results();
  // The words of another program may be empty.
  const auto end = option.get_positional() && !values.empty() ? values.begin() + 1 : values.end();
  if (std::find(values.begin(), end, "") == end) return;
  throw UsageError(fmt::format("{} is empty: is a variable not set?", option.get_name()),
                   name_below(app, command));
}

// CLI11 lets them wrap around.
void refuse_negative(const CLI::App& app, const CLI::App& command, const CLI::Option& option) {
  if (!option.get_type_name().starts_with("UINT")) return;
  for (const std::string& value : option.results()) {
    if (!value.starts_with('-')) continue;
    throw UsageError(number_of(option, value), name_below(app, command));
  }
}

// Which of two values counts, nobody should have to guess. (The values stay unsaid: a connection
// string may hold a password.)
void refuse_repeated(const CLI::App& app, const CLI::App& command, const CLI::Option& option,
                     const std::vector<std::string>& beneath) {
  if (option.get_items_expected_max() != 1 ||
      option.get_multi_option_policy() != CLI::MultiOptionPolicy::TakeLast) {
    return;
  }
  const bool is_beneath = std::any_of(beneath.begin(), beneath.end(), [&](const std::string& flag) {
    return option.check_name(flag.substr(0, flag.find('=')));
  });
  const std::vector<std::string>& values = option.results();
  const auto first = values.begin() + (is_beneath ? 1 : 0);
  if (std::adjacent_find(first, values.end(), std::not_equal_to<>()) == values.end()) return;
  throw UsageError(
      fmt::format("{} is given more than once, with different values", option.get_name()),
      name_below(app, command));
}

void check_values(const CLI::App& app, const std::vector<std::string>& beneath) {
  const CLI::App& command = chosen_command(app);
  for (const CLI::App* of = &command; of != nullptr; of = of->get_parent()) {
    for (const CLI::Option* option : of->get_options()) {
      refuse_empty(app, command, *option);
      refuse_negative(app, command, *option);
      refuse_repeated(app, command, *option, beneath);
    }
  }
}

}  // namespace

void usage(const std::string& message) {
  throw CLI::ParseError(message, CLI::ExitCodes::InvalidError);
}

void parse(CLI::App& app, const std::vector<std::string>& arguments,
           const std::vector<std::string>& beneath) {
  std::vector<std::string> all(arguments.rbegin(), arguments.rend());  // as CLI11 takes a vector
  try {
    app.parse(all);
    check_values(app, beneath);
  } catch (const CLI::ParseError& e) {
    if (dynamic_cast<const UsageError*>(&e) != nullptr) throw;
    const CLI::App& command = chosen_command(app);
    const bool is_all = app.remaining(true).empty();
    if (e.get_exit_code() != 0 || !is_all) {
      throw UsageError(words_for(app, command, e), name_below(app, command));
    }
    if (dynamic_cast<const CLI::CallForHelp*>(&e) == nullptr) throw;
    throw CLI::ParseError(app.help(), CLI::ExitCodes::Success);
  }
}

std::string did_you_mean(const std::string& word, const std::vector<std::string>& words) {
  const std::string like = most_like(word, words);
  return like.empty() ? std::string() : fmt::format(": did you mean \"{}\"?", like);
}

std::string most_like(const std::string& word, const std::vector<std::string>& words) {
  std::string best;
  std::size_t least = std::max<std::size_t>(1, word.size() / 3) + 1;
  for (const std::string& candidate : words) {
    const std::size_t changes = distance(word, candidate);
    if (changes >= least || changes >= candidate.size()) continue;
    least = changes;
    best = candidate;
  }
  return best;
}

}  // namespace daystream::program
