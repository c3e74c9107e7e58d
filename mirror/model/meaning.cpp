#include "model/meaning.h"

#include <fmt/format.h>

#include <algorithm>

#include "daystream/error.h"
#include "src/number.h"

namespace deltamirror {

namespace {

constexpr int kDeepest = 64;  // of types within types; deeper is not known to read the same

// A type at one time: by OID where it may be another one of the same name, else by its name.
struct Type {
  std::uint32_t oid = 0;  // 0: one of PostgreSQL's own, or not said
  std::string name;
  const ValueFacts& facts;
};

// Of PostgreSQL's own types: one and the same, or two whose bytes read the same in both.
bool same_text(std::string_view from, std::string_view to) {
  if (from.ends_with("[]") && to.ends_with("[]")) {
    return same_text(from.substr(0, from.size() - 2), to.substr(0, to.size() - 2));
  }
  // A modifier says what may be stored, not how it reads.
  const std::string one = without_modifier(from);
  const std::string other = without_modifier(to);
  if (one == other) return true;
  const auto both_in = [&](std::initializer_list<std::string_view> names) {
    return std::find(names.begin(), names.end(), one) != names.end() &&
           std::find(names.begin(), names.end(), other) != names.end();
  };
  return both_in({"text", "character varying", "character", "bpchar"}) ||
         both_in({"bit", "bit varying"});
}

Type made_of(const Type& type, std::uint32_t oid) {
  const auto fact = type_fact(type.facts, oid);
  return {oid, fact ? fact->name : std::string(), type.facts};
}

// The type itself, or what is below all of its domains.
Type below_domains(Type type) {
  for (int depth = 0; depth < kDeepest; ++depth) {
    const auto fact = type_fact(type.facts, type.oid);
    if (!fact || fact->kind != "domain") break;
    const Type base = made_of(type, fact->base);
    type.oid = base.oid;
    type.name = base.name;
  }
  return {type.oid, type.name, type.facts};
}

std::string other_labels(const ValueFacts& from, const ValueFacts& to, std::uint32_t enum_oid) {
  const std::string prefix = fmt::format("_label_{}_", enum_oid);
  std::string changed;
  for (auto label = from.lower_bound(prefix);
       label != from.end() && label->first.starts_with(prefix); ++label) {
    const auto now = to.find(label->first);
    // A label cannot be dropped: without it the facts are not all there.
    if (now == to.end() || now->second == label->second) continue;
    changed += fmt::format("{}the value \"{}\" of an enum is now called \"{}\"",
                           changed.empty() ? "" : ", ", label->second, now->second);
  }
  return changed;
}

std::string compare(const Type& before, const Type& after, int depth) {
  const Type from = below_domains(before);
  const Type to = below_domains(after);
  const auto other = [&] {
    return from.name == to.name ? fmt::format("its type {} is another one of that name", to.name)
                                : fmt::format("of type {}, it is now {}", from.name, to.name);
  };
  const auto was = type_fact(from.facts, from.oid);
  const auto is = type_fact(to.facts, to.oid);
  if (depth == kDeepest) return other();
  // PostgreSQL's own are a name alone; "base" where they are part of something else.
  const auto by_name = [](const std::optional<TypeFact>& fact) {
    return !fact || fact->kind == "base" || fact->kind == "array";
  };
  if (by_name(was) && by_name(is) && !is_changeable_type(from.oid) && !is_changeable_type(to.oid)) {
    return same_text(from.name, to.name) ? std::string() : other();
  }
  // Arrays of what reads the same read the same, whatever they are called.
  if (was && is && was->kind == "array" && is->kind == "array" && was->delimiter == is->delimiter) {
    return compare(made_of(from, was->base), made_of(to, is->base), depth + 1);
  }
  if (from.oid != to.oid) return other();
  if (!was || !is) return {};  // nothing is said of it that could have changed
  if (was->kind != is->kind || was->delimiter != is->delimiter) return other();
  if (is->kind == "enum") return other_labels(from.facts, to.facts, from.oid);
  if (is->kind == "composite") {
    if (was->attributes.size() != is->attributes.size()) {
      return fmt::format("its composite type {} has other attributes", is->name);
    }
    for (std::size_t i = 0; i < was->attributes.size(); ++i) {
      if (was->attributes[i].first != is->attributes[i].first) {
        return fmt::format("its composite type {} has other attributes", is->name);
      }
      std::string part = compare(made_of(from, was->attributes[i].second),
                                 made_of(to, is->attributes[i].second), depth + 1);
      if (!part.empty()) return part;
    }
    return {};
  }
  if (is->base != 0 || was->base != 0) {
    return compare(made_of(from, was->base), made_of(to, is->base), depth + 1);
  }
  return {};
}

std::uint32_t oid_of(std::string_view text) {
  const auto oid = daystream::parse_number<std::uint32_t>(text);
  if (!oid)
    throw daystream::ProtocolError(fmt::format("a schema line has \"{}\" for an OID", text));
  return *oid;
}

std::string_view word(std::string_view& rest) {
  const std::string_view out = rest.substr(0, rest.find(' '));
  rest.remove_prefix(std::min(out.size() + 1, rest.size()));
  return out;
}

}  // namespace

std::string without_modifier(std::string_view name) {
  const std::size_t open = name.find('(');
  if (open == std::string_view::npos || name.find('"') != std::string_view::npos) {
    return std::string(name);
  }
  const std::size_t close = name.find(')', open);
  std::string out(name.substr(0, open));
  if (close != std::string_view::npos) out += name.substr(close + 1);
  return out;
}

TypeFact parse_type_fact(std::string_view text) {
  TypeFact fact;
  std::string_view rest = text;
  fact.kind = word(rest);
  for (;;) {
    const std::string_view next = word(rest);
    if (next == "named") break;
    if (next.empty()) {
      throw daystream::ProtocolError(fmt::format("a schema line has \"{}\" for a type", text));
    }
    if (next == "delimiter" && rest.size() > 1) {
      fact.delimiter = rest.front();  // any character, also a space
      rest.remove_prefix(2);
    } else if (next == "typmod") {
      fact.typmod = static_cast<int>(oid_of(word(rest)));
    } else if (fact.kind == "composite") {
      for (const auto& [attnum, oid] : parse_column_types(next)) {
        fact.attributes.emplace_back(attnum, oid);
      }
    } else {
      fact.base = oid_of(next);
    }
  }
  fact.name = rest;
  return fact;
}

std::optional<TypeFact> type_fact(const ValueFacts& facts, std::uint32_t oid) {
  const auto found = oid == 0 ? facts.end() : facts.find(fmt::format("_type_{}", oid));
  if (found == facts.end()) return std::nullopt;
  return parse_type_fact(found->second);
}

std::string other_meaning(const SourceColumn& from, const ValueFacts& from_facts,
                          const SourceColumn& to, const ValueFacts& to_facts) {
  return compare({from.type_oid, from.type, from_facts}, {to.type_oid, to.type, to_facts}, 0);
}

std::string other_meaning(const Shape& from, const ValueFacts& from_facts, const Shape& to,
                          const ValueFacts& to_facts) {
  for (const SourceColumn& column : from.columns) {
    const SourceColumn* now = to.column(column.attnum);
    if (now == nullptr) continue;
    const std::string what = other_meaning(column, from_facts, *now, to_facts);
    if (!what.empty()) return fmt::format("column \"{}\": {}", now->name, what);
  }
  return {};
}

}  // namespace deltamirror
