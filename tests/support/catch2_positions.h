// How Catch2 prints our values. Position::begin() would make it take a Position for a container.
#pragma once

#include <catch2/catch.hpp>

#include "daystream/lsn.h"
#include "daystream/position.h"

template <>
struct Catch::StringMaker<daystream::Position> {
  static std::string convert(const daystream::Position& position) { return position.text(); }
};
template <>
struct Catch::StringMaker<daystream::Lsn> {
  static std::string convert(const daystream::Lsn& lsn) { return lsn.text(); }
};
