#include "remote/relay.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "day_file.h"
#include "daystream/error.h"
#include "manifest_file.h"
#include "program/writable.h"
#include "src/waiting.h"

namespace daystream::remote {

namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// While catching up: a sync costs a disk more than the bytes do.
constexpr std::uint64_t kFlushBytes = 16 * 1024 * 1024;

}  // namespace

Relay::Relay(std::string address, std::filesystem::path directory, bool once)
    : address_(std::move(address)), directory_(std::move(directory)), once_(once) {}
Relay::~Relay() = default;

void Relay::run(const Stop& stop) {
  while (!stop.requested() && !done_) {
    try {
      // What was written beyond `durable` is cut by opening again, and asked for again.
      writer_.reset();
      open();
      retries_.let_in();
      session(stop);
    } catch (const Error& e) {
      end();
      // Who is to end with the stream does not wait for one that it has never seen.
      if (!retries_.may_pass(e) || (once_ && !retries_.is_let_in())) throw;
      retries_.failed(e);
      notify_.status(fmt::format("waiting: {}", e.what()));
      wait(retries_.pause(), stop);
    }
  }
  if (once_ && !done_) {
    throw Error(fmt::format("stopped before all of {} was pulled", address_),
                "the same command goes on where it was");
  }
}

void Relay::open() {
  if (place_) place_->look_now();  // else what was moved away would be pulled once more
  const std::string text = manifest_text();
  const Manifest source = parse_manifest(text, address_ + "/manifest", address_);
  // Before a directory is made that nothing would come into.
  if (!std::filesystem::exists(directory_ / kManifestName)) {
    program::require_writable(directory_);
    require_whole_stream();
  }
  writer_ = std::make_unique<RelayWriter>(directory_, source, text);
  if (!place_) place_ = watch_directory(directory_);
  const Recovery& recovery = writer_->recovery();
  if (recovery.cut_bytes > 0) {
    spdlog::info("cut {} bytes from file \"{}\" that were not durable: {}", recovery.cut_bytes,
                 recovery.cut_file, recovery.cut_reason);
  }
}

void Relay::session(const Stop& stop) {
  const auto text = retries_.met(fmt::format(
      "pulling {} into \"{}\" after {}", address_, directory_.string(),
      writer_->position() == Position::begin() ? "nothing" : writer_->position().text()));
  if (text) spdlog::info("{}", *text);
  begin();
  notify_.status(fmt::format("pulling {}", address_));
  auto flushed_at = steady_clock::now();
  bool came = false;  // something, since the last flush
  notify_.ready();
  while (!stop.requested()) {
    notify_.alive();
    place_->look();
    came |= receive(stop);
    const auto now = steady_clock::now();
    if (at_tail() || writer_->unflushed_bytes() >= kFlushBytes || now - flushed_at >= kFlushAfter) {
      writer_->flush();
      flushed_at = now;
      // On a full disk it is here that it fails.
      if (std::exchange(came, false) || at_tail()) retries_.worked();
      // The source's writer began a connection: perhaps it holds other tables from there on.
      if (writer_->take_manifest_due()) writer_->save_manifest(manifest_text());
    }
    end_turn();
    if (once_ && at_tail()) {
      done_ = true;
      break;
    }
  }
  writer_->flush();
}

void Relay::wait(milliseconds pause, const Stop& stop) {
  const auto until = steady_clock::now() + pause;
  for (;;) {
    notify_.alive();
    if (place_) place_->look();
    const auto left = std::chrono::ceil<milliseconds>(until - steady_clock::now());
    if (left.count() <= 0) return;
    if (WaitSet{stop.fd()}.wait(std::min(left, kFlushAfter))) return;
  }
}

}  // namespace daystream::remote
