// Which daystream a slot belongs to: kept beside the slot's own state, and gone with the slot.
//
// PostgreSQL keeps of a slot how far it was confirmed, and not by whom: a second reader would take
// what the first one had not read yet, and confirm it.
#pragma once

#include "server.h"

// The server's headers stay first.
#include <string_view>

namespace deltaflood {

// What a daystream says of itself: an id that it alone has, and where it is, for people. One line
// each, without NUL; views of the options.
struct Claim {
  std::string_view id;  // empty: it is none
  std::string_view name;
  bool adopt = false;      // the slot is taken whatever stream it belongs to
  bool only_look = false;  // refuse as ever, and take nothing
};

// Makes our slot that of `claim`. It may be: one that nobody has read from, one from which nothing
// was confirmed since somebody did, one of the same id. Else ereports ERRCODE_OTHER_DAYSTREAM.
void claim_slot(const Claim& claim);

// The SQLSTATE by which deltastream knows it.
#define ERRCODE_OTHER_DAYSTREAM MAKE_SQLSTATE('D', 'F', '0', '0', '1')

}  // namespace deltaflood
