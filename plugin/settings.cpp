#include "settings.h"

namespace deltaflood {

namespace {

struct Setting {
  const char* name;
  const char* value;
};

constexpr Setting kSettings[] = {
    {"datestyle", "ISO"},        {"intervalstyle", "postgres"},
    {"extra_float_digits", "3"}, {"bytea_output", "hex"},
    {"timezone", "UTC"},         {"search_path", ""},
    {"lc_monetary", "C"},        {"quote_all_identifiers", "off"},
    {"xmlbinary", "base64"},
};

}  // namespace

SettingsGuard fix_settings() {
  SettingsGuard guard;
  if (!am_walsender) guard.nest_level = NewGUCNestLevel();
  for (const Setting& setting : kSettings) {
    set_setting(setting.name, setting.value, am_walsender ? GUC_ACTION_SET : GUC_ACTION_SAVE);
  }
  return guard;
}

void restore_settings(SettingsGuard* guard) {
  if (guard->nest_level == 0) return;
  AtEOXact_GUC(true, guard->nest_level);
  guard->nest_level = 0;
}

}  // namespace deltaflood
