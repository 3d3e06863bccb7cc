//! `halves completions`: the scripts, in the shells.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::common::{has, run, run_to_end};
use crate::support::place;
use crate::support::skip::skip;

/// Lines, the words that must be offered for each, and a word that must not.
const LINES: &[(&str, &[&str], &str)] = &[
    ("halves ctl /x ", &["list", "top", "drain"], "serve"),
    ("halves ctl @x top --", &["--sort", "--json"], "--listen"),
    ("halves se", &["serve"], "exec"),
    (
        "halves ",
        &[
            "serve",
            "exec",
            "proxy",
            "connect",
            "check",
            "replay",
            "completions",
            "man",
        ],
        "echo",
    ),
    (
        "halves serve ",
        &["upper", "echo", "discard", "chargen", "daytime", "time"],
        "serve",
    ),
    ("halves serve --threads 2 ec", &["echo"], "serve"),
    ("halves serve echo --lis", &["--listen"], "--log"),
    (
        "halves serve echo --log ",
        &["text", "logfmt", "json"],
        "echo",
    ),
    ("halves serve echo --listen :7 --log j", &["json"], "text"),
    ("halves serve echo --balance", &[], "--balance"),
    (
        "halves proxy h:1 --balance ",
        &["round-robin", "least"],
        "h:1",
    ),
    (
        "halves connect --",
        &["--json", "--quit-on-eof"],
        "--listen",
    ),
    (
        "halves exec --listen :7 -",
        &["--listen", "-v"],
        "--close-word",
    ),
    ("halves exec --log json cat -", &[], "--listen"),
    ("halves check ", &["serve", "exec", "proxy"], "connect"),
    ("halves check --con", &["--config", "--control"], "--listen"),
    ("halves check --config x serve ec", &["echo"], "serve"),
    ("halves check proxy h:1 --bal", &["--balance"], "--listen"),
    ("halves completions ", &["bash", "zsh", "fish"], "serve"),
];

/// Writes a script into a directory.
fn script(shell: &str) -> (TempDir, String) {
    let output = run(&["completions", shell]);
    assert_eq!(output.status.code(), Some(0));
    let dir = place::dir();
    let path = dir.path().join("_halves");
    fs::write(&path, output.stdout).expect("a file");
    let path = path.to_str().expect("text").to_owned();
    (dir, path)
}

fn words_of(command: &mut Command, dir: &Path) -> Vec<String> {
    let output = run_to_end(command.current_dir(dir).env("HOME", dir));
    assert!(output.stderr.is_empty(), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("text");
    // fish adds a description.
    let words = text.lines().filter_map(|line| line.split('\t').next());
    words.map(|word| word.trim_end().to_owned()).collect()
}

fn bash(dir: &Path, script: &str, line: &str) -> Vec<String> {
    let ask = "source \"$1\"; COMP_LINE=$2; COMP_POINT=${#2}; _halves; \
               printf '%s\\n' \"${COMPREPLY[@]}\"";
    let mut bash = Command::new("bash");
    words_of(
        bash.args(["--norc", "--noprofile", "-c", ask, "bash", script, line]),
        dir,
    )
}

fn fish(dir: &Path, script: &str, line: &str) -> Vec<String> {
    let ask = "source $argv[1]; complete -C $argv[2]";
    let mut fish = Command::new("fish");
    words_of(fish.args(["--no-config", "-c", ask, script, line]), dir)
}

fn assert_lines(shell: &str, complete: impl Fn(&Path, &str, &str) -> Vec<String>) {
    let (dir, script) = script(shell);
    for (line, offered, other) in LINES {
        let words = complete(dir.path(), &script, line);
        for word in *offered {
            assert!(
                words.contains(&(*word).to_owned()),
                "{line}: {word} in {words:?}"
            );
        }
        assert!(
            !words.contains(&(*other).to_owned()),
            "{line}: {other} in {words:?}"
        );
    }
    for command in ["serve", "exec", "proxy", "connect", "ctl", "replay"] {
        let words = complete(dir.path(), &script, &format!("halves {command} --"));
        for option in options(command) {
            assert!(words.contains(&option), "{command}: {option} in {words:?}");
        }
    }
}

/// The long options in the help of a command.
pub(crate) fn options(command: &str) -> Vec<String> {
    let help = String::from_utf8(run(&[command, "--help"]).stdout).expect("text");
    let rows = help.lines().filter(|line| line.starts_with("  -"));
    let word = |row: &str| {
        row.split([' ', ','])
            .find(|it| it.starts_with("--"))
            .map(str::to_owned)
    };
    let options: Vec<_> = rows.filter_map(word).collect();
    assert!(!options.is_empty(), "{help}");
    options
}

#[test]
fn bash_completes_commands_options_and_services() {
    if !has("bash") {
        skip(
            "bash_completes_commands_options_and_services",
            "there is no bash",
        );
        return;
    }
    assert_lines("bash", bash);
    let (dir, script) = script("bash");
    for name in ["a*b", "aXb"] {
        fs::write(dir.path().join(name), "").expect("a file");
    }
    fs::write(dir.path().join("some.conf"), "").expect("a file");
    for (line, words) in [
        ("halves serve echo --log=js", &["json"][..]),
        ("halves serve echo --config so", &["some.conf"]),
        ("halves serve echo --config=so", &["some.conf"]),
        ("halves serve echo --drain-delay ", &[""]),
        ("halves exec --listen 127.0.0.1:7 cat so", &["some.conf"]),
        ("halves nosuch -", &[""]),
        ("halves serve echo --config a*", &["a*b"]),
    ] {
        assert_eq!(bash(dir.path(), &script, line), words, "{line}");
    }
    let programs = bash(dir.path(), &script, "halves exec --listen :7 ca");
    assert!(programs.contains(&"cat".to_owned()), "{programs:?}");
}

#[test]
fn fish_completes_commands_options_and_services() {
    if !has("fish") {
        skip(
            "fish_completes_commands_options_and_services",
            "there is no fish",
        );
        return;
    }
    assert_lines("fish", fish);
    let (dir, script) = script("fish");
    fs::write(dir.path().join("some.conf"), "").expect("a file");
    for (line, word) in [
        ("halves serve echo --log=js", "--log=json"),
        ("halves serve echo --config so", "some.conf"),
        ("halves exec --listen :7 ca", "cat"),
        ("halves check exec --listen :7 cat so", "some.conf"),
    ] {
        let words = fish(dir.path(), &script, line);
        assert!(words.contains(&word.to_owned()), "{line}: {words:?}");
    }
}

/// Types each line and a tab into an interactive shell, and writes what the line has become.
const TYPE_INTO_ZSH: &str = r#"
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell "autoload -Uz compinit; compinit -D -u; source $1
report() { print -r -- \"\$BUFFER\" >>$2; BUFFER=; ((++n)); print reported-\$n- }
zle -N report; bindkey '^G' report; n=0; print ready-\$n-"
zpty -r shell seen '*ready-0-*'
n=0
for line in "${@[3,-1]}"; do
    zpty -n -w shell "$line"$'\t\a'
    zpty -r shell seen "*reported-$((++n))-*"
done
zpty -d shell
"#;

#[test]
fn zsh_completes_commands_options_and_services() {
    let test = "zsh_completes_commands_options_and_services";
    if !has("zsh") {
        return skip(test, "there is no zsh");
    }
    let (dir, script) = script("zsh");
    fs::write(dir.path().join("some.conf"), "").expect("a file");
    let lines = [
        ("halves se", "halves serve "),
        ("halves serve ec", "halves serve echo "),
        ("halves serve echo --lis", "halves serve echo --listen="),
        (
            "halves serve --threads 2 ec",
            "halves serve --threads 2 echo ",
        ),
        ("halves serve echo --log j", "halves serve echo --log json "),
        ("halves serve echo --log=j", "halves serve echo --log=json "),
        (
            "halves serve echo --config so",
            "halves serve echo --config some.conf ",
        ),
        (
            "halves proxy h:1 --balance l",
            "halves proxy h:1 --balance least ",
        ),
        ("halves connect --quit", "halves connect --quit-on-eof "),
        ("halves exec --drain-d", "halves exec --drain-delay="),
        ("halves exec cat --drain-d", "halves exec cat --drain-d"),
        ("halves check pr", "halves check proxy "),
        ("halves check --confi", "halves check --config="),
        (
            "halves check proxy h:1 --bal",
            "halves check proxy h:1 --balance=",
        ),
        ("halves completions f", "halves completions fish "),
        ("halves ctl /x sta", "halves ctl /x stats "),
        (
            "halves ctl /x top --sort r",
            "halves ctl /x top --sort rate ",
        ),
    ];
    let out = dir.path().join("out");
    let mut zsh = Command::new("zsh");
    zsh.args(["-f", "-c", TYPE_INTO_ZSH, "zsh", &script])
        .arg(&out);
    zsh.args(lines.map(|(line, _)| line))
        .current_dir(dir.path());
    let output = run_to_end(zsh.env("HOME", dir.path()).env("TERM", "dumb"));
    let typed = fs::read_to_string(&out).unwrap_or_default();
    let typed: Vec<_> = typed.lines().collect();
    assert_eq!(typed, lines.map(|(_, completed)| completed), "{output:?}");
}

#[test]
fn a_shell_is_needed() {
    for (args, problem) in [
        (
            &["completions"][..],
            "no shell given; write bash, zsh or fish",
        ),
        (&["completions", "ksh"], "write bash, zsh or fish"),
    ] {
        let output = run(args);
        let errors = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert!(errors.contains(problem), "{errors}");
    }
}
