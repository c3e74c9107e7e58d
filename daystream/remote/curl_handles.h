// libcurl's handles as objects.
#pragma once

#include <curl/curl.h>

#include <memory>
#include <string>

#include "daystream/error.h"

namespace daystream::remote {

struct EasyDeleter {
  void operator()(CURL* easy) const noexcept { curl_easy_cleanup(easy); }
};
struct MultiDeleter {
  void operator()(CURLM* multi) const noexcept { curl_multi_cleanup(multi); }
};
struct ListDeleter {
  void operator()(curl_slist* list) const noexcept { curl_slist_free_all(list); }
};
using Easy = std::unique_ptr<CURL, EasyDeleter>;
using Multi = std::unique_ptr<CURLM, MultiDeleter>;
using List = std::unique_ptr<curl_slist, ListDeleter>;

inline Easy make_easy() {
  static const CURLcode ready = curl_global_init(CURL_GLOBAL_DEFAULT);
  Easy easy(ready == CURLE_OK ? curl_easy_init() : nullptr);
  if (!easy) throw Error("could not start libcurl", "look at its libraries: ldd");
  return easy;
}

// Adds a header's line.
inline void append(List& headers, const std::string& line) {
  curl_slist* longer = curl_slist_append(headers.get(), line.c_str());
  if (longer == nullptr)
    throw Error("libcurl: out of memory", "close other programs, or give the machine more memory");
  [[maybe_unused]] auto* const before = headers.release();
  headers.reset(longer);
}

}  // namespace daystream::remote
