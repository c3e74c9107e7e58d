// A mirror under storms of changes, in one database or in several.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/seed.h"
#include "mirror_programs.h"
#include "shape_storm.h"

namespace fault {

struct Climate {
  int sources = 1;
  bool connected = true;
  bool lent = false;  // then: newer snapshots of another mirror, now and then
};

class Weather {
 public:
  Weather(Random& random, const Climate& climate);

  // A step of one of the databases; the others do the same, later and in their own order.
  void step();
  // Waits until all has come. What is wrong then; empty: nothing.
  std::string complaint();
  // What was done since the last complaint(), and what the mirror's owner said.
  std::string history() const { return "after\n" + ran_ + "\nIt said:\n" + programs_->told(); }
  void stop() { programs_->stop(); }

 private:
  struct Place {
    std::string database;
    std::unique_ptr<ShapeStorm> storm;
    std::vector<ShapeStorm::Lines> later;  // what other databases have done before
  };

  void note(const std::string& done);
  void make_again();
  void catch_up_with_others(Place& place, bool all);
  std::function<void()> between();
  std::string disturb();
  std::string kill_server();

  Random& random_;
  const Climate climate_;
  std::vector<Place> places_;
  std::unique_ptr<MirrorPrograms> programs_;
  bool unlogged_ = false;  // a table became so since the last checkpoint
  std::string ran_;
};

}  // namespace fault
