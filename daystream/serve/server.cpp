#include "serve/server.h"

#include <event2/http.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "daystream/error.h"

namespace daystream::serve {

namespace {

// libevent's own words, which it would write to standard error as they are.
void log_of_libevent(int severity, const char* message) {
  if (severity <= EVENT_LOG_MSG) {
    spdlog::debug("libevent: {}", message);
  } else {
    spdlog::warn("libevent: {}", message);
  }
}

event_base* make_loop() {
  event_set_log_callback(log_of_libevent);
  const std::unique_ptr<event_config, void (*)(event_config*)> config(event_config_new(),
                                                                      event_config_free);
  // A response that is written and goes quiet again costs no call to epoll.
  event_config_set_flag(config.get(), EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST);
  return event_base_new_with_config(config.get());
}

TlsFiles tls_of(const ServerOptions& options, const Admission& admission) {
  TlsFiles files = options.tls;
  files.need_client = admission.needs_certificate();
  return files;
}

}  // namespace

Server::Server(const ServerOptions& options)
    : loop_(make_loop()),
      admission_(options.tokens, options.tls.wanted() && !options.tls.client_ca.empty()),
      listeners_(loop_.get(), tls_of(options, admission_), options.limits,
                 {[this](evhttp_request* request) { answer(request); },
                  [this](const std::string& peer, const std::string& why) {
                    answers_.tell_stranger(peer, why);
                  }}),
      answers_(workers_, listeners_.limits()),
      streams_(loop_.get(), workers_, options.groups),
      fleet_(options.fleet.empty()
                 ? nullptr
                 : std::make_unique<FleetRoute>(loop_.get(), answers_, workers_, options.fleet,
                                                admission_.has_tokens(), options.stall)),
      routes_(admission_, answers_, streams_, fleet_.get(),
              {loop_.get(), answers_, streams_, options.stall},
              {loop_.get(), answers_, streams_, options.stall},
              {answers_, workers_, options.record_copies}),
      look_(loop_.get(), -1, true, [this] { look(); }),
      workers_(loop_.get()) {
  for (const std::string& argument : options.streams) streams_.add(argument);
  for (const std::string& argument : options.snapshots) streams_.add_snapshots(argument);
  if (fleet_ && streams_.all().count(FleetRoute::kName) != 0) {
    throw ConfigError(fmt::format("a daystream is called \"{}\", as the configurations of --fleet",
                                  FleetRoute::kName),
                      "serve it by another name: NAME=DIR");
  }
  for (const std::string& text : options.listen) {
    listeners_.listen(text, admission_.authenticates());
  }
  for (const program::ListenAddress& address : listeners_.addresses()) {
    admission_.add_host(address.host);
  }
  look_.start(PlaceWatch::kBetweenLooks);
  streams_.start();
}

void Server::answer(evhttp_request* raw) {
  answers_.count(raw);
  try {
    const Request request(raw);
    answers_.now(request, [&] { routes_.route(request); });
  } catch (const HttpError&) {
    evhttp_send_error(raw, 400, nullptr);
  }
}

void Server::look() noexcept {
  notify_.alive();
  if (!streams_.look_at_places()) event_base_loopbreak(loop_.get());
}

void Server::reload() noexcept {
  const auto attempt = [](const char* what, const auto& action) {
    try {
      action();
      spdlog::info("read {} again", what);
    } catch (const std::exception& e) {
      spdlog::error("kept the {} that were in force: {}", what, e.what());
    }
  };
  if (listeners_.has_tls()) attempt("certificates", [this] { listeners_.reload_tls(); });
  if (admission_.has_tokens()) attempt("tokens", [this] { admission_.reload(); });
  if (fleet_) fleet_->look();
}

void Server::run(program::Signals& signals) {
  Event signalled(loop_.get(), signals.fd(), true, [&] {
    signals.clear();
    if (signals.take_reload()) reload();
    if (signals.stop_requested()) event_base_loopbreak(loop_.get());
  });
  signalled.start();
  notify_.ready();
  event_base_dispatch(loop_.get());
  notify_.stopping();
  const std::string lost = streams_.all_lost();
  if (!signals.stop_requested() && !lost.empty()) {
    throw NeedsPerson(lost, Streams::lost_hint());
  }
}

}  // namespace daystream::serve
