// What a server of the S3 protocol answers, in XML, and what a refusal of it means.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace daystream::remote {

struct S3Address;
struct Response;

// What stands between <name> and </name>, the first after `from`, which is moved behind it;
// nullopt: nowhere. Elements of one name inside each other are not known here: the protocol has
// none.
std::optional<std::string_view> xml_inside(std::string_view xml, std::string_view name,
                                           std::size_t& from);
// The same as text, of the first there is; empty: none.
std::string xml_text(std::string_view xml, std::string_view name);
std::string xml_escaped(std::string_view text);

// Throws what a status that is no success stands for: ConnectionLost for what may pass by itself,
// else NeedsPerson or ProtocolError. `what`: like `s3://b/p/2026-11-21.tsv.zst`.
[[noreturn]] void throw_s3_refusal(const std::string& what, const S3Address& address,
                                   const Response& response);
// Whether such an answer may pass by itself.
bool s3_may_pass(const Response& response);

}  // namespace daystream::remote
