// The page at `/`: one document that shows what /status and /history say, again and again.
#pragma once

#include <string>

namespace daystream::serve {

// page.html, which is built in, and the policy that lets a browser run nothing but what is in it.
class Page {
 public:
  Page();

  const std::string& html() const noexcept { return html_; }
  const std::string& content_security_policy() const noexcept { return policy_; }

 private:
  std::string html_;
  std::string policy_;
};

}  // namespace daystream::serve
