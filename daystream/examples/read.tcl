#!/usr/bin/env tclsh
# Reads a daystream with nothing of ours, and prints each committed change: position of the commit,
# table, verb, old identity and values, NULLs left out. Compressed days are read through the command
# zstd.
#   tclsh read.tcl DAYSTREAM
proc whole {path} {
  set file [open $path rb]
  set bytes [read $file]
  close $file
  return $bytes
}
proc text {raw} {
  return [subst -nocommands -novariables $raw]
}
set dir [lindex $argv 0]
array set durable {_c 9999999999 _size {}}
if {[file exists $dir/durable]} {
  array set durable [split [string trimright [whole $dir/durable]] \t]
  if {$durable(_c) < 0} exit
}
set last [clock format $durable(_c) -format %Y-%m-%d -gmt 1]
fconfigure stdout -encoding utf-8

set days {}
foreach path [glob -nocomplain -directory $dir *.tsv *.tsv.zst] {
  dict set days [string range [file tail $path] 0 9] $path
}
set changes {}
set old {}
foreach day [lsort [dict keys $days]] {
  if {$day > $last} break
  if {[file exists $dir/$day.tsv]} {
    set bytes [whole $dir/$day.tsv]
  } else {
    set zstd [open |[list zstd -dcq $dir/$day.tsv.zst] rb]
    set bytes [read $zstd]
    close $zstd
  }
  if {$day eq $last && $durable(_size) ne ""} {
    set bytes [string range $bytes 0 $durable(_size)-1]
  }
  foreach line [split [string trimright [encoding convertfrom utf-8 $bytes] \n] \n] {
    array unset key
    set row {}
    set verb {}
    foreach {name value} [split $line \t] {
      if {$verb ne ""} {
        if {$value ne "\\N"} {lappend row [text $name] [text $value]}
      } elseif {$name eq "_action"} {
        set verb $value
      } else {
        set key($name) $value
      }
    }
    switch $verb {
      replace {set old $row}
      insert - update {
        lappend changes [list [text $key(_table)] $verb $old $row]
        set old {}
      }
      delete - truncate - rewrite {lappend changes [list [text $key(_table)] $verb $row {}]}
      commit {
        foreach change $changes {puts "$key(_c)/$key(_s) $change"}
        set changes {}
      }
      abort {set changes {}}
      gap {error "changes after $key(_lsn) are missing"}
      mark - message - schema - drop {}
      default {error "a verb that is not known: $verb"}
    }
  }
}
