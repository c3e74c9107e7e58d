// What of a mirror's report to the server of its fleet is news (docs/fleet.md#reports): its host
// says that at once, and the server keeps it at once.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace daystream::program {

// Differs where one report says something that another does not, and not where only figures have
// gone on: sizes, places in the log, the times and numbers within a trouble's text.
std::string news_of_report(const nlohmann::ordered_json& report);

}  // namespace daystream::program
