// What a program that knows nothing of daystreams can publish to JetStream: messages of one size,
// as fast as libnats sends them, as many on their way as `daystream publish` has.
//
//   nats_floor SERVERS STREAM REPLICAS MEGABYTES BYTES    makes the stream, fills it, and prints
//   MB/s
#include <nats/nats.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <stdexcept>
#include <string>

namespace {

void require(natsStatus status, const char* what) {
  if (status != NATS_OK) {
    throw std::runtime_error(std::string(what) + ": " + natsStatus_GetText(status));
  }
}

void fill(jsCtx* js, const std::string& subject, long count, long bytes) {
  std::string payload(static_cast<std::size_t>(bytes), '\0');
  std::mt19937 random(1);
  for (char& byte : payload) byte = static_cast<char>('a' + random() % 26);
  for (long i = 0; i < count; ++i) {
    require(js_PublishAsync(js, subject.c_str(), payload.data(), static_cast<int>(bytes), nullptr),
            "publish");
  }
  jsPubOptions options;
  jsPubOptions_Init(&options);
  options.MaxWait = 60'000;
  require(js_PublishAsyncComplete(js, &options), "the last answers");
}

int run(char** arguments) {
  const std::string stream = arguments[2];
  const std::string subject = "floor." + stream;
  const long bytes = std::atol(arguments[5]);
  const long count = std::atol(arguments[4]) * 1024 * 1024 / bytes;
  natsConnection* connection = nullptr;
  require(natsConnection_ConnectTo(&connection, arguments[1]), "connect");
  jsOptions options;
  jsOptions_Init(&options);
  options.PublishAsync.MaxPending = 16;
  options.PublishAsync.StallWait = 60'000;
  jsCtx* js = nullptr;
  require(natsConnection_JetStream(&js, connection, &options), "JetStream");
  jsStreamConfig config;
  jsStreamConfig_Init(&config);
  const char* subjects[] = {subject.c_str()};
  config.Name = stream.c_str();
  config.Subjects = subjects;
  config.SubjectsLen = 1;
  config.Replicas = std::atoll(arguments[3]);
  require(js_AddStream(nullptr, js, &config, nullptr, nullptr), "the stream");
  const auto begin = std::chrono::steady_clock::now();
  fill(js, subject, count, bytes);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  std::printf("%.1f\n", static_cast<double>(count * bytes) / took.count() / 1e6);
  jsCtx_Destroy(js);
  natsConnection_Destroy(connection);
  nats_Close();
  return 0;
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 6) {
    std::fputs("usage: nats_floor SERVERS STREAM REPLICAS MEGABYTES BYTES\n", stderr);
    return 2;
  }
  try {
    return run(arguments);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "nats_floor: %s\n", e.what());
    return 1;
  }
}
