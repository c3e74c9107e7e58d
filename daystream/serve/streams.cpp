#include "serve/streams.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cctype>
#include <memory>
#include <string_view>
#include <utility>

#include "daystream/error.h"
#include "daystream/manifest.h"
#include "program/hint.h"

namespace daystream::serve {

namespace {

constexpr std::chrono::seconds kLookForDead{5};

bool is_plain_name(std::string_view name) {
  return !name.empty() && name.front() != '.' &&
         std::all_of(name.begin(), name.end(), [](unsigned char c) {
           return std::isalnum(c) || c == '-' || c == '_' || c == '.';
         });
}

// DIR, served under the name of its manifest, or NAME=DIR.
std::pair<std::string, std::string> name_and_directory(const std::string& argument) {
  const auto equals = argument.find('=');
  if (equals != std::string::npos && is_plain_name(argument.substr(0, equals))) {
    return {argument.substr(0, equals), argument.substr(equals + 1)};
  }
  return {Manifest::load(argument).name, argument};
}

}  // namespace

Streams::Streams(event_base* loop, Workers& workers, Groups groups)
    : loop_(loop),
      workers_(workers),
      groups_(std::move(groups)),
      bury_(loop, -1, false, [this] { bury_ended(); }),
      sample_(loop, -1, true, [this] { sample(true); }),
      dead_(loop, -1, true, [this] { drop_dead(); }) {}

void Streams::add(const std::string& argument) {
  auto [name, directory] = name_and_directory(argument);
  if (!is_plain_name(name)) {
    throw ConfigError(fmt::format("\"{}\" cannot be part of an URL", name),
                      "name the stream yourself: NAME=DIR, of letters, digits, - _ .");
  }
  if (all_.count(name) != 0) {
    throw ConfigError(fmt::format("two daystreams are called \"{}\"", name),
                      "name them yourself: NAME=DIR");
  }
  Served& served = all_[name];
  served.stream = std::make_unique<ServedStream>(loop_, name, directory);
  served.stream->on_more([&served] {
    for (const auto& follower : served.followers) follower->pump();
  });
}

void Streams::add_snapshots(const std::string& argument) {
  const auto equals = argument.find('=');
  const bool named = equals != std::string::npos && all_.count(argument.substr(0, equals)) != 0;
  if (!named && all_.size() != 1) {
    throw ConfigError(fmt::format("snapshots in \"{}\" are of no stream that is served", argument),
                      "say of which they are: --snapshots NAME=DIR");
  }
  Served& served = named ? all_[argument.substr(0, equals)] : all_.begin()->second;
  served.snapshots = std::make_unique<Snapshots>(named ? argument.substr(equals + 1) : argument);
}

void Streams::start() {
  sample_.start(RateSamples::kStep);
  dead_.start(kLookForDead);
  sample(false);
}

Served& Streams::find(const std::string& name, const Grant& grant) {
  const auto found = all_.find(name);
  if (found == all_.end() || !grant.covers(name)) {
    throw HttpError(404, "no-such-stream", fmt::format("there is no daystream \"{}\"", name));
  }
  if (!found->second.lost.empty()) {
    throw HttpError(503, "away", fmt::format("daystream \"{}\" is not where it was", name),
                    "its server says more in its log; ask again when it is there");
  }
  return found->second;
}

void Streams::drop_dead() noexcept {
  for (auto& [name, served] : all_) {
    for (const auto* list : {&served.followers, &served.downloads}) {
      for (const auto& follower : *list) {
        if (!follower->is_dead()) continue;
        spdlog::info("follower {}: its host is gone", follower->facts().host);
        follower->drop();
      }
    }
  }
}

bool Streams::look_at_places() noexcept {
  bool any = false;
  const bool none_is_left = std::all_of(all_.begin(), all_.end(), [](const auto& each) {
    return !each.second.stream->lost().empty();
  });
  for (auto& [name, served] : all_) {
    const std::string lost = served.stream->lost();
    if (lost != served.lost) {
      if (lost.empty()) {
        spdlog::info("daystream \"{}\" is there again", name);
      } else {
        spdlog::error(
            "{}", program::with_hint(fmt::format("{}: it is served to nobody{}", lost,
                                                 none_is_left ? "" : " until it is there again"),
                                     lost_hint()));
      }
      served.lost = lost;
    }
    any |= lost.empty();
    if (lost.empty()) continue;
    for (const auto* list : {&served.followers, &served.downloads}) {
      for (const auto& follower : *list) follower->drop();
    }
  }
  return any;
}

std::string Streams::all_lost() const {
  std::string lost;
  for (const auto& [name, served] : all_) {
    if (served.lost.empty()) return {};
    if (lost.empty()) lost = served.lost;
  }
  return lost;
}

const char* Streams::lost_hint() noexcept {
  return "bring the directory back, or start \"daystream serve\" again to serve what is there now";
}

Streams::Known Streams::known(const Served& served) {
  return {served.stream->latest(), served.groups};
}

void Streams::find_out(const std::string& name, Known& known) const {
  const ServedStream& stream = *all_.at(name).stream;
  known.stream = stream.sample(known.stream);
  if (groups_) known.groups = groups_(stream.directory(), known.groups);
}

void Streams::put(Served& served, Known known) {
  served.stream->put(std::move(known.stream));
  served.groups = std::move(known.groups);
}

// What the streams are like is found out on a thread, whatever their size; a step of the history is
// what is known then.
void Streams::sample(bool is_step) noexcept {
  if (sampling_) return;
  try {
    auto samples = std::make_shared<Samples>();
    for (auto& [name, served] : all_) (*samples)[name] = known(served);
    sampling_ = workers_.run({}, [this, samples, is_step]() -> Workers::Finish {
      for (auto& [name, sample] : *samples) {
        try {
          find_out(name, sample);
        } catch (const std::exception& e) {
          const auto text = sample_troubles_.met(fmt::format("{}: {}", name, e.what()));
          if (text) spdlog::error("{}", *text);
        }
      }
      return [this, samples, is_step] {
        sampling_ = false;
        for (auto& [name, sample] : *samples) {
          Served& served = all_.at(name);
          put(served, std::move(sample));
          if (is_step) served.take_step();
        }
      };
    });
  } catch (const std::exception& e) {
    spdlog::error("{}", e.what());
  }
}

void Streams::answer_sampled(Answers& answers, const Request& request, const Grant& grant,
                             Answers::Reply reply) {
  constexpr std::chrono::seconds kFresh{1};
  auto samples = std::make_shared<Samples>();
  const auto now = std::chrono::steady_clock::now();
  for (auto& [name, served] : all_) {
    if (!grant.covers(name) || now - served.stream->latest_at() < kFresh) continue;
    (*samples)[name] = known(served);
  }
  if (samples->empty()) return reply(request);
  answers.later(request, grant, [this, samples, reply = std::move(reply)]() -> Answers::Reply {
    for (auto& [name, sample] : *samples) find_out(name, sample);
    return [this, samples, reply](const Request& asked) {
      for (auto& [name, sample] : *samples) put(all_.at(name), std::move(sample));
      reply(asked);
    };
  });
}

void Streams::bury_ended() {
  for (auto& [name, served] : all_) {
    std::erase_if(served.downloads, [](const auto& download) { return download->ended(); });
    std::erase_if(served.followers, [&served = served](const std::unique_ptr<Follower>& follower) {
      if (follower->ended()) served.sent_bytes += follower->sent_bytes();
      return follower->ended();
    });
  }
}

}  // namespace daystream::serve
