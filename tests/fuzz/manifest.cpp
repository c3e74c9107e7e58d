// daystream.json and `durable`.
#include "daystream/manifest.h"

#include <nlohmann/json.hpp>

#include "daystream/durable.h"
#include "daystream/error.h"
#include "manifest_file.h"
#include "manifest_json.h"
#include "target.h"

FUZZ_TARGET(manifest) {
  if (const auto durable = daystream::Durable::parse(input)) {
    fuzz::require(durable->text() == input, "durable has one spelling");
  }
  try {
    const daystream::Manifest manifest =
        daystream::parse_manifest(std::string(input), "daystream.json", "dir");
    const std::string text = to_json(manifest).dump();
    fuzz::require(to_json(daystream::parse_manifest(text, "daystream.json", "dir")).dump() == text,
                  "a manifest that was read can be written and read again");
  } catch (const daystream::Error&) {
  }
}
