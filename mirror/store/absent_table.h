// Tables of a mirror that are wished for and not followed now.
//
// Their rows in the catalog stay: what a mirror should hold does not depend on what PostgreSQL has
// at the moment. What readers find under the name is nothing, so that a query fails instead of
// showing rows of another time than the tables beside them.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "sqlite/sqlite.h"
#include "store/mirrored_table.h"

namespace deltamirror {

// What becomes of the rows of a table that cannot be followed.
enum class OnTrouble {
  Hide,  // readers find no such table
  Keep,  // they find it as it was at the mirror's commit before
  Stop   // the mirror stops
};

// hide, keep, stop; nullopt: no such word.
std::optional<OnTrouble> on_trouble_named(std::string_view word);

// Why a table is not followed, for people.
struct Absence {
  TableState state = TableState::Copying;
  std::string reason;
  std::string hint;
};

// Takes `table` out of what is followed, in the caller's transaction; no statement on it may be
// alive. Its row in the catalog goes back to the name that was wished. With Hide its SQLite table
// goes, and what others had put beside it (indexes, triggers) is remembered for when it comes back.
// With Keep, too, where something else has the wished name. The tables of a history stay in any
// case.
void take_out(Database& db, MirroredTable& table, const Absence& absence, OnTrouble on_trouble);

// Writes down that an absent table is so for another reason. `since` stays while the state does.
void set_absence(Database& db, MirroredTable& table, const Absence& absence);

// Writes down an absent table. What was kept of its rows may have had to go since it was read, for
// those of another source (make_room() in store/shared_table.h): that stays written.
void save_absent(Database& db, MirroredTable& table);

// Whether both are asked for alike, but for the table in PostgreSQL and the default name here.
bool same_but_name(const MirroredTable& one, const MirroredTable& other);

// Whether a table may be called so: SQLite has no such object, and the name is not reserved.
bool is_free_name(const Database& db, const std::string& name);

// What somebody else has in the mirror where a table would be called `name`: "view", "table",
// "index"; nullopt: nothing, or a table of the mirror's own.
std::optional<std::string> somebodys_object(const Database& db, const std::string& name);

// Makes what was set aside of `table`, as it could not stand there, where it can by now; that is
// then not set aside any more. Reads the whole table for an index.
void make_again(Database& db, MirroredTable& table);

// Triggers of `table` that SQLite cannot compile any more, as a column they name is gone: each
// would fail every change of the table. They are dropped, and their SQL is returned.
std::vector<std::string> take_out_broken_triggers(Database& db, const MirroredTable& table);

// `table`, whose name stays for the caller to change, is called `name` in SQLite from here on, also
// in views and triggers. Triggers of it that are broken, which would still name it as before, are
// set aside first: nobody could read the schema.
void rename_mirrored(Database& db, MirroredTable& table, const std::string& name);

}  // namespace deltamirror
