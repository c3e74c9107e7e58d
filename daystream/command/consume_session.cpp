#include "consume_session.h"

#include <fmt/format.h>
#include "place.h"
#include "src/waiting.h"

namespace daystream::command {

namespace {

PositionGone gap_error(const Transaction& gap, const std::string& hint) {
  return PositionGone(fmt::format("changes after LSN {} are missing, as the gap at {} says",
                                  gap.lsn().text(), gap.position().text()),
                      hint);
}

}  // namespace

Transaction* ConsumeSession::next_wanted() {
  while (!gap && !setup.employer.stop_request().requested()) {
    setup.employer.alive();
    Transaction* transaction = reader.next();
    if (transaction == nullptr) return nullptr;
    if (transaction->kind() == Transaction::Kind::Gap) {
      gap = gap_error(*transaction, gap_hint(transaction->position()));
      return nullptr;
    }
    if (transaction->kind() == Transaction::Kind::Transaction && sieve.wants(*transaction)) {
      return transaction;
    }
    progress.passed(*transaction);
  }
  return nullptr;
}

void ConsumeSession::hand_over(Transaction& transaction, Output& output) {
  if (progress.pending() == 0) setup.employer.worked();  // now it is its turn
  progress.handed(transaction);
  transaction.rewind();
  sieve.show(transaction, output);
}

void ConsumeSession::run_long() {
  Consumer consumer(setup, FedChild::Output::Pipe, progress);
  const AnyOf wake{setup.employer.stop_request().fd(), consumer.acknowledgements()};
  while (!setup.employer.stop_request().requested()) {
    setup.employer.alive();
    consumer.hear();
    progress.save(false);
    if (consumer.closed()) break;
    consumer.kill_if_given_up();
    if (progress.pending() >= window) {
      consumer.flush();
      consumer.hear();
      if (progress.pending() >= window && !consumer.closed()) {
        consumer.wait_for_word(setup.employer.stop_request().fd());
      }
    } else if (Transaction* transaction = next_wanted()) {
      hand_over(*transaction, consumer);
    } else {
      consumer.flush();
      if (once || gap) break;
      reader.wait(PlaceWatch::kBetweenLooks, wake.fd());
    }
  }
  const bool by_itself = consumer.closed();
  if (!by_itself) consumer.flush();
  const std::string how = consumer.finish();
  progress.save(true);
  if (!how.empty() || by_itself || progress.pending() > 0) consumer.ended(how);
}

void ConsumeSession::run_batches() {
  while (!setup.employer.stop_request().requested()) {
    std::optional<Consumer> consumer;
    bool more = true;
    while (more && progress.pending() < window) {
      Transaction* transaction = next_wanted();
      more = transaction != nullptr;
      if (!more) break;
      if (!consumer) consumer.emplace(setup, FedChild::Output::Ours, progress);
      hand_over(*transaction, *consumer);
    }
    if (consumer) {
      consumer->flush();
      const std::string how = consumer->finish();
      if (!how.empty()) consumer->ended(how);
      progress.acknowledge_all();
    }
    progress.save(false);
    if (more) continue;
    if (once || gap) break;
    reader.wait(PlaceWatch::kBetweenLooks, setup.employer.stop_request().fd());
  }
  progress.save(true);
}

}  // namespace daystream::command
