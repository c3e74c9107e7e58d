// Text of peers, files and data, made fit to be shown.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace daystream::program {

// What would steer a terminal, or make text look like other text, is shown as `\xHH` and not
// obeyed: control characters, also those of two bytes (U+0080 to U+009F), those that turn the
// direction of writing, and bytes that are no UTF-8.
enum class Keep {
  Nothing,
  Lines,    // newlines and tabs stay
  Colours,  // those too, and what only sets colours, ESC [ … m: for output that we have coloured
};
void append_harmless(std::string& out, std::string_view text, Keep keep = Keep::Nothing);
std::string harmless(std::string_view text, Keep keep = Keep::Nothing);

// How many bytes at the end of `text` are the beginning of a character that may go on.
std::size_t cut_character_bytes(std::string_view text) noexcept;
// The beginning of `text`: no more than `most` bytes, and no part of a character.
std::string_view beginning_of(std::string_view text, std::size_t most) noexcept;

// harmless() of what a peer says: of no more than `most` bytes.
std::string harmless_words(std::string_view text, std::size_t most = 1000);

}  // namespace daystream::program
