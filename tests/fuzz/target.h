// What a fuzzer calls: one function a source, which takes any bytes and ends well, or fails a
// check.
//
// With -Dfuzz=true each source is a program of its own, which libFuzzer feeds. Without it all of
// them are one, which feeds each its seeds (seeds_main.cpp): what was found once stays found.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace fuzz {

using Target = void (*)(std::string_view input);

// Of the targets that are linked into one program, by the folder of their seeds.
void add_target(const char* name, Target target);

struct Registration {
  Registration(const char* name, Target target) { add_target(name, target); }
};

inline void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "does not hold: %s\n", what);
  std::abort();
}

inline bool lies_in(std::string_view part, std::string_view whole) {
  return part.empty() ||
         (part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size());
}

}  // namespace fuzz

#ifdef FUZZ_ALONE
#define FUZZ_ENTRY(name)                                                              \
  extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) { \
    fuzz_##name({reinterpret_cast<const char*>(data), size});                         \
    return 0;                                                                         \
  }
#else
#define FUZZ_ENTRY(name) static const fuzz::Registration fuzz_registered_##name(#name, fuzz_##name);
#endif

// FUZZ_TARGET(name) { …input… }
#define FUZZ_TARGET(name)                          \
  static void fuzz_##name(std::string_view input); \
  FUZZ_ENTRY(name)                                 \
  static void fuzz_##name(std::string_view input)
