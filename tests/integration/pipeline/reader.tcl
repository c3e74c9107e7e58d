# A reader that knows deltaflood lines and nothing else: standard input → an SQLite file.
# Tables are made from `schema` lines; every value is stored as the text it came as.
package require sqlite3

sqlite3 db [lindex $argv 0]
fconfigure stdin -encoding utf-8 -translation lf -buffersize 1000000

proc quoted {name} { return "\"[string map {\" \"\"} $name]\"" }

proc value {text} { return [subst -nocommands -novariables $text] }

# "a = $v(0) AND b IS NULL": binds by array, as a value may hold anything.
proc condition {names values separator} {
  upvar v v
  set out {}
  foreach name $names text $values {
    if {$text eq "\\N"} {
      lappend out "[quoted $name] [expr {$separator eq " AND " ? "IS" : "="}] NULL"
    } else {
      set v([set n [array size v]]) [value $text]
      lappend out "[quoted $name] = \$v($n)"
    }
  }
  return [join $out $separator]
}

proc expect_one {line} {
  if {[db changes] != 1} { error "[db changes] rows for: $line" }
}

set open 0
set old {}
while {[gets stdin line] >= 0} {
  set fields [split $line \t]
  # Left to right: what is before _action is ours, what is after its verb is the row.
  for {set at 0} {[lindex $fields $at] ne "_action"} {incr at 2} {}
  array unset meta
  array set meta [lrange $fields 0 $at+1]
  set names {}
  set values {}
  foreach {name text} [lrange $fields $at+2 end] {
    lappend names [value $name]
    lappend values $text
  }
  if {!$open && $meta(_action) ni {mark abort gap}} {
    db eval BEGIN
    set open 1
  }
  array unset v
  array set v {}
  switch $meta(_action) {
    mark {}
    commit { db eval COMMIT; set open 0 }
    abort { if {$open} { db eval ROLLBACK; set open 0 } }
    schema {
      set table [value $meta(_table)]
      set numbers {}
      foreach text $values { lappend numbers [lindex [value $text] 0] }
      set key($table) {}
      foreach number [split $meta(_pkey) ,] {
        lappend key($table) [lindex $names [lsearch -exact $numbers $number]]
      }
      # A known table may have got columns, or a key.
      if {![db onecolumn {SELECT count(*) FROM sqlite_schema WHERE name = $table}]} {
        db eval "CREATE TABLE [quoted $table] ([join [lmap name $names { quoted $name }] {, }])"
      }
      foreach name $names {
        if {![db onecolumn {SELECT count(*) FROM pragma_table_info($table) WHERE name = $name}]} {
          db eval "ALTER TABLE [quoted $table] ADD COLUMN [quoted $name]"
        }
      }
      if {$key($table) ne {}} {
        set on [join [lmap name $key($table) { quoted $name }] ", "]
        db eval "CREATE UNIQUE INDEX IF NOT EXISTS [quoted "$table key"] ON [quoted $table] ($on)"
      }
    }
    insert {
      set into [join [lmap name $names { quoted $name }] ", "]
      set marks {}
      foreach text $values {
        if {$text eq "\\N"} { lappend marks NULL; continue }
        set v([set n [array size v]]) [value $text]
        lappend marks "\$v($n)"
      }
      db eval "INSERT INTO [quoted [value $meta(_table)]] ($into) VALUES ([join $marks {, }])"
    }
    replace { set old [list $names $values] }
    update {
      set table [value $meta(_table)]
      set set_list [condition $names $values ", "]
      if {$old ne {}} {
        set where [condition {*}$old " AND "]
        set old {}
      } else {
        set where_names $key($table)
        set where_values {}
        foreach name $where_names { lappend where_values [lindex $values [lsearch -exact $names $name]] }
        set where [condition $where_names $where_values " AND "]
      }
      db eval "UPDATE [quoted $table] SET $set_list WHERE $where"
      expect_one $line
    }
    delete {
      db eval "DELETE FROM [quoted [value $meta(_table)]] WHERE [condition $names $values { AND }]"
      expect_one $line
    }
    rewrite -
    truncate { db eval "DELETE FROM [quoted [value $meta(_table)]]" }
    default { error "unknown verb: $line" }
  }
}
if {$open} { db eval ROLLBACK }
