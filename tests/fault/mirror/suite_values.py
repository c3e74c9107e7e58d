"""What a value of PostgreSQL is in a mirror, from COPY's text, by what mirror/TYPES.md says."""
import json
import math
import re

KINDS = {'int2': 'integer', 'int4': 'integer', 'int8': 'integer', 'oid': 'integer',
         'xid': 'integer', 'cid': 'integer', 'bool': 'boolean', 'float4': 'real', 'float8': 'real',
         'bytea': 'bytea', 'timestamptz': 'timestamptz'}

# The columns of a table, and what their types are below all domains.
COLUMNS = """
WITH RECURSIVE below(attnum, oid, typmod) AS (
  SELECT attnum, atttypid, atttypmod FROM pg_attribute
  WHERE attrelid = {oid} AND attnum > 0 AND NOT attisdropped
  UNION ALL SELECT b.attnum, t.typbasetype, greatest(b.typmod, t.typtypmod)
  FROM below b JOIN pg_type t ON t.oid = b.oid
  WHERE t.typtype = 'd'),
base AS (SELECT b.attnum, b.typmod, t.* FROM below b JOIN pg_type t ON t.oid = b.oid WHERE t.typtype <> 'd'),
inner_type(attnum, oid, typmod) AS (
  SELECT attnum, typelem, typmod FROM base WHERE typcategory = 'A' AND typelem <> 0 AND typlen = -1
  UNION ALL SELECT i.attnum, t.typbasetype, greatest(i.typmod, t.typtypmod)
  FROM inner_type i JOIN pg_type t ON t.oid = i.oid
  WHERE t.typtype = 'd')
SELECT a.attname, coalesce(e.typname, base.typname), e.oid IS NOT NULL,
  coalesce(e.typdelim::text, ','), coalesce(e.typmod, base.typmod)
FROM pg_attribute a JOIN base USING (attnum)
LEFT JOIN (SELECT i.attnum, i.typmod, t.* FROM inner_type i JOIN pg_type t ON t.oid = i.oid
           WHERE t.typtype <> 'd') e USING (attnum)
WHERE a.attrelid = {oid} ORDER BY a.attnum"""


def kind_of(type_name, typmod):
    """What becomes of a type; of a numeric its modifier decides."""
    if type_name != 'numeric':
        return KINDS.get(type_name, 'text')
    precision, scale = (typmod - 4) >> 16, (((typmod - 4) & 2047) ^ 1024) - 1024
    if typmod < 0:
        return 'text'
    if scale <= 0:
        return 'whole' if precision - scale <= 18 else 'text'
    return 'real' if precision <= 15 and scale <= 100 else 'text'


def parse_array(text, delimiter):
    """PostgreSQL's text of an array as nested lists of its elements' texts; None is NULL."""
    stack, result, at = [], None, 0
    while at < len(text):
        c = text[at]
        if c == '{':
            stack.append([])
            at += 1
        elif c == '}':
            result = stack.pop()
            if stack:
                stack[-1].append(result)
            at += 1
        elif c == delimiter:
            at += 1
        elif c == '"':
            out, at = [], at + 1
            while text[at] != '"':
                at += text[at] == '\\'
                out.append(text[at])
                at += 1
            at += 1
            stack[-1].append(''.join(out))
        else:
            out = []
            while text[at] not in '{}' + delimiter:
                at += text[at] == '\\'
                out.append(text[at])
                at += 1
            word = ''.join(out)
            stack[-1].append(None if word.upper() == 'NULL' else word)
    return result


def scalar(kind, text):
    """What mirror/TYPES.md says of a value."""
    if kind == 'integer':
        return int(text)
    if kind == 'whole':
        return text if text == 'NaN' else int(text)
    if kind == 'boolean':
        return 1 if text == 't' else 0
    if kind == 'real':
        number = float(text)
        return 'NaN' if math.isnan(number) else number + 0.0
    if kind == 'bytea':
        return bytes.fromhex(text[2:])
    if kind == 'timestamptz':
        return text[:-3] if text.endswith('+00') else text
    return text


def element(kind, item):
    if isinstance(item, list):
        return [element(kind, one) for one in item]
    if item is None:
        return None
    if kind == 'boolean':
        return item == 't'
    value = scalar(kind, item)
    if kind == 'real' and isinstance(value, float) and math.isinf(value):
        return item
    return item if kind == 'bytea' else value


def expected(column, text):
    if text is None:
        return None
    if not column['array']:
        return scalar(column['kind'], text)
    if not text.startswith('{'):
        return text
    return ('array', repr(element(column['kind'], parse_array(text, column['delimiter']))))


def found(column, value):
    if value is not None and column['array'] and isinstance(value, str) and value.startswith('['):
        if not value.startswith('[0:') and not re.match(r'\[-?\d+:-?\d+\]', value):
            numbers = float if column['kind'] == 'real' else int
            return ('array', repr(json.loads(value, parse_int=numbers)))
    if column['kind'] == 'real' and isinstance(value, float):
        return value + 0.0
    return value


def unescape(field):
    if field == r'\N':
        return None
    if '\\' not in field:
        return field
    names = {'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t', 'v': '\v'}
    return re.sub(r'\\(.)', lambda m: names.get(m.group(1), m.group(1)), field, flags=re.DOTALL)
