// What a transaction that copies is set to.
#pragma once

#include <libpq-fe.h>

#include <string>

namespace deltamirror {

// The plugin's fixed settings, so that a value has one text for all readers; and nothing that ends
// a long copy.
//
// A table's owner may put a view in its place, or a policy on it, whose functions would be run as
// us. A lock holds the table, not its name: a schema can be renamed at any time.
//
// Settings end with the transaction: behind a pooler the session is not ours.
class TransactionSettings {
 public:
  // Asks what the server knows, and where names are looked up in what a user has written.
  explicit TransactionSettings(PGconn* pg);

  // In any connection to the same server. Takes no snapshot.
  void set(PGconn* pg) const;
  // Until the other one is called: for a query that a user has written, of any relations; or for
  // statements of ours, which are about tables.
  void for_query(PGconn* pg) const;
  void for_tables(PGconn* pg) const;

 private:
  std::string users_path_;
  bool restricts_;  // whether the server can keep us from views; from 15.8 and 16.4 on
};

}  // namespace deltamirror
