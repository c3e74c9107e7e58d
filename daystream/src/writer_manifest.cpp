#include "writer_manifest.h"

#include <fmt/format.h>

#include <string>

#include "calendar.h"
#include "daystream/durable.h"
#include "daystream/error.h"
#include "manifest_file.h"

namespace daystream {

namespace {

void check_same_source(const std::filesystem::path& directory, const Manifest& found,
                       const Manifest& wanted) {
  constexpr const char* kHint = "one directory per source: give another directory with -D";
  const std::string name = fmt::format("daystream \"{}\"", directory.string());
  if (found.sources == wanted.sources) {
    require_same_source(name, found.source(), "what is to be written", wanted.source(), kHint,
                        Pipe::IsAnother);
    return;
  }
  const auto names = [](const Manifest& manifest) {
    std::string text;
    for (const MergedSource& source : manifest.sources) {
      text += fmt::format("{}\"{}\" (database \"{}\" of system {})", text.empty() ? "" : ", ",
                          source.name, source.database, source.system_identifier);
    }
    return text.empty() ? std::string("one database") : text;
  };
  throw WrongSource(fmt::format("{} is merged of {}, not of {}", name, names(found), names(wanted)),
                    "name the same sources, or write to another directory");
}

}  // namespace

Manifest open_manifest(Dir& dir, const Manifest& wanted, std::optional<Lsn> confirmed_flush,
                       const WriterOptions& options) {
  if (dir.open(kManifestName)) {
    Manifest found = load_manifest(dir);
    check_same_source(dir.path(), found, wanted);
    return found;
  }
  Manifest manifest = wanted;
  manifest.begun = confirmed_flush;
  if (manifest.created.empty())
    manifest.created = utc_text(at_second(options.clock(Position::begin().c)));
  if (manifest.name.empty()) manifest.name = whole_path(dir.path()).filename();
  if (manifest.holdings.empty()) manifest.holdings.push_back({{0, 0}, "", {}});
  save_manifest(dir, manifest);
  return manifest;
}

}  // namespace daystream
