//! Parsing of the arguments.

use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::time::Duration;

use halves::Address;
use halves::tls::{self, ClientAuth};

use super::server_options::DEFAULT_ADDRESS;
use super::*;
use crate::cli::format::Format;
use crate::cli::log::Level;

fn parsed(words: &[&str]) -> Result<Request, String> {
    parse(words.iter().map(OsString::from)).map_err(|error| error.problem)
}

fn serve(words: &[&str]) -> (Serve, Box<ServerOptions>) {
    match parsed(words).expect("good usage") {
        Request::Serve(ServerCommand::Serve(serve), options) => (serve, options),
        other => panic!("not serve: {other:?}"),
    }
}

/// The options of every server.
fn server(words: &[&str]) -> Box<ServerOptions> {
    serve(words).1
}

#[test]
fn no_arguments_serve_upper_on_the_default_address() {
    for words in [&[][..], &["serve", "upper"]] {
        let (serve, options) = serve(words);
        assert_eq!(serve.service.0.name, "upper");
        assert_eq!(
            options.listen,
            [DEFAULT_ADDRESS.parse().expect("an address")]
        );
        assert_eq!(options.drain_timeout, Duration::from_secs(30));
        assert_eq!((options.threads.get(), options.max_connections), (1, None));
        assert_eq!(
            (options.log, options.level()),
            (Format::Text, Level::Normal)
        );
    }
}

#[test]
fn options_may_carry_their_value() {
    let words = ["serve", "upper", "--close-word=a=b", "--listen=-", "--"];
    let (own, options) = serve(&words);
    assert_eq!(own.close_word.as_deref(), Some("a=b"));
    assert_eq!(options.listen, [Address::Stdio.into()]);
    let (own, _) = serve(&["serve", "upper", "--close-word", "--a=b"]);
    assert_eq!(own.close_word.as_deref(), Some("--a=b"));
}

#[test]
fn options_of_tls_keep_their_order() {
    let pairs = ["--tls-cert=a", "--tls-cert=b", "--tls-key=c", "--tls-key=d"];
    let others = ["--tls-alpn=h2", "--tls-alpn", "http/1.1", "--tls-min=1.3"];
    let options = server(&[&["serve", "upper"], &pairs[..], &others].concat());
    assert_eq!(options.tls_cert, ["a", "b"].map(PathBuf::from));
    assert_eq!(options.tls_key, ["c", "d"].map(PathBuf::from));
    assert_eq!(options.tls_alpn, ["h2", "http/1.1"]);
    assert_eq!(options.tls_min, Some(tls::Version::Tls13));
}

#[test]
fn options_that_need_others_are_bad_usage_without_them() {
    let pair = ["--tls-cert=a", "--tls-key=b"];
    let ca = "--tls-client-ca=c";
    for (args, problem) in [
        (
            &["--tls-cert=a", "--tls-cert=b", "--tls-key=c"][..],
            "--tls-cert and --tls-key come in pairs, but there are 2 and 1",
        ),
        (&[ca], "--tls-client-ca needs --tls-cert and --tls-key"),
        (
            &["--tls-client-auth=optional"],
            "--tls-client-auth needs --tls-cert and --tls-key",
        ),
        (
            &[pair[0], pair[1], "--tls-client-auth=required"],
            "--tls-client-auth needs --tls-client-ca",
        ),
        (
            &["--tls-alpn=h2"],
            "--tls-alpn needs --tls-cert and --tls-key",
        ),
        (
            &["--tls-min=1.2"],
            "--tls-min needs --tls-cert and --tls-key",
        ),
        (
            &["--listen=80,tls=off"],
            "tls=off needs --tls-cert and --tls-key",
        ),
        (
            &["--proxy-protocol=any"],
            "--proxy-protocol needs --trust-proxy, the networks of load balancers",
        ),
        (
            &["--trust-proxy=::1", "--proxy-protocol=off"],
            "--trust-proxy needs --proxy-protocol",
        ),
        (
            &["--listen=-,proxy=off"],
            "proxy=off needs --proxy-protocol",
        ),
    ] {
        let words = [&["serve", "upper"], args].concat();
        assert_eq!(parsed(&words).expect_err(problem), problem, "{words:?}");
    }
    let all = [
        "--tls-client-auth=optional",
        "--proxy-protocol=v2",
        "--trust-proxy=::1",
    ];
    let listen = ["--listen=80,tls=off,proxy=off", ca];
    let options = server(&[&["serve", "upper"], &pair[..], &all, &listen].concat());
    assert_eq!(options.tls_client_auth, Some(ClientAuth::Optional));
    assert!(options.listen[0].tls_off && options.listen[0].proxy_off);
}

#[test]
fn a_protocol_has_1_to_255_bytes() {
    let pair = ["serve", "upper", "--tls-cert=a", "--tls-key=b"];
    let with = |bytes| format!("--tls-alpn={}", "x".repeat(bytes));
    serve(&[&pair[..], &[&with(255)]].concat());
    for bytes in [0, 256] {
        let problem = parsed(&[&pair[..], &[&with(bytes)]].concat()).expect_err("bad usage");
        let end = format!("a protocol has 1 to 255 bytes, and not {bytes}\n");
        assert!(problem.ends_with(&end), "{problem}");
    }
}

#[test]
fn an_unknown_word_is_reported_with_the_nearest_one() {
    let service = "no service given; the services are upper (answers in capital letters), echo (sends \
                   back what it reads), discard (reads and sends nothing), chargen (sends lines of \
                   characters until the client leaves), daytime (sends the date and time in UTC as \
                   text) and time (sends the seconds since 1900 in 4 bytes)";
    for (words, problem) in [
        (
            &["serv", "upper"][..],
            "unknown command 'serv'; did you mean 'serve'?",
        ),
        (&["lurk"], "unknown command 'lurk'"),
        (&["-", "x"], "unknown option '-'"),
        (
            &["serve", "upper", "--lisen", "4"],
            "unknown option '--lisen'; did you mean '--listen'?",
        ),
        (
            &["serve", "upper", "--max-conections=4"],
            "unknown option '--max-conections'; did you mean '--max-connections'?",
        ),
        (&["serve", "upper", "--bogus"], "unknown option '--bogus'"),
        (&["serve", "upper", "-x"], "unknown option '-x'"),
        (&["serve", "upper", "-v=1"], "unknown option '-v=1'"),
        (&["serve", "upper", "--quiet=yes"], "--quiet takes no value"),
        (
            &["--listen=1"],
            "--listen comes after a command, as in 'halves serve SERVICE --listen'",
        ),
        (
            &["--close-word=x"],
            "--close-word comes after the command 'serve'",
        ),
        (&["serve"], service),
        (&["serve", "--listen", "1"], service),
        (&["serve", "--listen", "upper"], service),
    ] {
        assert_eq!(parsed(words).expect_err(problem), problem, "{words:?}");
    }
    let problem = parsed(&["serve", "eco"]).expect_err("no service");
    let end = "value 'eco': not a service; the services are upper, echo, discard, chargen, daytime \
               and time; did you mean 'echo'?\n";
    assert!(problem.ends_with(end), "{problem}");
    for words in [&["serve", "-v", "upper"][..], &["serve", "--", "upper"]] {
        assert_eq!(serve(words).0.service.0.name, "upper");
    }
}

#[test]
fn a_drain_timeout_of_0_is_no_deadline() {
    let options = server(&["serve", "echo", "--drain-timeout", "0"]);
    assert_eq!(options.drain_timeout, Duration::MAX);
}

#[test]
fn the_version_is_printed_with_and_without_a_command() {
    for words in [
        &["--version"][..],
        &["-V"],
        &["serve", "--version"],
        &["serve", "-V"],
    ] {
        let Ok(Request::Print(text)) = parsed(words) else {
            panic!("{words:?} is not understood");
        };
        assert_eq!(text, version());
    }
    let (own, _) = serve(&["serve", "upper", "--close-word", "-V"]);
    assert_eq!(own.close_word.as_deref(), Some("-V"));
}

#[test]
fn help_is_not_an_error() {
    for words in [&["--help"][..], &["-h"], &["serve", "--help"], &["help"]] {
        assert!(matches!(parsed(words), Ok(Request::Print(_))), "{words:?}");
    }
}

#[test]
fn the_help_of_serve_lists_the_services() {
    let Ok(Request::Print(help)) = parsed(&["serve", "--help"]) else {
        panic!("no help");
    };
    for Service(row) in Service::all() {
        let lines = help
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>());
        let words: Vec<_> = [row.name].into_iter().chain(row.help.split(' ')).collect();
        assert!(lines.into_iter().any(|line| line == words), "{help}");
    }
}

#[test]
fn a_program_keeps_its_words() {
    for words in [
        &[
            "exec",
            "-v",
            "--listen=7",
            "cat",
            "-n",
            "--help",
            "--",
            "-v",
        ][..],
        &[
            "exec", "-v", "--listen", "7", "--", "cat", "-n", "--help", "--", "-v",
        ],
    ] {
        let Ok(Request::Serve(ServerCommand::Exec(program), options)) = parsed(words) else {
            panic!("{words:?}");
        };
        assert_eq!(program, ["cat", "-n", "--help", "--", "-v"]);
        assert_eq!(options.listen, ["7".parse().expect("an address")]);
        assert_eq!(options.level(), Level::Verbose);
    }
    let bytes = OsString::from_vec(b"\xff".to_vec());
    let words = ["exec".into(), "--".into(), bytes.clone(), "--listen".into()];
    let Ok(Request::Serve(ServerCommand::Exec(program), _)) = parse(words.into_iter()) else {
        panic!("a program need not be text");
    };
    assert_eq!(program, [bytes, "--listen".into()]);
}

#[test]
fn every_server_has_the_same_options_in_its_help() {
    let helps = ["serve", "exec"].map(|command| match parsed(&[command, "--help"]) {
        Ok(Request::Print(help)) => help,
        other => panic!("{other:?}"),
    });
    let shared = |help: &str| {
        let (_, rest) = help.split_once("  --listen ").expect("an option");
        let (options, _) = rest.split_once("  -h, --help").expect("the last row");
        options.to_owned()
    };
    assert_eq!(shared(&helps[0]), shared(&helps[1]));
    let notes = "  An ADDRESS is one of these:\n";
    assert!(helps.iter().all(|help| help.matches(notes).count() == 1));
    assert!(!helps[1].contains("--close-word"));
}

#[test]
fn check_takes_the_command_line_of_a_server() {
    for (words, service) in [
        (&["check"][..], "upper"),
        (&["check", "--listen=7", "-v"], "upper"),
        (&["check", "serve", "echo", "--listen", "7"], "echo"),
    ] {
        match parsed(words).expect("good usage") {
            Request::Check(ServerCommand::Serve(serve), _) => {
                assert_eq!(serve.service.0.name, service);
            }
            other => panic!("{words:?}: {other:?}"),
        }
    }
    let exec = parsed(&["check", "exec", "cat", "-v"]).expect("good usage");
    let Request::Check(ServerCommand::Exec(program), _) = exec else {
        panic!("{exec:?}");
    };
    assert_eq!(program, ["cat", "-v"]);
    for words in [&["check", "--help"][..], &["check", "serve", "--help"]] {
        assert!(matches!(parsed(words), Ok(Request::Print(_))), "{words:?}");
    }
    for (words, problem) in [
        (
            &["check", "connect", "h:1"][..],
            "check is for serve, exec and proxy",
        ),
        (&["check", "check"], "check is for serve, exec and proxy"),
        (
            &["check", "serv"],
            "unknown command 'serv'; did you mean 'serve'?",
        ),
        (
            &["check", "--lisen=7"],
            "unknown option '--lisen'; did you mean '--listen'?",
        ),
        (
            &["check", "proxy"],
            "no target given; write halves proxy TARGET...",
        ),
    ] {
        assert_eq!(parsed(words).expect_err(problem), problem, "{words:?}");
    }
}
