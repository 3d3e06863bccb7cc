//! Tests of parsing and printing addresses.

use super::super::Access;
use super::*;

fn tcp(host: &str, port: u16) -> Address {
    Address::Tcp {
        host: host.into(),
        port,
        options: ListenOptions::default(),
    }
}

fn unix(path: &str, access: Access) -> Address {
    Address::Unix {
        path: path.into(),
        access,
    }
}

fn named(name: &str) -> Address {
    Address::Abstract { name: name.into() }
}

fn fd(number: RawFd) -> Address {
    let options = ListenOptions::default();
    Address::Fd { number, options }
}

fn check(text: &str, address: &Address, printed: &str) {
    let parsed: Address = text.parse().expect(text);
    assert_eq!(&parsed, address, "{text}");
    assert_eq!(parsed.to_string(), printed);
    assert_eq!(&printed.parse::<Address>().expect(printed), address);
}

#[test]
fn every_form_is_parsed_and_printed() {
    for (text, address, printed) in [
        ("50007", tcp("127.0.0.1", 50007), "127.0.0.1:50007"),
        ("0", tcp("127.0.0.1", 0), "127.0.0.1:0"),
        (":65535", tcp("", 65535), ":65535"),
        ("localhost:1", tcp("localhost", 1), "localhost:1"),
        ("unix.test:1", tcp("unix.test", 1), "unix.test:1"),
        ("fd3:1", tcp("fd3", 1), "fd3:1"),
        ("[::]:5", tcp("::", 5), "[::]:5"),
        ("[fe80::1%lo]:5", tcp("fe80::1%lo", 5), "[fe80::1%lo]:5"),
        ("@name", named("name"), "@name"),
        ("@a:80", named("a:80"), "@a:80"),
        (r"@a\,b", named("a,b"), r"@a\,b"),
        ("fd:0", fd(0), "fd:0"),
        ("fd:2147483647", fd(RawFd::MAX), "fd:2147483647"),
        ("sd-listen", activation(None), "sd-listen"),
        ("sd-listen:web", activation(Some("web")), "sd-listen:web"),
        (
            r"sd-listen:a\,b",
            activation(Some("a,b")),
            r"sd-listen:a\,b",
        ),
        ("-", Address::Stdio, "-"),
        ("stdio", Address::Stdio, "-"),
    ] {
        check(text, &address, printed);
    }
}

#[test]
fn a_unix_socket_has_a_path_and_permissions() {
    let access = Access::default;
    for (text, address, printed) in [
        ("/run/x", unix("/run/x", access()), "unix:/run/x"),
        ("./x", unix("./x", access()), "unix:./x"),
        ("../x:80", unix("../x:80", access()), "unix:../x:80"),
        ("unix:x", unix("x", access()), "unix:x"),
        ("unix:50007", unix("50007", access()), "unix:50007"),
        ("/a b", unix("/a b", access()), "unix:/a b"),
        (r"/a\,b", unix("/a,b", access()), r"unix:/a\,b"),
        (
            r"/a\\,mode=0",
            unix(r"/a\", access().mode(0)),
            r"unix:/a\\,mode=0000",
        ),
        (r"/a\b", unix(r"/a\b", access()), r"unix:/a\\b"),
        (
            "/x,mode=660",
            unix("/x", access().mode(0o660)),
            "unix:/x,mode=0660",
        ),
        (
            "/x,user=web",
            unix("/x", access().user("web")),
            "unix:/x,user=web",
        ),
        ("/x,user=0", unix("/x", access().user(0)), "unix:/x,user=0"),
        (
            "unix:x,group=4294967294,mode=0777",
            unix("x", access().mode(0o777).group(u32::MAX - 1)),
            "unix:x,mode=0777,group=4294967294",
        ),
    ] {
        check(text, &address, printed);
    }
}

/// A program can convert any path into an address.
#[test]
fn a_path_that_looks_like_a_name_is_printed_as_a_path() {
    for (path, printed) in [("@x", "unix:./@x"), ("@a,b", r"unix:./@a\,b")] {
        let address = Address::from(PathBuf::from(path));
        assert_eq!(address.to_string(), printed);
        let parsed: Address = printed.parse().expect(printed);
        assert_eq!(parsed, unix(&format!("./{path}"), Access::default()));
    }
}

#[test]
fn a_text_that_is_not_an_address_is_an_error_with_the_reason() {
    for (text, problem) in [
        ("", EMPTY_ADDRESS_MESSAGE),
        (",", EMPTY_ADDRESS_MESSAGE),
        ("host", NO_PORT_MESSAGE),
        ("x.sock", NO_PORT_MESSAGE),
        ("host:+1", BAD_PORT_MESSAGE),
        ("host:65536", BAD_PORT_MESSAGE),
        ("host:1x", BAD_PORT_MESSAGE),
        ("host:-1", BAD_PORT_MESSAGE),
        ("65536", BAD_PORT_MESSAGE),
        ("1:2:3", TOO_MANY_COLONS_MESSAGE),
        ("[::1:80", NO_PORT_AFTER_BRACKETS_MESSAGE),
        ("[::1]80", NO_PORT_AFTER_BRACKETS_MESSAGE),
        ("[::1]]:80", "only an IPv6 address stands in brackets"),
        ("[]:80", "only an IPv6 address stands in brackets"),
        ("[fe80::1%]:80", "only an IPv6 address stands in brackets"),
        ("a b:80", BAD_HOST_MESSAGE),
        (r"a\,b:80", BAD_HOST_MESSAGE),
        ("dir/x.sock:80", BAD_HOST_MESSAGE),
        ("unix:", "there is no path after unix:"),
        (
            "unix:@x",
            "write @NAME for an abstract name, or unix:./@NAME for a path",
        ),
        ("@", "there is no name after the @"),
        ("fd:", "the text after fd: is not a number from 0 up"),
        ("fd:-1", "the text after fd: is not a number from 0 up"),
        ("fd:+3", "the text after fd: is not a number from 0 up"),
        (
            "fd:2147483648",
            "the text after fd: is not a number from 0 up",
        ),
        ("sd-listen:", "there is no name after sd-listen:"),
    ] {
        assert_error(text, problem);
    }
}

#[test]
fn the_error_of_a_text_that_is_nearly_an_address_names_the_address() {
    for (text, problem) in [
        ("[::1]", "it has no port; write [::1]:PORT"),
        ("[fe80::1%lo]", "it has no port; write [fe80::1%lo]:PORT"),
        (
            "::1",
            "an IPv6 address stands in brackets; write [::1]:PORT",
        ),
        (
            "::1:80",
            "an IPv6 address stands in brackets; write [::1]:80",
        ),
        (
            "[1.2.3.4]:80",
            "only an IPv6 address stands in brackets; write 1.2.3.4:80",
        ),
        (
            "tcp://127.0.0.1:80",
            "tcp:// is not part of an address; write 127.0.0.1:80",
        ),
        (
            "http://localhost:80",
            "http:// is not part of an address; write localhost:80",
        ),
        (
            "http://x:80/index?a#b",
            "http:// is not part of an address; write x:80",
        ),
        (
            "http://x",
            "http:// is not part of an address; write x:PORT",
        ),
        (
            "http://[::1]:80/",
            "http:// is not part of an address; write [::1]:80",
        ),
        (
            "http://a://b",
            "http:// is not part of an address; write HOST:PORT",
        ),
        (
            "0.0.0.0:50007:",
            "there is no port after the last colon; write 0.0.0.0:50007",
        ),
        (
            "host:",
            "there is no port after the last colon; write host:PORT",
        ),
        ("::", "an IPv6 address stands in brackets; write [::]:PORT"),
        (
            ":",
            "there is no port after the last colon; write HOST:PORT",
        ),
        ("*:50010", "write :50010 for every interface"),
    ] {
        assert_error(text, problem);
    }
}

fn assert_error(text: &str, problem: &str) {
    let error = text.parse::<Address>().expect_err(text).to_string();
    assert_eq!(error, format!("bad address '{text}': {problem}"));
}
