// COPY in binary, and values as text: what a seed and a line make of what PostgreSQL sends.
#include "daystream/error.h"
#include "target.h"
#include "values/binary_copy.h"
#include "values/types.h"
#include "values/wire.h"

using namespace deltamirror;

namespace {

void take_value(Wire wire, std::string_view bytes) {
  for (const Kind kind : {Kind::Text, Kind::Integer, Kind::Real, Kind::Blob, Kind::Decimal}) {
    std::string scratch;
    try {
      decode(wire, {.kind = kind}, bytes, scratch);
    } catch (const daystream::ProtocolError&) {
    }
  }
}

void take_text(std::string_view text) {
  for (int kind = 0; kind <= static_cast<int>(Kind::Decimal); ++kind) {
    for (const bool array : {false, true}) {
      std::string scratch;
      try {
        convert({.kind = static_cast<Kind>(kind), .array = array}, text, scratch);
      } catch (const daystream::ProtocolError&) {
      }
    }
  }
}

// Messages of which the first byte says how long they are.
void take_messages(std::string_view bytes) {
  BinaryCopy copy({{Wire::Int4, {.kind = Kind::Integer}, false},
                   {Wire::Numeric, {.kind = Kind::Decimal}, false},
                   {Wire::String, {.kind = Kind::Text}, false}});
  RowBatch batch(copy.columns());
  try {
    while (!bytes.empty()) {
      const auto size = static_cast<std::size_t>(static_cast<unsigned char>(bytes.front()));
      copy.take(bytes.substr(1, size), batch);
      bytes.remove_prefix(std::min(bytes.size(), size + 1));
    }
  } catch (const daystream::ProtocolError&) {
  }
}

}  // namespace

FUZZ_TARGET(copy) {
  take_text(input);
  take_messages(input);
  for (int wire = 0; wire <= static_cast<int>(Wire::TimestampTz); ++wire) {
    take_value(static_cast<Wire>(wire), input);
  }
}
