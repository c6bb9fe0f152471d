/**
 * What a shell reads once; each then asks `plinth __complete WORDS…`, which prints one candidate a line, and `:files` where
 * files may follow.
 */
export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

export const SCRIPTS: Readonly<Record<Shell, string>> = {
  bash: `# plinth, for bash: source <(plinth completion bash)
_plinth() {
  local line current=\${COMP_WORDS[COMP_CWORD]} IFS=$'\\n'
  COMPREPLY=()
  while read -r line; do
    if [ "$line" = :files ]; then COMPREPLY+=($(compgen -f -- "$current")); else COMPREPLY+=("$line"); fi
  done < <("\${COMP_WORDS[0]}" __complete -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -o filenames -o nosort -F _plinth plinth ./plinth
`,
  zsh: `#compdef plinth
# plinth, for zsh: source <(plinth completion zsh), after compinit
_plinth() {
  local -a found
  found=("\${(@f)$("\${words[1]}" __complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  if (( \${found[(Ie):files]} )); then _files; found=("\${(@)found:#:files}"); fi
  found=("\${(@)found:#}")
  (( \${#found} )) && compadd -- "\${found[@]}"
}
compdef _plinth plinth
`,
  fish: `# plinth, for fish: plinth completion fish | source
function __plinth_complete
  set -l words (commandline -opc) (commandline -ct)
  set -l found ($words[1] __complete -- $words[2..-1] 2>/dev/null)
  contains -- :files $found; and __fish_complete_path (commandline -ct)
  string match -v -- :files $found
end
complete -c plinth -f -a '(__plinth_complete)'
`,
};
