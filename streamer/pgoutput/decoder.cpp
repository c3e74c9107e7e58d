#include "pgoutput/decoder.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "daystream/error.h"
#include "daystream/line.h"
#include "src/number.h"

namespace deltastream::pgoutput {

using daystream::Lsn;
using daystream::ProtocolError;

namespace {

constexpr std::string_view kOurSchema = "deltaflood";
constexpr std::string_view kShapeTable = "ddl";
// Rows of a table whose shape has not come yet are held back up to here.
constexpr std::uint64_t kMostHeld = 64 << 20;

std::string escaped(std::string_view text) {
  std::string out;
  daystream::escape_to(out, text);
  return out;
}

// Whether SQL takes it for a name without quotes, if it is no keyword.
bool is_plain(std::string_view name) noexcept {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; };
  return !name.empty() && letter(name[0]) && std::all_of(name.begin(), name.end(), [&](char c) {
    return letter(c) || (c >= '0' && c <= '9');
  });
}

std::string in_quotes(std::string_view name) {
  std::string out = "\"";
  for (const char c : name) out.append(c == '"' ? 2 : 1, c);
  return out + '"';
}

// How lines may call a table that only pgoutput has named. Which words are keywords only the server
// knows: each part with quotes, and without them where it can be.
std::vector<std::string> possible_names(const Relation& relation) {
  const auto spellings = [](const std::string& name) {
    std::vector<std::string> out = {in_quotes(name)};
    if (is_plain(name)) out.push_back(name);
    return out;
  };
  if (relation.schema == "public") return spellings(relation.name);
  std::vector<std::string> out;
  for (const std::string& schema : spellings(relation.schema)) {
    for (const std::string& table : spellings(relation.name))
      out.push_back(fmt::format("{}.{}", schema, table));
  }
  return out;
}

// nullopt: it is of a later version of the SQL, say, and the table is unknown.
std::optional<Shape> try_shape(const ShapeRow& row, const std::string& publication) {
  try {
    return parse_shape(row.relation, row.shape, publication);
  } catch (const ProtocolError&) {
    return std::nullopt;
  }
}

std::string time_text(Microseconds us) {
  const bool negative = us < 0;
  const auto magnitude =
      negative ? 0 - static_cast<std::uint64_t>(us) : static_cast<std::uint64_t>(us);
  return fmt::format("{}{}.{:06}", negative ? "-" : "", magnitude / 1'000'000,
                     magnitude % 1'000'000);
}

}  // namespace

Decoder::Decoder(Spool& spool, ShapeKeeper& keeper, std::string publication,
                 const std::vector<ShapeRow>& known, std::uint64_t next)
    : spool_(spool), keeper_(keeper), publication_(std::move(publication)), next_(next) {
  for (const ShapeRow& row : known) {
    if (row.kind != "shape") continue;
    Table& table = table_of(row.relation);
    table.shape = try_shape(row, publication_);
    if (table.shape) table.fields = schema_fields(*table.shape, nullptr);
  }
}

void Decoder::clear_lines() noexcept {
  lines_.clear();
  at_commit_ = false;
}

std::set<std::uint32_t> Decoder::take_unknown() {
  return std::exchange(unknown_, {});
}

void Decoder::take(std::string_view message) {
  const Kind kind = kind_of(message);
  if (spool_.in_block()) return take_in_block(kind, message);
  switch (kind) {
    case Kind::Begin:
      return begin(parse_begin(message).xid, Part::Whole);
    case Kind::Commit: {
      const Commit end = parse_commit(message);
      return commit(end.end_lsn, end.time_us);
    }
    case Kind::StreamStart:
      return spool_.begin_block(parse_stream_start(message).xid);
    case Kind::StreamStop:
      return spool_.end_block();
    case Kind::StreamCommit:
      return take_stream_commit(message);
    case Kind::StreamAbort: {
      const StreamAbort abort = parse_stream_abort(message);
      return spool_.abort(abort.xid, abort.sub);
    }
    case Kind::Origin:
    case Kind::Message:  // of no transaction, too, which anybody may write between them
      return check_skipped(message, Part::Whole);
    default:
      return take_change(kind, message);
  }
}

void Decoder::take_in_block(Kind kind, std::string_view message) {
  if (kind == Kind::StreamStop) return spool_.end_block();
  if (kind == Kind::Origin) return check_skipped(message, Part::Whole);
  if (!is_change(kind)) {
    throw ProtocolError(
        fmt::format("a message \"{}\" of pgoutput within a block", static_cast<char>(kind)));
  }
  if (kind == Kind::Type || kind == Kind::Message) return check_skipped(message, Part::Streamed);
  spool_.append(parse_streamed_xid(message), message);
}

void Decoder::take_stream_commit(std::string_view message) {
  replay_.end = parse_stream_commit(message);
  begin(replay_.end.xid, Part::Streamed);
  replay_.rows = spool_.take(replay_.end.xid);
  if (!replay_.rows) commit(replay_.end.end_lsn, replay_.end.time_us);
}

void Decoder::go_on(std::size_t bytes) {
  const std::size_t until = lines_.size() + bytes;
  std::string_view message;
  // What makes no lines takes its time, too.
  for (std::size_t read = 0; lines_.size() < until && read < 16 * bytes;) {
    if (!replay_.rows->next(message)) {
      replay_.rows.reset();
      return commit(replay_.end.end_lsn, replay_.end.time_us);
    }
    read += message.size();
    take_change(kind_of(message), message);
  }
}

void Decoder::begin(std::uint32_t xid, Part part) {
  if (now_.open)
    throw ProtocolError(fmt::format("transaction {} of pgoutput begins within {}", xid, now_.xid));
  now_.open = true;
  now_.xid = xid;
  now_.xid_text = std::to_string(xid);
  now_.part = part;
  ++now_.number;
  now_.has_lines = false;
}

void Decoder::commit(Lsn lsn, Microseconds time_us) {
  if (!now_.open)
    throw ProtocolError(fmt::format("a commit of pgoutput at {} without a begin", lsn.text()));
  settle_pending();
  for (const std::uint32_t oid : std::exchange(now_.holding, {})) {
    Table& table = table_of(oid);
    if (table.held) doubt(table, "no shape of it was told");
  }
  next_ = std::max(next_, widen(now_.xid) + 1);
  if (!now_.shape_rows.empty()) keeper_.keep(lsn, now_.shape_rows);
  now_.shape_rows.clear();
  now_.open = false;
  if (!now_.has_lines) return;
  begin_line();
  lines_ += fmt::format("_xid\t{}\t_lsn\t{}\t_next\t{}\t_time\t{}\t_action\tcommit", now_.xid_text,
                        lsn.text(), next_, time_text(time_us));
  at_commit_ = true;
}

// The id of 64 bits that is nearest to the newest one that is known.
std::uint64_t Decoder::widen(std::uint32_t xid) const noexcept {
  const auto distance = static_cast<std::int32_t>(xid - static_cast<std::uint32_t>(next_));
  return next_ + static_cast<std::uint64_t>(static_cast<std::int64_t>(distance));
}

void Decoder::take_change(Kind kind, std::string_view message) {
  if (!now_.open) {
    throw ProtocolError(fmt::format("a message \"{}\" of pgoutput outside of a transaction",
                                    static_cast<char>(kind)));
  }
  switch (kind) {
    case Kind::Relation:
      return take_relation(parse_relation(message, now_.part));
    case Kind::Insert:
    case Kind::Update:
    case Kind::Delete:
      parse_row(message, now_.part, row_);
      return take_row(message);
    case Kind::Truncate:
      return take_truncate(parse_truncate(message, now_.part));
    default:
      return check_skipped(message, now_.part);
  }
}

Decoder::Table& Decoder::table_of(std::uint32_t oid) {
  if (last_ != nullptr && last_->oid == oid) return *last_;
  last_ = &tables_[oid];
  last_->oid = oid;
  return *last_;
}

void Decoder::take_relation(Relation relation) {
  Table& table = table_of(relation.oid);
  if (table.relation == relation) return;
  if (table.held) doubt(table, "its shape changed before it was told");
  const bool ours = relation.schema == kOurSchema;
  table.role = !ours ? Role::Table : relation.name == kShapeTable ? Role::Shapes : Role::Ours;
  table.relation = std::move(relation);
  table.verdict = Verdict::Open;
  // Whether it sends generated columns only it says.
  if (table.shape && !generated_columns(*table.shape).empty()) table.told = false;
}

void Decoder::take_row(std::string_view message) {
  Table& table = table_of(row_.relation);
  if (!table.relation) {
    throw ProtocolError(
        fmt::format("a row of pgoutput is of table {}, which it did not describe", row_.relation));
  }
  const std::size_t columns = table.relation->columns.size();
  const auto fits = [&](const Tuple& row) { return row.empty() || row.size() == columns; };
  if (!fits(row_.old_row) || !fits(row_.new_row)) {
    throw ProtocolError(
        fmt::format("a row of pgoutput has another number of columns than table "
                    "\"{}\"",
                    table.relation->name));
  }
  if (table.role == Role::Shapes) return take_shape_row(table);
  if (table.role == Role::Ours) return;
  settle_pending();
  if (!is_known(table)) return hold(table, message);
  tell(table);
  write_row(table);
}

void Decoder::take_truncate(const Truncate& truncate) {
  settle_pending();
  // Schemas first, so that the lines of one statement are adjacent.
  for (const bool schemas : {true, false}) {
    for (const std::uint32_t oid : truncate.relations) {
      Table& table = table_of(oid);
      if (table.role != Role::Table) continue;
      if (table.shape && table.shape->kind == 'p') continue;  // its partitions come with it
      if (is_known(table)) {
        schemas ? tell(table) : write_table_line(table, "\t_action\ttruncate");
      } else if (schemas && table.relation) {
        doubt(table, "no shape of it was told");
      }
    }
  }
}

bool Decoder::is_of_this(std::string_view xid) const {
  const auto number = daystream::parse_number<std::uint64_t>(xid);
  return number && static_cast<std::uint32_t>(*number) == now_.xid;
}

void Decoder::take_shape_row(const Table& table) {
  if (row_.kind != Kind::Insert) return;  // old ones are removed now and then
  ShapeRow out;
  const std::vector<RelationColumn>& columns = table.relation->columns;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    const std::string_view text = row_.new_row[i].text;
    if (columns[i].name == "kind") out.kind = text;
    if (columns[i].name == "shape") out.shape = text;
    // One of another transaction is of a dump or a copy.
    if (columns[i].name == "xid" && !is_of_this(text)) return;
    if (columns[i].name == "relid" && !text.empty()) {
      out.relation = daystream::parse_number<std::uint32_t>(text).value_or(0);
    }
  }
  note(out);
  now_.shape_rows.push_back(std::move(out));
}

void Decoder::note(const ShapeRow& row) {
  if (row.kind == "error") {
    now_.all_unknown = true;
    return;
  }
  Pending& pending = now_.pending[row.relation];
  if (row.kind == "rewrite") {
    pending.rewritten = true;
  } else if (row.kind == "gone") {
    pending.gone = true;
    pending.was_out = true;
    pending.shape.reset();
  } else if (row.kind == "shape") {
    pending.shape = try_shape(row, publication_);
    pending.unread = !pending.shape;
    pending.was_out = pending.was_out || pending.unread || !pending.shape->is_told();
    Table& table = table_of(row.relation);
    if (!table.held) return;
    settle_pending();
    release_held(table);
  } else {
    throw ProtocolError(fmt::format("a row of deltaflood.ddl is of kind \"{}\"", row.kind),
                        "install sql/deltaflood_managed.sql of this version");
  }
}

// Drops first: a reader that goes by names must be rid of the old table before a new one of the
// same name comes.
void Decoder::settle_pending() {
  if (now_.pending.empty() && !now_.all_unknown) return;
  if (std::exchange(now_.all_unknown, false)) forget_all();
  std::map<std::uint32_t, Pending> pending = std::exchange(now_.pending, {});
  for (const bool gone : {true, false}) {
    for (auto& [oid, each] : pending) {
      const bool stays = each.shape && each.shape->is_told();
      if (gone != stays) settle(table_of(oid), each);
    }
  }
}

void Decoder::settle(Table& table, Pending& pending) {
  const bool was_told = table.shape && table.shape->is_told();
  const bool changes = pending.shape || pending.gone;
  if (pending.unread && !changes) {
    doubt(table, "its shape could not be read");
    table.shape.reset();
    table.verdict = Verdict::Open;
    unknown_.insert(table.oid);
    return;
  }
  const bool goes = changes && !(pending.shape && pending.shape->is_told());
  if (pending.rewritten && was_told && !goes) {
    doubt(table, "it was rewritten, and pgoutput tells no rows of that");
  }
  if (pending.was_out && was_told && !goes) {
    doubt(table, "the publication left out what was done to it for a while");
  }
  if (was_told && !goes && pending.shape && has_come_to_be_told(*table.shape, *pending.shape)) {
    doubt(table, "a generated column is an ordinary one now, and pgoutput tells no rows of that");
  }
  if (!changes) return;
  if (was_told && goes) {
    left_.push_back({table.shape->line_name, pending.shape && pending.shape->kind == 'r' &&
                                                 pending.shape->persistence == 'p'});
    std::string fields = fmt::format("\t_oid\t{}", table.oid);
    if (table.shape->root != 0) fields += fmt::format("\t_root\t{}", table.shape->root);
    write_table_line(table, fields + "\t_action\tdrop");
    table.told = false;
  }
  const std::string before = std::exchange(table.fields, {});
  const std::string name = table.shape ? table.shape->line_name : "";
  // Copies have them: of one that goes a line tells, though lines had no values of it.
  const auto generated = table.shape ? generated_columns(*table.shape) : std::vector<int>();
  table.shape = std::move(pending.shape);
  table.verdict = Verdict::Open;
  if (!table.shape) return;
  table.fields = schema_fields(*table.shape, nullptr);
  const bool is_same = table.fields == before && table.shape->line_name == name &&
                       generated_columns(*table.shape) == generated;
  if (table.shape->is_told() && !is_same) {
    table.told = false;
    tell(table);
  }
}

// A fault in the triggers: what any table is now nobody knows.
void Decoder::forget_all() {
  unknown_.insert(0);
  std::vector<std::uint32_t> oids;
  for (const auto& [oid, table] : tables_) {
    if (table.shape && table.shape->is_told()) oids.push_back(oid);
  }
  std::sort(oids.begin(), oids.end());
  for (const std::uint32_t oid : oids) {
    Table& table = table_of(oid);
    doubt(table, "a change of shape could not be told");
    table.shape.reset();
    table.fields.clear();
    table.verdict = Verdict::Open;
  }
}

bool Decoder::is_known(Table& table) {
  if (table.verdict == Verdict::Open) {
    const bool known = table.relation && table.shape && table.shape->is_told() &&
                       difference(*table.shape, *table.relation).empty();
    table.verdict = known ? Verdict::Known : Verdict::Unknown;
    if (known) make_plan(table);
  }
  return table.verdict == Verdict::Known;
}

void Decoder::make_plan(Table& table) {
  Plan plan;
  plan.head = "_table\t" + escaped(table.shape->line_name) + "\t_xid\t";
  plan.full = table.relation->identity == 'f';
  plan.has_identity = plan.full;
  for (const RelationColumn& column : table.relation->columns) {
    plan.has_identity = plan.has_identity || column.identity;
    plan.columns.push_back(
        {'\t' + escaped(column.name) + '\t', column.type == kBoolType, column.identity});
  }
  table.plan = std::move(plan);
}

// CREATE TABLE AS writes its rows before its shape can be told.
void Decoder::hold(Table& table, std::string_view message) {
  if (table.doubted_in == now_.number) return;
  if (!table.held) {
    table.held = spool_.new_file();
    now_.holding.push_back(table.oid);
  }
  table.held->append(message);
  if (table.held->size() > kMostHeld) doubt(table, "no shape of it was told");
}

void Decoder::release_held(Table& table) {
  if (!is_known(table)) return;
  const std::unique_ptr<SpoolFile> held = std::move(table.held);
  std::string_view message;
  while (held->next(message)) {
    parse_row(message, now_.part, row_);
    tell(table);
    write_row(table);
  }
}

void Decoder::tell(Table& table) {
  if (table.told) return;
  table.told = true;
  begin_line();
  lines_ += "_table\t" + escaped(table.shape->line_name) + "\t_xid\t" + now_.xid_text;
  // What the server sends of generated columns it says with the first row.
  lines_ += schema_fields(*table.shape, is_known(table) ? &*table.relation : nullptr);
}

// Once in a transaction. Where it is unknown, its shape is to be told again.
void Decoder::doubt(Table& table, std::string_view why) {
  table.held.reset();
  if (!is_known(table) && table.relation) unknown_.insert(table.oid);
  if (std::exchange(table.doubted_in, now_.number) == now_.number) return;
  if (table.shape) {
    write_doubt(table.shape->line_name, why);
  } else if (table.relation) {
    for (const std::string& name : possible_names(*table.relation)) write_doubt(name, why);
  }
  if (table.verdict != Verdict::Known) table.told = false;
}

void Decoder::write_doubt(std::string_view name, std::string_view why) {
  begin_line();
  lines_ += "_table\t" + escaped(name) + "\t_xid\t" + now_.xid_text + "\t_untold\t" + escaped(why) +
            "\t_action\toversize";
}

void Decoder::write_table_line(const Table& table, std::string_view fields) {
  begin_line();
  lines_ += "_table\t" + escaped(table.shape->line_name) + "\t_xid\t" + now_.xid_text;
  lines_ += fields;
}

void Decoder::write_row(const Table& table) {
  const bool has_old = row_.old != Old::None && table.plan.has_identity;
  switch (row_.kind) {
    case Kind::Insert:
      return write_line(table, "insert", row_.new_row, false);
    case Kind::Delete:
      return write_line(table, "delete", row_.old_row, true);
    default:
      if (has_old) write_line(table, "replace", row_.old_row, true);
      return write_line(table, "update", row_.new_row, false);
  }
}

void Decoder::write_line(const Table& table, std::string_view verb, const Tuple& row, bool old) {
  const Plan& plan = table.plan;
  begin_line();
  lines_ += plan.head;
  lines_ += now_.xid_text;
  if (!plan.has_identity && verb != "insert") lines_ += "\t_identity\tnone";
  lines_ += "\t_action\t";
  lines_ += verb;
  const bool nulls = verb == "update" || (old && plan.full);
  for (std::size_t i = 0; i < row.size(); ++i) {
    const PlanColumn& column = plan.columns[i];
    if (old && !plan.full && !column.identity) continue;  // its NULL means nothing
    if (row[i].value == Value::Unchanged) continue;
    if (row[i].value == Value::Null) {
      if (!nulls) continue;
      lines_ += column.prefix;
      lines_ += daystream::kNull;
      continue;
    }
    lines_ += column.prefix;
    if (column.boolean) {
      lines_ += row[i].text == "t" ? '1' : '0';
    } else {
      daystream::escape_to(lines_, row[i].text);
    }
  }
}

void Decoder::begin_line() {
  if (!lines_.empty()) lines_ += '\n';
  now_.has_lines = true;
}

}  // namespace deltastream::pgoutput
