#!/usr/bin/env zsh
# complete.zsh FOLDER LINE: what zsh offers, at a terminal, for LINE and Tab with the functions of
# FOLDER; one a line.
zmodload zsh/zpty || exit 1
setup=$(mktemp)
trap 'rm -f "$setup"' EXIT
cat >"$setup" <<'END'
PROMPT=
fpath=("$COMPLETE_FOLDER" $fpath)
autoload -Uz compinit
compinit -u -D
bindkey '^I' complete-word
zstyle ':completion:*' list-grouped false
zstyle ':completion:*' insert-tab false
say_edge() { print -r -- '<edge>'; }
compprefuncs=(say_edge)
comppostfuncs=(say_edge exit)
compadd() {
  # With one of these nothing is offered.
  if [[ ${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]]; then
    builtin compadd "$@"
    return
  fi
  local -a offered
  builtin compadd -A offered "$@"
  print -rl -- $offered
}
print ready
END
export COMPLETE_FOLDER=$1
zpty shell zsh -f -i
zpty -w shell "source $setup"
while zpty -r shell line; do [[ $line == ready* ]] && break; done
zpty -w -n shell "$2"$'\t'
inside=0
while zpty -r shell line; do
  line=${line%$'\r\n'}
  if [[ $line == *'<edge>' ]]; then
    (( inside++ )) && exit 0
  elif (( inside )) && [[ -n $line ]]; then
    print -r -- "$line"
  fi
done
exit 1
