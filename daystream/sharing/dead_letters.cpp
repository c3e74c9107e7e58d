#include "dead_letters.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <tuple>

#include "daystream/error.h"
#include "src/dir.h"
#include "src/json_text.h"

namespace daystream::sharing {

namespace {

using nlohmann::json;
using nlohmann::ordered_json;

std::string text_of(const DeadLetter& letter) {
  return json_page(ordered_json{{"part", letter.part},
                                {"position", letter.position.text()},
                                {"failures", letter.failures},
                                {"problem", letter.problem},
                                {"since", letter.since},
                                {"to_retry", letter.to_retry}});
}

DeadLetter letter_from(const json& value) {
  DeadLetter letter;
  value.at("part").get_to(letter.part);
  const auto position = Position::parse(value.at("position").get<std::string>());
  letter.position = position.value_or(Position::begin());
  value.at("failures").get_to(letter.failures);
  value.at("problem").get_to(letter.problem);
  value.at("since").get_to(letter.since);
  value.at("to_retry").get_to(letter.to_retry);
  return letter;
}

}  // namespace

std::string DeadLetter::name() const {
  return fmt::format("{}-{}-{}", part, position.c, position.s);
}

std::filesystem::path DeadLetters::lines_of(const DeadLetter& letter) const {
  return folder_ / (letter.name() + ".tsv");
}

std::vector<DeadLetter> DeadLetters::list() const {
  const auto dir = real_dir(folder_);
  std::vector<DeadLetter> letters;
  for (const std::string& name : dir->list()) {
    if (!name.ends_with(".json")) continue;
    const auto file = dir->open(name);
    if (!file) continue;
    try {
      letters.push_back(letter_from(json::parse(read_whole(*file))));
    } catch (const json::exception& e) {
      throw Corruption(file->path(), 0, fmt::format("not a dead letter: {}", e.what()),
                       "the lines are in the file of that name that ends in .tsv");
    }
    std::error_code none;
    const auto size = std::filesystem::file_size(lines_of(letters.back()), none);
    letters.back().size_bytes = none ? 0 : size;
  }
  std::sort(letters.begin(), letters.end(), [](const DeadLetter& a, const DeadLetter& b) {
    return std::tie(a.part, a.position) < std::tie(b.part, b.position);
  });
  return letters;
}

void DeadLetters::put(const DeadLetter& letter, const std::function<void(File&)>& write) {
  const auto dir = real_dir(folder_);
  const std::string name = letter.name() + ".tsv";
  dir->remove(name + ".new");
  {
    const auto file = dir->create(name + ".new");
    write(*file);
    file->sync();
  }
  dir->rename(name + ".new", name);
  update(letter);
}

void DeadLetters::update(const DeadLetter& letter) {
  replace_file(*real_dir(folder_), letter.name() + ".json", text_of(letter));
}

void DeadLetters::remove(const DeadLetter& letter) {
  const auto dir = real_dir(folder_);
  dir->remove(letter.name() + ".json");
  dir->sync();
  dir->remove(letter.name() + ".tsv");
}

}  // namespace daystream::sharing
