// Rows on their way from PostgreSQL to SQLite: converted, many at a time.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "values/types.h"

namespace deltamirror {

class RowBatch {
 public:
  explicit RowBatch(std::size_t columns = 0) : columns_(columns) {}

  void clear() noexcept {
    bytes_.clear();
    fields_.clear();
  }
  // Bytes that values of the rows to come will borrow; where they stand here.
  std::size_t keep(std::string_view bytes) {
    const std::size_t at = bytes_.size();
    bytes_.append(bytes);
    return at;
  }
  // The next value, row by row. Text and blobs: from `at`, where keep() put them.
  void add(const Value& value, std::size_t at) {
    Field field;
    field.type = value.type;
    switch (value.type) {
      case Value::Type::Integer:
        field.integer = value.integer;
        break;
      case Value::Type::Real:
        field.real = value.real;
        break;
      case Value::Type::Text:
      case Value::Type::Blob:
        field.at = at;
        field.size = static_cast<std::uint32_t>(value.bytes.size());
        break;
      case Value::Type::Null:
        break;
    }
    fields_.push_back(field);
  }

  std::size_t columns() const noexcept { return columns_; }
  std::size_t rows() const noexcept { return columns_ == 0 ? 0 : fields_.size() / columns_; }
  std::size_t size_bytes() const noexcept { return bytes_.size() + fields_.size() * sizeof(Field); }
  // Borrows the batch, until clear() or the next keep().
  Value value(std::size_t row, std::size_t column) const noexcept {
    const Field& field = fields_[row * columns_ + column];
    Value out;
    out.type = field.type;
    switch (field.type) {
      case Value::Type::Integer:
        out.integer = field.integer;
        break;
      case Value::Type::Real:
        out.real = field.real;
        break;
      case Value::Type::Text:
      case Value::Type::Blob:
        out.bytes = {bytes_.data() + field.at, field.size};
        break;
      case Value::Type::Null:
        break;
    }
    return out;
  }

 private:
  struct Field {
    Value::Type type = Value::Type::Null;
    std::uint32_t size = 0;
    union {
      std::int64_t integer = 0;
      double real;
      std::uint64_t at;
    };
  };

  std::size_t columns_;
  std::string bytes_;
  std::vector<Field> fields_;
};

}  // namespace deltamirror
