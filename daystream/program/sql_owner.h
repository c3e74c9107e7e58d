// Whose code is called in a database.
#pragma once

#include <libpq-fe.h>

#include <string>

namespace daystream::program {

// What is in schema deltaflood is called by us, and so run with our rights: whoever may create a
// schema could have made one of that name before. It has to be owned by a role that has our rights
// anyway; or, unless we are a superuser, by the owner of the database or of `publication`, whose
// rows they are that we read. Throws NeedsPerson. Where there is no such schema nothing is wrong.
void require_trusted_sql(PGconn* connection, const std::string& publication);

}  // namespace daystream::program
