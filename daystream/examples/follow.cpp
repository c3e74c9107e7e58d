// Follows a daystream from a checkpoint with libdaystream, and prints what changes.
//   c++ -std=c++20 follow.cpp $(pkg-config --cflags --libs daystream) -o follow
//   ./follow /srv/prod checkpoint [once]
#include <daystream/error.h>
#include <daystream/reader.h>

#include <chrono>
#include <cstdio>
#include <fstream>
#include <iostream>

int main(int count, char** arguments) try {
  if (count < 3) throw daystream::ConfigError("usage: follow DAYSTREAM CHECKPOINT [once]");
  const std::string checkpoint = arguments[2];
  daystream::StartAfter start;  // without a checkpoint: from the first line there is
  std::string position, lsn;
  if (std::ifstream(checkpoint) >> position >> lsn) {
    start = {daystream::Position::parse(position).value(), daystream::Lsn::parse(lsn).value()};
  }
  daystream::Reader reader(daystream::Stream(arguments[1]), start);
  for (;;) {
    while (daystream::Transaction* transaction = reader.next()) {
      if (transaction->kind() == daystream::Transaction::Kind::Gap)
        throw daystream::PositionGone("changes are missing: start again from a copy of the tables");
      for (daystream::Line line; transaction->next_line(line);) std::cout << line.body << '\n';
      std::cout.flush();  // it is done with; only then the checkpoint moves
      std::ofstream(checkpoint + ".new") << reader.position().text() << ' ' << reader.lsn().text();
      if (std::rename((checkpoint + ".new").c_str(), checkpoint.c_str()) != 0)
        throw daystream::IoError("could not rename the checkpoint", errno);
    }
    if (count > 3) return 0;
    reader.wait(std::chrono::hours(1));
  }
} catch (const daystream::Error& e) {
  std::cerr << "follow: " << e.what() << "\nHINT: " << e.hint() << '\n';
  return static_cast<int>(e.exit_code());
}
