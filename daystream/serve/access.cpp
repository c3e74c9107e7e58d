#include "serve/access.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fnmatch.h>
#include <openssl/rand.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>
#include <sstream>

#include "calendar.h"
#include "daystream/error.h"
#include "daystream/manifest.h"
#include "daystream/unique_fd.h"
#include "program/sha256.h"
#include "write_all.h"

namespace daystream::serve {

namespace {

constexpr const char* kLineHint =
    "a line is sha256:DIGITS or cert:NAME, a name, then streams=, tables=, fleet=, expires= as "
    "need be, "
    "and \"end\": \"daystream token\" writes one";

constexpr std::string_view kBearer = "Bearer ";
constexpr std::size_t kTokenBytes = 32;
constexpr std::size_t kHashDigits = 64;
// The last word of each line that "daystream token" writes: one that was cut short says less than
// was meant, and less said is more allowed.
constexpr std::string_view kEnd = "end";

std::string hex(const unsigned char* bytes, std::size_t size) {
  std::string text;
  for (std::size_t i = 0; i < size; ++i) text += fmt::format("{:02x}", bytes[i]);
  return text;
}

// Of a list with commas.
std::vector<std::string> words_of(const std::string& list) {
  std::vector<std::string> out;
  std::istringstream words(list);
  for (std::string word; std::getline(words, word, ',');) {
    if (!word.empty()) out.push_back(word);
  }
  return out;
}

bool is_word(std::string_view text) {
  return !text.empty() && std::none_of(text.begin(), text.end(), [](unsigned char c) {
    return c <= ' ' || c == ',' || c == 0x7f;
  });
}

void check_private(int fd, const std::filesystem::path& file) {
  struct stat status {};
  if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
    throw ConfigError(fmt::format("token file \"{}\" is no file", file.string()),
                      "name the file that \"daystream token\" was given");
  }
  if ((status.st_mode & 077) != 0) {
    throw ConfigError(
        fmt::format("token file \"{}\" may be read or written by others than its owner",
                    file.string()),
        fmt::format("chmod 600 \"{}\"", file.string()));
  }
}

std::string read_all(int fd, const std::filesystem::path& file) {
  std::string text;
  char bytes[4096];
  for (;;) {
    const ssize_t got = read(fd, bytes, sizeof bytes);
    if (got == 0) return text;
    if (got < 0 && errno == EINTR) continue;
    if (got < 0)
      throw IoError(fmt::format("could not read token file \"{}\"", file.string()), errno);
    text.append(bytes, static_cast<std::size_t>(got));
  }
}

ConfigError cut_short() {
  return ConfigError("it is cut short",
                     "what is missing may limit the token: write the line again, with "
                     "\"daystream token\" or by hand, to the word \"end\"");
}

}  // namespace

bool Grant::covers(std::string_view stream) const {
  return streams.empty() || std::find(streams.begin(), streams.end(), stream) != streams.end();
}

bool Grant::covers_mirror(const std::string& mirror) const {
  return std::any_of(fleet.begin(), fleet.end(), [&](const std::string& pattern) {
    return fnmatch(pattern.c_str(), mirror.c_str(), 0) == 0;
  });
}

Access::Access(std::filesystem::path file) : file_(std::move(file)), entries_(load(file_)) {
  index();
}

void Access::reload() {
  entries_ = load(file_);
  index();
}

void Access::index() {
  by_hash_.clear();
  by_certificate_.clear();
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    const Entry& entry = entries_[i];
    if (entry.hash.empty()) {
      by_certificate_[entry.certificate].push_back(i);
    } else {
      by_hash_[entry.hash].push_back(i);
    }
  }
}

std::vector<Access::Entry> Access::load(const std::filesystem::path& file) {
  const UniqueFd fd(open(file.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  if (!fd)
    throw ConfigError(fmt::format("could not open token file \"{}\"", file.string()),
                      "name the file that \"daystream token\" was given, which this user may read");
  check_private(fd.get(), file);
  return parse_all(read_all(fd.get(), file), file);
}

std::vector<Access::Entry> Access::parse_all(const std::string& text,
                                             const std::filesystem::path& file) {
  std::vector<Entry> entries;
  std::istringstream lines(text);
  std::size_t number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    if (line.empty() || line.front() == '#') continue;
    try {
      entries.push_back(parse(line));
      // A line that people write has no last word: where the file ends in it, it may be half.
      if (lines.eof() && !entries.back().has_end) throw cut_short();
    } catch (const ConfigError& e) {
      throw ConfigError(
          fmt::format("token file \"{}\", line {}: {}", file.string(), number, e.what()), e.hint());
    }
  }
  return entries;
}

Access::Entry Access::parse(const std::string& line) {
  std::istringstream words(line);
  std::string word;
  Entry entry;
  words >> word;
  if (word.starts_with("sha256:")) {
    entry.hash = word.substr(7);
    if (entry.hash.size() != kHashDigits ||
        entry.hash.find_first_not_of("0123456789abcdef") != std::string::npos) {
      throw ConfigError("not 64 hexadecimal digits after \"sha256:\"", "see \"daystream token\"");
    }
  } else if (word.starts_with("cert:") && word.size() > 5) {
    entry.certificate = word.substr(5);
  } else {
    throw ConfigError("it begins neither with \"sha256:\" nor \"cert:\"", kLineHint);
  }
  if (!(words >> entry.grant.name)) throw ConfigError("the name is missing", kLineHint);
  while (words >> word) {
    if (entry.has_end) throw ConfigError("something follows the word \"end\"", kLineHint);
    if (word == kEnd) {
      entry.has_end = true;
    } else if (word.starts_with("streams=")) {
      entry.grant.streams = words_of(word.substr(8));
      // An empty list would mean all of them.
      if (entry.grant.streams.empty()) throw ConfigError("\"streams=\" names none", kLineHint);
    } else if (word.starts_with("fleet=")) {
      entry.grant.fleet = words_of(word.substr(6));
      if (entry.grant.fleet.empty()) throw ConfigError("\"fleet=\" names none", kLineHint);
    } else if (word.starts_with("tables=")) {
      entry.grant.tables = word.substr(7);
      // Throws where it is no table list, the empty one included.
      check_table_list(entry.grant.tables);
    } else if (word.starts_with("expires=")) {
      entry.last_day = parse_day(word.substr(8));
      if (!entry.last_day)
        throw ConfigError(fmt::format("invalid day \"{}\"", word.substr(8)),
                          "write it as expires=2026-12-31");
    } else {
      throw ConfigError(fmt::format("unknown word \"{}\"", word), kLineHint);
    }
  }
  if (!entry.hash.empty() && !entry.has_end) throw cut_short();
  return entry;
}

std::optional<Grant> Access::check(std::string_view authorization,
                                   const std::string& certificate) const {
  const std::int64_t today = day_number(std::time(nullptr));
  std::optional<std::size_t> found;
  const auto look_up = [&](const auto& places, const std::string& key) {
    const auto known = places.find(key);
    if (known == places.end()) return;
    for (const std::size_t each : known->second) {
      const auto& last_day = entries_[each].last_day;
      if (!last_day || today <= *last_day) found = std::max(found.value_or(each), each);
    }
  };
  if (authorization.starts_with(kBearer)) {
    look_up(by_hash_, program::sha256_of(authorization.substr(kBearer.size())));
  }
  if (!certificate.empty()) look_up(by_certificate_, certificate);
  if (!found) return std::nullopt;
  return entries_[*found].grant;
}

std::string Access::make_token() {
  std::array<unsigned char, kTokenBytes> bytes{};
  if (RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) != 1) {
    throw Error("the system has no random numbers", "look at the installation of OpenSSL");
  }
  return hex(bytes.data(), bytes.size());
}

std::string Access::line_for(const std::string& token, const std::string& name,
                             const std::vector<std::string>& streams, const std::string& tables,
                             const std::vector<std::string>& fleet, const std::string& expires) {
  if (!is_word(name))
    throw ConfigError(fmt::format("\"{}\" is not a name: one word", name),
                      "choose one without spaces");
  for (const std::string& stream : streams) {
    if (!is_word(stream))
      throw ConfigError(fmt::format("\"{}\" is not a stream's name", stream),
                        "name it as the server does: letters, digits, - _ .");
  }
  for (const std::string& mirror : fleet) {
    if (!is_word(mirror))
      throw ConfigError(fmt::format("\"{}\" is not a mirror's name, or a pattern of one", mirror),
                        "name it as /fleet/NAME has it, or write a pattern: edge-*");
  }
  if (!tables.empty() && !std::all_of(tables.begin(), tables.end(),
                                      [](unsigned char c) { return c > ' ' && c != 0x7f; })) {
    throw ConfigError(fmt::format("table list \"{}\" is not one word", tables),
                      "a name with a space in it cannot be part of a token's line");
  }
  if (!expires.empty() && !parse_day(expires)) {
    throw ConfigError(fmt::format("invalid day \"{}\" for --expires", expires),
                      "write it as 2026-12-31");
  }
  std::string line = fmt::format("sha256:{} {}", program::sha256_of(token), name);
  if (!streams.empty()) line += fmt::format(" streams={}", fmt::join(streams, ","));
  if (!tables.empty()) line += " tables=" + tables;
  if (!fleet.empty()) line += fmt::format(" fleet={}", fmt::join(fleet, ","));
  if (!expires.empty()) line += " expires=" + expires;
  line += fmt::format(" {}", kEnd);
  parse(line);
  return line;
}

void Access::append_line(const std::filesystem::path& file, const std::string& line) {
  const UniqueFd fd(open(file.c_str(), O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd) throw IoError(fmt::format("could not open token file \"{}\"", file.string()), errno);
  check_private(fd.get(), file);
  // Nothing is put behind what cannot be understood, and no half line is made whole by us.
  const std::string before = read_all(fd.get(), file);
  parse_all(before, file);
  const bool ended = before.empty() || before.back() == '\n';
  const std::string text = (ended ? "" : "\n") + line + "\n";
  if (!write_all(fd.get(), text) || fsync(fd.get()) != 0) {
    throw IoError(fmt::format("could not write token file \"{}\"", file.string()), errno);
  }
}

}  // namespace daystream::serve
