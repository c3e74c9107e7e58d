// Why changes of a table are missing in a stream that is made of a publication.
#pragma once

namespace daystream {

enum class Untold : char {
  NotThere,  // the publication does not have it
  Actions,   // not all of insert, update, delete and truncate
  ViaRoot,   // publish_via_partition_root
  RowFilter,
  Columns,  // a list of them
  Shapes    // deltaflood.ddl is not published
};

}  // namespace daystream
