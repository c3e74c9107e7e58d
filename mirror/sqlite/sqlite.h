// SQLite as owners, under the names that all of the mirror has for them.
#pragma once

#include "program/sqlite.h"

namespace deltamirror {

using daystream::program::alter_table;
using daystream::program::Database;
using daystream::program::has_table;
using daystream::program::NotOneStatement;
using daystream::program::objects_on;
using daystream::program::question_marks;
using daystream::program::quote_name;
using daystream::program::quote_text;
using daystream::program::ReadTransaction;
using daystream::program::rename_table;
using daystream::program::Savepoint;
using daystream::program::SchemaObject;
using daystream::program::SchemaWrites;
using daystream::program::SqliteError;
using daystream::program::Statement;
using daystream::program::WriteTransaction;

}  // namespace deltamirror
