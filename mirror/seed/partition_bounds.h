// Which rows the partitions of a table have.
#pragma once

#include <libpq-fe.h>

#include <cstdint>
#include <map>
#include <string>

#include "model/shape.h"
#include "seed/source_catalog.h"

namespace deltamirror {

// Of each partition of the root, at all levels, what its rows are as a `where` of the mirror, by
// OID. Those are left out of which that cannot be said so that it is exact: hash and default
// partitions, keys of several types' own ordering, expressions, and what RowFilter does not know.
std::map<std::uint32_t, std::string> read_partition_bounds(PGconn*, const SourceRelation& root,
                                                           const Shape& shape,
                                                           const TypeNames& types);

// An expression as PostgreSQL shows a partition's constraint, as a `where` would be written:
// without casts, and with IN. Not all of them become one.
std::string as_where(const std::string& constraint);

}  // namespace deltamirror
