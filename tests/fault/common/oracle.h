// PostgreSQL's own test_decoding as a second opinion on what happened (independent code).
#pragma once

#include <string>
#include <vector>

#include "support/cluster.h"
#include "support/stream_checker.h"

namespace fault {

// Drains slot `slot` (of test_decoding) and compares its transactions, in order, with those of
// `content`: the same commit LSNs, and in each the same rows with the same values, an unchanged
// TOAST value being one in both. Only `tables` (bare names of tables in public) are looked at.
// Empty: the same; else the first difference.
std::string difference_from_test_decoding(support::Session&, const std::string& slot,
                                          const support::StreamContent& content,
                                          const std::vector<std::string>& tables);

}  // namespace fault
