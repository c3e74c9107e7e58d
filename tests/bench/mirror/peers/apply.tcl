# A mirror in a page of Tcl: apply.tcl DAY_FILE MIRROR.db
# Integer keys, no NULL in the old row, no checkpoint, no checks: what one writes first.
package require sqlite3
lassign $argv day path
sqlite3 mirror $path
mirror eval {PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA cache_size=-65536}
mirror cache size 100

array set key {pgbench_accounts aid pgbench_tellers tid pgbench_branches bid pgbench_history id}

# One statement per table and set of columns; values go in by name.
proc statement {verb table columns} {
  global statements key
  set id [list $verb $table $columns]
  if {![info exists statements($id)]} {
    set k $key($table)
    switch $verb {
      insert {
        set marks [lmap c $columns {string cat : v_ $c}]
        set statements($id) "INSERT INTO ${table}([join $columns ,]) VALUES([join $marks ,])"
      }
      update {
        set list [lmap c $columns {if {$c eq $k} continue; string cat $c = :v_ $c}]
        set statements($id) "UPDATE $table SET [join $list ,] WHERE $k = :v_$k"
      }
      delete {set statements($id) "DELETE FROM $table WHERE $k = :v_$k"}
    }
  }
  return $statements($id)
}

set in [open $day]
fconfigure $in -encoding utf-8 -translation lf
set transactions 0
set begun 0
while {[gets $in line] >= 0} {
  set fields [split $line \t]
  set at [lsearch -exact $fields _action]
  set verb [lindex $fields [incr at]]
  if {$verb eq "commit"} {
    if {[incr transactions] % 100 == 0 && $begun} {
      mirror eval COMMIT
      set begun 0
    }
    continue
  }
  if {$verb ni {insert update delete}} continue
  if {!$begun} {mirror eval BEGIN}
  set begun 1
  set table [dict get $fields _table]
  if {![info exists key($table)]} continue
  set columns {}
  foreach {name raw} [lrange $fields [incr at] end] {
    lappend columns $name
    if {$raw eq "\\N"} {unset -nocomplain v_$name} else {
      set v_$name [subst -nocommands -novariables $raw]
    }
  }
  mirror eval [statement $verb $table $columns]
}
if {$begun} {mirror eval COMMIT}
