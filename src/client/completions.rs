//! Completion scripts for bash, zsh and fish, from the tables of commands and options.
//!
//! Invariant: a script completes the commands and options of the tables, file names, and the IDs of the history,
//! nothing else. Must never contact a server, nor print a key.

use super::flags::{COMMANDS, FLAGS, Flag, IDS, Name, SHELLS};
use std::fmt::Write;

/// The script for a shell; empty for an unknown one.
pub fn script(shell: &str) -> String {
    match shell {
        "bash" => bash(),
        "zsh" => zsh(),
        "fish" => fish(),
        _ => String::new(),
    }
}

fn words() -> Vec<&'static str> {
    COMMANDS.iter().map(|row| row.word).collect()
}

fn flags_of(command: Name) -> impl Iterator<Item = &'static Flag> {
    FLAGS.iter().filter(move |flag| flag.is_for(command))
}

/// Whether an option takes a path.
fn takes_path(flag: &Flag) -> bool {
    matches!(flag.value, Some("FILE" | "DIR"))
}

/// Whether a command's operands are paste IDs.
fn takes_pastes(command: Name) -> bool {
    matches!(command, Name::Get | Name::Delete | Name::Status)
}

fn spellings(flag: &Flag) -> String {
    let short = flag.short.map_or(String::new(), |short| format!("-{short} "));
    format!("{short}--{}", flag.long)
}

fn bash() -> String {
    let mut text = String::from(
        "# bash completion for fpaste\n_fpaste() {\n    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} command=create word\n    \
         for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n        case $word in\n            ",
    );
    let _ =
        write!(text, "{}) command=$word; break ;;\n        esac\n    done\n    case $command in\n", words().join("|"));
    for row in COMMANDS {
        let _ = writeln!(text, "    {})\n        case $prev in", row.word);
        for flag in flags_of(row.name).filter(|flag| flag.value.is_some()) {
            let pattern = spellings(flag).replace(' ', "|");
            let reply = if !flag.choices.is_empty() {
                format!("mapfile -t COMPREPLY < <(compgen -W '{}' -- \"$cur\")", flag.choices.join(" "))
            } else if takes_path(flag) {
                "compopt -o default -o filenames; COMPREPLY=()".into()
            } else {
                "COMPREPLY=()".into()
            };
            let _ = writeln!(text, "            {pattern}) {reply}; return ;;");
        }
        let options: Vec<String> = flags_of(row.name).map(spellings).collect();
        let extra = match row.name {
            Name::Completions => format!("'{}'", SHELLS.join(" ")),
            Name::Help => format!("'{}'", words().join(" ")),
            // The program as typed; the shell has not expanded the tilde yet.
            name if takes_pastes(name) => {
                format!("\"$(\"${{COMP_WORDS[0]/#\\~/$HOME}}\" completions {IDS} 2>/dev/null | cut -f1)\"")
            }
            _ => "''".into(),
        };
        let _ = write!(
            text,
            "        esac\n        if [[ $cur == -* ]]; then mapfile -t COMPREPLY < <(compgen -W '{}' -- \"$cur\"); return; fi\n        \
             mapfile -t COMPREPLY < <(compgen -W {extra} -- \"$cur\") ;;\n",
            options.join(" ")
        );
    }
    let _ = write!(
        text,
        "    esac\n    if [[ $command == create ]]; then\n        compopt -o default -o filenames\n        \
         if ((COMP_CWORD == 1)); then mapfile -t COMPREPLY < <(compgen -W '{}' -- \"$cur\"; compgen -f -- \"$cur\"); fi\n    fi\n}}\ncomplete -F _fpaste fpaste\n",
        words().join(" ")
    );
    text
}

/// Escapes text for a zsh specification.
fn zsh_text(text: &str) -> String {
    text.replace('\'', "'\\''").replace('[', "\\[").replace(']', "\\]").replace(':', "\\:")
}

fn zsh() -> String {
    // _describe wants a colon where the program prints a tab.
    let mut text = format!(
        "#compdef fpaste\n_fpaste_pastes() {{\n    local -a pastes\n    local tab=$'\\t'\n    \
         pastes=(\"${{(@f)$(_call_program pastes $words[1] completions {IDS} 2>/dev/null)}}\")\n    \
         pastes=(\"${{(@)pastes//$tab/:}}\")\n    _describe -V paste pastes\n}}\n"
    );
    text.push_str(
        "_fpaste() {\n    local command=create word\n    for word in \"${words[@]:1:$((CURRENT - 2))}\"; do\n        case $word in\n",
    );
    let _ = write!(text, "            {}) command=$word; break ;;\n        esac\n    done\n", words().join("|"));
    text.push_str("    if ((CURRENT == 2)) && [[ $PREFIX != -* ]]; then\n        local -a commands=(\n");
    for row in COMMANDS {
        let _ = writeln!(text, "            '{}:{}'", row.word, zsh_text(row.summary));
    }
    text.push_str(
        "        )\n        _describe command commands\n        _files\n        return\n    fi\n    case $command in\n",
    );
    for row in COMMANDS {
        let _ = write!(text, "    {}) _arguments -s", row.word);
        for flag in flags_of(row.name) {
            let value = match flag.value {
                None => String::new(),
                Some(name) if !flag.choices.is_empty() => format!(":{name}:({})", flag.choices.join(" ")),
                Some(name) if takes_path(flag) => format!(":{name}:_files"),
                Some(name) => format!(":{name}:"),
            };
            for spelling in spellings(flag).split(' ') {
                let _ = write!(text, " \\\n        '{spelling}[{}]{value}'", zsh_text(flag.help));
            }
        }
        let operands = match row.name {
            Name::Create => "'*:file:_files'".to_owned(),
            Name::Completions => format!("'*:shell:({})'", SHELLS.join(" ")),
            Name::Help => format!("'*:command:({})'", words().join(" ")),
            name if takes_pastes(name) => "'*:paste:_fpaste_pastes'".to_owned(),
            _ => "'*:operand:'".to_owned(),
        };
        let _ = write!(text, " \\\n        {operands} ;;\n");
    }
    text.push_str(
        "    esac\n}\nif [[ $funcstack[1] == _fpaste ]]; then _fpaste \"$@\"; else compdef _fpaste fpaste; fi\n",
    );
    text
}

fn fish() -> String {
    let mut text = String::from("# fish completion for fpaste\n");
    let all = words().join(" ");
    for row in COMMANDS {
        let summary = row.summary.replace('\'', "\\'");
        let _ = writeln!(
            text,
            "complete -c fpaste -n 'not __fish_seen_subcommand_from {all}' -a {} -d '{summary}'",
            row.word
        );
    }
    for flag in FLAGS {
        let conditions: Vec<String> = if flag.commands.is_empty() {
            vec![String::new()]
        } else {
            let of = |name: &Name| COMMANDS.iter().find(|row| row.name == *name).map_or("", |row| row.word);
            let seen = |name: &Name| match name {
                Name::Create => format!(
                    " -n 'not __fish_seen_subcommand_from {}'",
                    words().into_iter().filter(|word| *word != "create").collect::<Vec<_>>().join(" ")
                ),
                name => format!(" -n '__fish_seen_subcommand_from {}'", of(name)),
            };
            flag.commands.iter().map(seen).collect()
        };
        let short = flag.short.map_or(String::new(), |short| format!(" -s {short}"));
        let value = match flag.value {
            None => String::new(),
            Some(_) if !flag.choices.is_empty() => format!(" -x -a '{}'", flag.choices.join(" ")),
            Some(_) if takes_path(flag) => " -r".into(),
            Some(_) => " -x".into(),
        };
        for condition in conditions {
            let help = flag.help.replace('\'', "\\'");
            let _ = writeln!(text, "complete -c fpaste{condition}{short} -l {}{value} -d '{help}'", flag.long);
        }
    }
    let _ =
        writeln!(text, "complete -c fpaste -n '__fish_seen_subcommand_from completions' -f -a '{}'", SHELLS.join(" "));
    let _ = writeln!(text, "complete -c fpaste -n '__fish_seen_subcommand_from help' -f -a '{all}'");
    for row in COMMANDS.iter().filter(|row| takes_pastes(row.name)) {
        let _ = writeln!(
            text,
            "complete -c fpaste -n '__fish_seen_subcommand_from {}' -f -k -a '(fpaste completions {IDS} 2>/dev/null)'",
            row.word
        );
    }
    text
}
