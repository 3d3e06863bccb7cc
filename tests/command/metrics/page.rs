//! The page, in a browser.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::thread;

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use rustix::net::{bind, connect, socket_with};

use super::{Measured, measured};
use crate::common::{has, output_of};
use crate::support::place;
use crate::support::skip::skip;

/// The names of the browser.
const BROWSERS: &[&str] = &["chromium", "chromium-browser", "google-chrome"];
/// The time that passes in the page, which needs less time outside: some refreshes.
const PAGE_MILLIS: u32 = 5_000;

/// The name of a client, which is markup.
const MARKUP: &str = "<img src=x onerror=console.log(1)>";

/// Connects from a Unix socket of this name.
fn named_client(name: &str, server: &str) -> UnixStream {
    let address = |name: &str| SocketAddrUnix::new_abstract_name(name.as_bytes()).expect("a name");
    let (family, kind) = (AddressFamily::UNIX, SocketType::STREAM);
    let socket = socket_with(family, kind, SocketFlags::CLOEXEC, None).expect("a socket");
    bind(&socket, &address(name)).expect("it is free");
    connect(&socket, &address(server)).expect("it accepts");
    OwnedFd::into(socket)
}

/// Loads the page, and returns its elements after some time, and the messages of the browser.
fn load(browser: &str, server: &Measured) -> (String, String) {
    let folder = place::dir();
    let mut command = Command::new(browser);
    command
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
        ])
        .args(["--no-first-run", "--disable-background-networking"])
        .args([
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
        ])
        .args(["--enable-logging=stderr", "--dump-dom"])
        .arg(format!("--user-data-dir={}", folder.path().display()))
        .arg(format!("--virtual-time-budget={PAGE_MILLIS}"))
        .arg(format!("http://{}/", server.metrics));
    let output = output_of(&mut command);
    assert!(output.status.success(), "{output:?}");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (text(output.stdout), text(output.stderr))
}

/// Returns the text of the element with this identifier.
fn text<'a>(page: &'a str, id: &str) -> &'a str {
    let (_, rest) = page.split_once(&format!(" id=\"{id}\"")).expect(id);
    let (_, rest) = rest.split_once('>').expect("its content");
    rest.split('<').next().expect("a text")
}

#[test]
fn a_browser_shows_the_page_without_an_error_and_figures_that_move() {
    let name = "a_browser_shows_the_page_without_an_error_and_figures_that_move";
    let Some(browser) = BROWSERS.iter().find(|browser| has(browser)) else {
        return skip(name, "there is no chromium");
    };
    let at = format!("halves-page-{}", std::process::id());
    let server = measured(&["serve", "upper", "--listen", &format!("@{at}")]);
    let mut client = named_client(MARKUP, &at);
    let mut busy = server.server.client();
    let socket = busy.0.try_clone().expect("a socket");
    // It ends when the socket is shut down.
    let traffic = thread::spawn(move || {
        let mut word = [0; 4];
        while busy.0.write_all(b"word").is_ok() && busy.0.read_exact(&mut word).is_ok() {}
    });
    client.write_all(b"x").expect("it reads");
    client.read_exact(&mut [0]).expect("it answers");

    let (page, messages) = load(browser, &server);
    socket.shutdown(std::net::Shutdown::Both).expect("a socket");
    traffic.join().expect("it ends");
    assert!(!messages.contains("CONSOLE"), "{messages}");
    assert_eq!(text(&page, "phase"), "Ready");
    assert_eq!(text(&page, "service"), "upper");
    assert_eq!(text(&page, "open"), "2");
    for id in ["in", "out"] {
        let rate = text(&page, id);
        assert!(
            rate.ends_with("B/s") && !rate.starts_with("0 "),
            "{id}: {rate}"
        );
    }
    assert_eq!(
        page.matches("<path class=\"received\" d=\"M").count(),
        2,
        "{page}"
    );
    assert!(
        text(&page, "count").starts_with("2 "),
        "{}",
        text(&page, "count")
    );
    assert!(page.contains("@&lt;img src=x"), "{page}");
    assert!(!page.contains("<img"), "{page}");
}
