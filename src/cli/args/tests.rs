//! Parsing of the arguments.

use halves::Address;

use super::*;

fn parsed(words: &[&str]) -> Result<Request, String> {
    parse(words.iter().map(OsString::from))
}

fn serve(words: &[&str]) -> Serve {
    match parsed(words).expect("good usage") {
        Request::Serve(serve) => *serve,
        Request::Print(text) => panic!("printed: {text}"),
    }
}

#[test]
fn no_arguments_serve_upper_on_the_default_address() {
    for words in [&[][..], &["serve", "upper"]] {
        let options = serve(words);
        assert_eq!(options.service.0.name, "upper");
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
    let options = serve(&words);
    assert_eq!(options.close_word.as_deref(), Some("a=b"));
    assert_eq!(options.listen, [Address::Stdio.into()]);
    let options = serve(&["serve", "upper", "--close-word", "--a=b"]);
    assert_eq!(options.close_word.as_deref(), Some("--a=b"));
}

#[test]
fn an_unknown_word_is_reported_with_the_nearest_one() {
    let service = "no service given; the services are upper (answers in capital letters), echo (sends \
                   back what it reads) and discard (reads and sends nothing)";
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
        (&["--listen=1"], "--listen comes after the command 'serve'"),
        (&["serve"], service),
        (&["serve", "--listen", "1"], service),
        (&["serve", "--listen", "upper"], service),
    ] {
        assert_eq!(parsed(words).expect_err(problem), problem, "{words:?}");
    }
    let problem = parsed(&["serve", "eco"]).expect_err("no service");
    assert!(problem.ends_with(
        "value 'eco': not a service; the services are upper, echo and discard; did you mean 'echo'?\n"
    ));
    for words in [&["serve", "-v", "upper"][..], &["serve", "--", "upper"]] {
        assert_eq!(serve(words).service.0.name, "upper");
    }
}

#[test]
fn a_drain_timeout_of_0_is_no_deadline() {
    let options = serve(&["serve", "echo", "--drain-timeout", "0"]);
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
    let options = serve(&["serve", "upper", "--close-word", "-V"]);
    assert_eq!(options.close_word.as_deref(), Some("-V"));
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
