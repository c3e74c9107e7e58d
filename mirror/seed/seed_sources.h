// A first seed of several databases into one mirror.
#pragma once

#include "seed/seed.h"

namespace deltamirror {

// As seed() says; the mirror is absent. Throws WrongSource where two sources are one database, and
// NeedsPerson where tables that are to share one do not fit: before any of them is copied.
void seed_sources(const SeedOptions& options, const daystream::program::Signals& signals);

}  // namespace deltamirror
