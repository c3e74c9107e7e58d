#include <nlohmann/json.hpp>
#include <string_view>

#include "number.h"
#include "program/json.h"
#include "remote/nats_handles.h"

namespace daystream::remote {

namespace {

using OwnedInbox = NatsOwned<natsInbox, natsInbox_Destroy>;

}  // namespace

class NatsOutbox::Impl {
 public:
  Impl(NatsLink& link, const std::string& stream) : link_(link.impl()), stream_(stream) {
    natsInbox* inbox = nullptr;
    link_.require(natsInbox_Create(&inbox));
    answers_to_ = OwnedInbox(inbox).get();
    natsSubscription* subscription = nullptr;
    link_.require(natsConnection_SubscribeSync(&subscription, link_.connection(),
                                               (answers_to_ + ".*").c_str()));
    answers_.reset(subscription);
  }

  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl() { link_.close(); }

  void send(const std::string& subject, const NatsLink::Headers& headers, std::string_view data,
            std::uint64_t last) {
    require_room(data.size());
    natsMsg* raw = nullptr;
    const std::string reply = fmt::format("{}.{}", answers_to_, last + 1);
    link_.require(natsMsg_Create(&raw, subject.c_str(), reply.c_str(), data.data(),
                                 static_cast<int>(data.size())));
    const OwnedMessage message(raw);
    for (const auto& [key, value] : headers) {
      link_.require(natsMsgHeader_Set(raw, key.c_str(), value.c_str()));
    }
    const std::string expected = std::to_string(last);
    link_.require(natsMsgHeader_Set(raw, "Nats-Expected-Last-Sequence", expected.c_str()));
    link_.require(natsMsgHeader_Set(raw, "Nats-Expected-Stream", stream_.c_str()));
    link_.require(natsConnection_PublishMsg(link_.connection(), raw));
    if (waiting_++ == 0) awaited_ = last + 1;
  }

  Stored take() {
    natsMsg* raw = nullptr;
    const natsStatus status = natsSubscription_NextMsg(&raw, answers_.get(), kAnswerMs);
    const OwnedMessage message(raw);
    if (status == NATS_TIMEOUT) link_.require_permission();
    if (status != NATS_OK) return refuse(natsStatus_GetText(status));
    if (natsMsg_IsNoResponders(raw)) return refuse("no server there has the stream now");
    const std::string_view subject = natsMsg_GetSubject(raw);
    const auto number = parse_number<std::uint64_t>(subject.substr(subject.rfind('.') + 1));
    if (number != awaited_) {
      return refuse(fmt::format("the answer to message {} is missing", awaited_));
    }
    return answer({natsMsg_GetData(raw), static_cast<std::size_t>(natsMsg_GetDataLength(raw))});
  }

  std::size_t waiting() const noexcept { return waiting_; }
  const std::string& refusal() const noexcept { return refusal_; }

 private:
  void require_room(std::size_t size) const {
    constexpr std::int64_t kHeaders = 4096;
    const std::int64_t most = natsConnection_GetMaxPayload(link_.connection());
    if (static_cast<std::int64_t>(size) + kHeaders <= most) return;
    throw NeedsPerson(fmt::format("{}: the server takes no message of {} bytes, but of {}",
                                  link_.address().name(), size, most),
                      "set max_payload in its configuration to 1MB or more");
  }

  Stored refuse(std::string why, Stored stored = Stored::Unknown) {
    refusal_ = std::move(why);
    return stored;
  }

  Stored answer(std::string_view text) {
    using nlohmann::json;
    const json said = program::parse_json<json>(text);
    if (!said.is_object()) return refuse("its answer cannot be understood");
    if (const auto error = said.find("error"); error != said.end() && error->is_object()) {
      constexpr int kWrongLastSequence = 10071;
      return refuse(
          program::text_of(*error, "description"),
          error->value("err_code", 0) == kWrongLastSequence ? Stored::No : Stored::Unknown);
    }
    const std::uint64_t sequence = said.value("seq", std::uint64_t{0});
    if (sequence != awaited_ || said.value("duplicate", false)) {
      return refuse(fmt::format("it stored message {} where {} was to be", sequence, awaited_));
    }
    ++awaited_;
    --waiting_;
    return Stored::Yes;
  }

  NatsLink::Impl& link_;
  const std::string stream_;
  std::string answers_to_;
  OwnedSubscription answers_;
  std::uint64_t awaited_ = 0;  // the sequence that the oldest is to get
  std::size_t waiting_ = 0;
  std::string refusal_;
};

NatsOutbox::NatsOutbox(NatsLink& link, const std::string& stream)
    : impl_(std::make_unique<Impl>(link, stream)) {}
NatsOutbox::~NatsOutbox() = default;

void NatsOutbox::send(const std::string& subject, const NatsLink::Headers& headers,
                      std::string_view data, std::uint64_t last) {
  impl_->send(subject, headers, data, last);
}
std::size_t NatsOutbox::waiting() const noexcept {
  return impl_->waiting();
}
NatsOutbox::Stored NatsOutbox::take() {
  return impl_->take();
}
const std::string& NatsOutbox::refusal() const noexcept {
  return impl_->refusal();
}

}  // namespace daystream::remote
