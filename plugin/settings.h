// The settings that type output functions read, fixed so that every session, role and database
// gets the same bytes.
#pragma once

#include "server.h"

namespace deltaflood {

struct SettingsGuard {
  int nest_level = 0;  // 0: nothing to undo
};

// Under a walsender the session is ours and keeps the settings. Under the SQL functions it is the
// caller's: they are set in a nest level, which restore_settings() or the end of the caller's
// (sub)transaction undoes.
SettingsGuard fix_settings();
void restore_settings(SettingsGuard* guard);

}  // namespace deltaflood
