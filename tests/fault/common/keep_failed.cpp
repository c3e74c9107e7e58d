// A fault test that fails after an hour must leave what explains it: with
// DELTAFLOOD_TEST_KEEP=failed the folders of a failed test case stay (the daystream, the server's
// data and log, the log of syncs). The seed is printed by run_seed().
#define CATCH_CONFIG_EXTERNAL_INTERFACES
#include <catch2/catch.hpp>
#include <utility>

#include "support/temp_dir.h"

namespace {

class KeepFailed : public Catch::TestEventListenerBase {
 public:
  using TestEventListenerBase::TestEventListenerBase;
  // bool in Catch2 2, void in Catch2 3.
  using Ended = decltype(std::declval<Catch::TestEventListenerBase&>().assertionEnded(
      std::declval<const Catch::AssertionStats&>()));
  Ended assertionEnded(const Catch::AssertionStats& stats) override {
    if (!stats.assertionResult.isOk()) support::TempDir::keep_all();
    return Ended(true);
  }
};
CATCH_REGISTER_LISTENER(KeepFailed)

}  // namespace
