#!/usr/bin/env python3
"""Makes manual pages and completion of what programs say of themselves (PROGRAM --describe).

  reference.py MAN_DIR BASH_DIR ZSH_DIR PROGRAM...

Meson runs it when it installs: the directories are relative to the prefix. So --help, manual pages
and completion have one source, the options of the program.
"""
import json
import os
import pathlib
import subprocess
import sys

PAGES = {  # where else to look, by the program's name
    "deltastream": ["daystream(1)", "deltamirror(1)"],
    "daystream": ["deltastream(1)", "deltamirror(1)"],
    "deltamirror": ["deltastream(1)", "daystream(1)"],
}


# --- manual pages -------------------------------------------------------------------------------


def roff(text):
    """Text as roff shows it unchanged; hyphens stay what a shell takes."""
    out = text.replace("\\", "\\e").replace("-", "\\-")
    return "\n".join("\\&" + line if line[:1] in (".", "'") else line for line in out.split("\n"))


def bold(text):
    return f"\\fB{roff(text)}\\fR"


def italic(text):
    return f"\\fI{roff(text)}\\fR"


def value_of(option):
    return "|".join(option["choices"]) if "choices" in option else option.get("value", "")


def term(option):
    if not option["names"]:
        return italic(option["positional"])
    names = ", ".join(bold(name) for name in option["names"])
    return names + (" " + italic(value_of(option)) if "value" in option else "")


def entry(option):
    text = option.get("description", "")
    facts = []
    if "default" in option and "default:" not in text:
        facts.append(f"default: {option['default'].strip('[]')}")
    if option.get("required") and option["names"]:
        facts.append("required")
    if "environment" in option:
        facts.append(f"environment: {option['environment']}")
    if facts:
        text += f" ({'; '.join(facts)})"
    return f".TP\n{term(option)}\n{roff(text)}\n"


def places(command):
    """Its arguments without a flag, as a synopsis has them."""
    words = []
    for option in command["options"]:
        if option["names"]:
            continue
        word = italic(option["positional"]) + ("..." if option.get("repeats") else "")
        words.append(word if option.get("required") else f"[{word}]")
    return words


def synopsis(command, before):
    """`before`: what stands before its arguments, with its own name."""
    words = [before]
    if any(option["names"] for option in command["options"]):
        words.append("[" + italic("OPTION") + "]...")
    words += places(command)
    if command["commands"]:
        word = italic("COMMAND")
        words.append(word if command.get("needs_command") else f"[{word}]")
    return " ".join(words)


def options_by_group(command):
    groups = {}
    for option in command["options"]:
        group = "Arguments" if not option["names"] else option.get("group", "Options")
        groups.setdefault(group, []).append(option)
    return groups


def footer(text):
    """What stands below the options: "Examples:" becomes a section, commands stay as they are."""
    out, title, lines = [], "NOTES", []

    def close():
        body = "\n".join(lines).strip("\n")
        if body:
            out.append(f".SH {title}\n.nf\n{roff(body)}\n.fi\n")

    for line in text.split("\n"):
        if line == "Examples:":
            close()
            title, lines = "EXAMPLES", []
        elif line.startswith("Exit codes:"):
            close()
            title, lines = "EXIT STATUS", [line.removeprefix("Exit codes:").strip()]
        else:
            lines.append(line)
    close()
    return "".join(out)


def manual_page(command, path, before, inherited, version):
    name = "-".join(path)
    out = [f'.TH "{name.upper()}" 1 "" "deltaflood {version}" "deltaflood"\n']
    summary = command.get("description", "").removeprefix(name + " ").rstrip(".")
    out.append(f".SH NAME\n{roff(name)} \\- {roff(summary)}\n")
    out.append(f".SH SYNOPSIS\n{synopsis(command, before)}\n")
    if command["commands"]:
        out.append(".SH COMMANDS\n")
        for sub in command["commands"]:
            out.append(f".TP\n{bold(sub['name'])}\n{roff(sub.get('description', ''))}\n")
    out.append(".SH OPTIONS\n")
    for group, options in options_by_group(command).items():
        out.append(f".SS {roff(group)}\n" + "".join(entry(option) for option in options))
    if inherited:
        out.append(".SS Options of all commands\n" + "".join(entry(o) for o in inherited))
    out.append(footer(command.get("footer", "")))
    others = [f"{'-'.join(path)}-{sub['name']}(1)" for sub in command["commands"]]
    others += [f"{'-'.join(path[:-1])}(1)"] if path[1:] else PAGES.get(name, [])
    out.append(f".SH SEE ALSO\n{roff(', '.join(others))}\n")
    return "".join(out)


def manual_pages(command, path, before, inherited, version):
    """Pairs of a page's name and its text, for the command and all below it."""
    yield "-".join(path), manual_page(command, path, before, inherited, version)
    own = [o for o in command["options"] if o["names"] and o["names"] != ["-h", "--help"]]
    below = inherited + [o for o in own if "--version" not in o["names"]]
    for sub in command["commands"]:
        between = places(command)
        words = (" ".join([before, *between, bold(sub["name"])]) if between
                 else bold(" ".join(path + [sub["name"]])))
        yield from manual_pages(sub, path + [sub["name"]], words, below, version)


# --- pages of configuration files ---------------------------------------------------------------

FILE_PAGE = """\
.TH "{title}" 5 "" "deltaflood {version}" "deltaflood"
.SH NAME
{name} \\- configuration of {command}
.SH DESCRIPTION
{text}
Comments, // and /* */, are allowed. Services read /etc/deltaflood/{name_of_unit}.
.SH KEYS
{keys}.SH SEE ALSO
{others}
"""
FLAGS_TEXT = """A JSON object for \\-\\-config. Its keys are the names of the flags, which override it; true is
a flag without a value, false none, and a list gives a flag that may be repeated once for each."""
SCHEMA_TEXT = """A JSON object for \\-\\-config of seed, run and up. \\(lqdeltamirror config check\\(rq says all that is
wrong with one, \\(lqdeltamirror config init\\(rq writes a first one, \\(lqdeltamirror config schema\\(rq prints its schema."""


def file_page(command, version, text, keys, others):
    name = f"{command}.json"
    return f"{name}.5", FILE_PAGE.format(
        title=name.upper(), version=version, name=roff(name), command=roff(command), text=text,
        name_of_unit=roff(f"{command}-NAME.json"), keys=keys, others=roff(", ".join(others)))


def key_entry(option):
    key = option["names"][-1].lstrip("-") if option["names"] else option["positional"].lower()
    value = value_of(option) if "value" in option or not option["names"] else "true|false"
    return f".TP\n{bold(key)} {italic(value)}\n{roff(option.get('description', ''))}\n"


def takes_flags(command):
    return any("--config" in option["names"] for option in command["options"])


def pages_of_flags(program, version):
    """Of each command whose configuration is its flags."""
    for path, command in commands_below(program):
        if not takes_flags(command):
            continue
        name = "-".join((program["name"],) + path)
        unkept = (["-h", "--help"], ["--config"], ["--version"], ["--check"])
        own = command["options"] + (program["options"] if path else [])
        keys = "".join(key_entry(o) for o in own if o["names"] not in unkept)
        yield file_page(name, version, FLAGS_TEXT, keys, [f"{name}(1)"])


def schema_entries(schema, name, value, path):
    """The keys of an object of the schema, and of those below it."""
    while "$ref" in value:
        value = {**schema["$defs"][value["$ref"].rsplit("/", 1)[1]],
                 **{k: v for k, v in value.items() if k != "$ref"}}
    if name and "description" in value:
        kind = "|".join(map(str, value.get("enum", []))) or str(value.get("type", ""))
        yield f".TP\n{bold(path)} {italic(kind)}\n{roff(value['description'])}\n"
    if "items" in value:
        yield from schema_entries(schema, "", value["items"], path + "[]")
    for key, below in value.get("properties", {}).items():
        yield from schema_entries(schema, key, below, f"{path}.{key}" if path else key)


def page_of_schema(path, version):
    text = subprocess.run([path, "config", "schema"], check=True, capture_output=True, text=True)
    schema = json.loads(text.stdout)
    seen = []  # tables are the same at the top and of a source
    for entry_text in schema_entries(schema, "", schema, ""):
        if entry_text not in seen and "sources[].tables[]" not in entry_text:
            seen.append(entry_text)
    return file_page("deltamirror", version, SCHEMA_TEXT, "".join(seen), ["deltamirror-config(1)"])


# --- completion ---------------------------------------------------------------------------------


def commands_below(command, path=()):
    """All commands as pairs of their words and themselves, the program itself first."""
    yield path, command
    for sub in command["commands"]:
        yield from commands_below(sub, path + (sub["name"],))


def options_of(program, path):
    """Of a command, with those that it takes from the ones above it."""
    out, command = list(program["options"]), program
    for word in path:
        command = next(sub for sub in command["commands"] if sub["name"] == word)
        out += [o for o in command["options"] if o["names"] != ["-h", "--help"]]
    return [option for option in out if option["names"]]


BASH = """\
# Completion of {name} for bash. Made from its --describe.
_{name}() {{
  local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD - 1]}} path='' word
  # bash takes --flag=value for three words
  if [[ $cur == = ]]; then cur=''; elif [[ $prev == = ]]; then prev=${{COMP_WORDS[COMP_CWORD - 2]}}; fi
  for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
    case "$path $word" in
{steps}
    esac
  done
  case "$path:$prev" in
{values}
  esac
  local words='' files=yes
  case "$path" in
{words}
  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
  if [[ $files && $cur != -* ]]; then mapfile -t -O "${{#COMPREPLY[@]}}" COMPREPLY < <(compgen -f -- "$cur"); fi
}}
complete -o filenames -F _{name} {name}
"""


def bash_values(spelt, options):
    """The case that completes what follows an option: its choices, or a file."""
    files = []
    for option in options:
        cases = "|".join(f'"{spelt}:{name}"' for name in option["names"])
        if "choices" in option:
            yield cases, f'-W "{" ".join(option["choices"])}"'
        elif "value" in option:
            files.append(cases)
    if files:
        yield "|".join(files), "-f"


def bash_completion(program):
    steps, values, words = [], [], []
    for path, command in commands_below(program):
        spelt = "".join(" " + word for word in path)
        if path:
            steps.append(f'      "{spelt}") path="{spelt}" ;;')
        options = options_of(program, path)
        for cases, kind in bash_values(spelt, options):
            values.append(f'    {cases})\n      mapfile -t COMPREPLY < <(compgen {kind} -- "$cur")\n'
                          f"      return\n      ;;")
        names = [sub["name"] for sub in command["commands"]]
        names += [name for option in options for name in option["names"]]
        takes_none = command.get("needs_command") and not places(command)
        words.append(f'    "{spelt}") words="{" ".join(names)}"{" files=" if takes_none else ""} ;;')
    return BASH.format(name=program["name"], steps="\n".join(steps) or "      *) ;;",
                       values="\n".join(values), words="\n".join(words))


def zsh_text(text):
    return text.replace("'", "'\\''").replace("[", "\\[").replace("]", "\\]").replace(":", "\\:")


def zsh_options(options):
    out = []
    for option in options:
        for name in option["names"]:
            if "choices" in option:
                value = ":value:(" + " ".join(option["choices"]) + ")"
            else:
                value = f":{zsh_text(option['value'])}:_files" if "value" in option else ""
            out.append(f"'*{name}[{zsh_text(option.get('description', ''))}]{value}'")
    return out


def zsh_function(program, path, command):
    name = "_" + "_".join((program["name"],) + path)
    specs = " \\\n    ".join(zsh_options(options_of(program, path)))
    if not command["commands"]:
        return f"{name}() {{\n  _arguments -s \\\n    {specs} \\\n    '*:file:_files'\n}}\n"
    described = "\n".join(f"    '{sub['name']}:{zsh_text(sub.get('description', ''))}'"
                          for sub in command["commands"])
    cases = "\n".join(f"    {sub['name']}) {name}_{sub['name']} ;;" for sub in command["commands"])
    # Arguments of its own stand before the name of a command below it.
    own = len(places(command))
    files = "".join(f"'{n}:file:_files' " for n in range(1, own + 1))
    return (f"{name}() {{\n  local -a commands=(\n{described}\n  )\n  local state line\n"
            f"  _arguments -s -C \\\n    {specs} \\\n    {files}'{own + 1}: :->command' '*:: :->rest'\n"
            f"  case $state in\n    command) _describe command commands ;;\n    rest)\n"
            f"      case $line[{own + 1}] in\n{cases}\n      esac\n      ;;\n  esac\n}}\n")


def zsh_completion(program):
    functions = "".join(zsh_function(program, path, command)
                        for path, command in commands_below(program))
    return (f"#compdef {program['name']}\n# Made from its --describe.\n{functions}"
            f"_{program['name']} \"$@\"\n")


# --- files --------------------------------------------------------------------------------------


def write(directory, name, text):
    root = pathlib.Path(os.environ.get("MESON_INSTALL_DESTDIR_PREFIX", "."))
    folder = root / directory
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")


def said_by(program, flag):
    return subprocess.run([program, flag], check=True, capture_output=True, text=True).stdout


def main():
    man_dir, bash_dir, zsh_dir, *programs = sys.argv[1:]
    for path in programs:
        program = json.loads(said_by(path, "--describe"))
        version = said_by(path, "--version").split()[1]
        for name, page in manual_pages(program, [program["name"]], bold(program["name"]), [],
                                           version):
            write(f"{man_dir}/man1", f"{name}.1", page)
        if program["name"] == "deltamirror":
            files = [page_of_schema(path, version)]
        else:
            files = pages_of_flags(program, version)
        for name, page in files:
            write(f"{man_dir}/man5", name, page)
        write(bash_dir, program["name"], bash_completion(program))
        write(zsh_dir, "_" + program["name"], zsh_completion(program))


main()
