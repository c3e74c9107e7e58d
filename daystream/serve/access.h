// Who may read what: bearer tokens and client certificates, each with the streams it is good for.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace daystream::serve {

// The client that asks, and what it may see.
struct Grant {
  std::string name;                     // for the log; nothing secret
  std::vector<std::string> streams;     // empty: all
  std::string tables;                   // a table list, of each of them; empty: all
  std::vector<std::string> fleet = {};  // patterns of the mirrors whose configurations it may read

  bool covers(std::string_view stream) const;
  bool covers_mirror(const std::string& name) const;
  bool is_limited() const noexcept { return !tables.empty(); }  // to some tables (PROTOCOL.md)
};

// A file of lines, of which any number may be in force at once, so that a token can be replaced
// while the old one is still good:
//
//   sha256:HEX NAME [streams=prod,test] [tables=flights,ops.*] [fleet=edge-*] [expires=2026-12-31]
//   … end
//   cert:COMMON-NAME NAME [streams=…] [tables=…] [fleet=…] [expires=…] [end]
//
// A line that was cut short would allow more than was meant. So a token's ends in the word `end`;
// one that people write, of a certificate, in that or in a newline.
//
// Tokens are stored as their SHA-256 only: a reader of the file cannot ask with it. All the same,
// only its owner may read or write it.
class Access {
 public:
  // Throws ConfigError: readable by others, or a line that cannot be understood.
  explicit Access(std::filesystem::path file);

  void reload();  // throws as the constructor; what was in force stays then

  // `authorization`: that header. `certificate`: the common name of a client certificate that was
  // verified; empty: none. nullopt: neither is known, or no longer. However many there are it takes
  // as long: a token is looked up by its SHA-256, and how long that takes tells of no other one.
  std::optional<Grant> check(std::string_view authorization, const std::string& certificate) const;

  // A new token, 256 bits from the system, as it is to be handed out.
  static std::string make_token();
  // The line for it. Throws ConfigError on a name, stream, mirror or day that cannot be in one.
  static std::string line_for(const std::string& token, const std::string& name,
                              const std::vector<std::string>& streams, const std::string& tables,
                              const std::vector<std::string>& fleet, const std::string& expires);
  // Appends a line, making the file if need be; on disk when this returns. Throws ConfigError where
  // what is there cannot be understood, and adds nothing then.
  static void append_line(const std::filesystem::path& file, const std::string& line);

 private:
  struct Entry {
    std::string hash;  // 64 hexadecimal digits; empty: `certificate`
    std::string certificate;
    Grant grant;
    std::optional<std::int64_t> last_day;  // day number; nullopt: without end
    bool has_end = false;                  // its last word says that it is whole
  };
  static std::vector<Entry> load(const std::filesystem::path& file);
  static std::vector<Entry> parse_all(const std::string& text, const std::filesystem::path& file);
  static Entry parse(const std::string& line);

  std::filesystem::path file_;
  void index();

  std::vector<Entry> entries_;
  // The places of those that a token, or a certificate, may mean, the last of which counts.
  std::unordered_map<std::string, std::vector<std::size_t>> by_hash_;
  std::unordered_map<std::string, std::vector<std::size_t>> by_certificate_;
};

}  // namespace daystream::serve
