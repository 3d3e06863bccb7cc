//! The line of each error in a file or a setting.

use std::fs;
use std::path::Path;

use halves::tls::{Acceptor, ClientAuth, ClientSettings, LoadError, ServerSettings};

use crate::support::fifo::fifo;
use crate::support::pki::{Authority, Leaf};

/// A directory with `good.pem` and `good.key`, of a server, and `ca.pem`.
struct Files {
    dir: tempfile::TempDir,
    authority: Authority,
}

impl Files {
    fn new() -> Self {
        let files = Self {
            dir: tempfile::tempdir().expect("a directory"),
            authority: Authority::new("Test CA"),
        };
        files.add("good", &files.authority.server(&["localhost"]));
        files.write("ca.pem", files.authority.pem());
        files
    }

    fn add(&self, name: &str, leaf: &Leaf) {
        leaf.write(self.dir.path(), name);
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.dir.path().join(name), text).expect("a file");
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.dir.path().join(name)).expect("a file")
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    /// The line of the error, without the directory, after a check of its file.
    fn line<T: std::fmt::Debug>(&self, loaded: Result<T, LoadError>) -> String {
        let error = loaded.expect_err("an error");
        let line = error.to_string();
        let file = error.file().and_then(Path::to_str).expect("a file");
        assert!(line.starts_with(&format!("{file}: ")), "{line}");
        line.replace(&format!("{}/", self.dir.path().display()), "")
    }

    /// The line of the error for a certificate and a key.
    fn pair(&self, certificate: &str, key: &str) -> String {
        self.line(Acceptor::from_files(self.path(certificate), self.path(key)))
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let files = Files::new();
    files.write("long.pem", vec![b'\n'; 1024 * 1024 + 1]);
    files.write("full.pem", vec![b'\n'; 1024 * 1024]);
    fs::create_dir(files.path("dir")).expect("a directory");
    fifo(files.dir.path(), "fifo.pem");
    for (certificate, key, line) in [
        (
            "nosuch.pem",
            "good.key",
            "nosuch.pem: No such file or directory (os error 2)",
        ),
        (
            "good.pem",
            "nosuch.key",
            "nosuch.key: No such file or directory (os error 2)",
        ),
        (
            "good.pem/x",
            "good.key",
            "good.pem/x: Not a directory (os error 20)",
        ),
        ("fifo.pem", "good.key", "fifo.pem: not a regular file"),
        ("good.pem", "dir", "dir: not a regular file"),
        ("long.pem", "good.key", "long.pem: longer than 1 MiB"),
        ("full.pem", "good.key", "full.pem: no certificate found"),
        ("good.pem", "long.pem", "long.pem: longer than 1 MiB"),
    ] {
        assert_eq!(files.pair(certificate, key), line);
    }
}

#[test]
fn text_that_is_no_pem_is_described() {
    let files = Files::new();
    let good = files.read("good.pem");
    files.write("empty.pem", "");
    files.write("words.pem", "some words\n");
    files.write("der.pem", b"\x30\x82\x01\x00");
    files.write("cut.pem", &good[..good.len() / 2]);
    files.write("start.pem", "-----BEGIN CERT\n");
    files.write("base64.pem", good.replacen("MII", "M!I", 1));
    files.write(
        "junk.pem",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    );
    let cut = "cut.pem: bad PEM: no line '-----END CERTIFICATE-----'";
    let start = "start.pem: bad PEM: a line with BEGIN does not end in '-----'";
    for (certificate, line) in [
        ("empty.pem", "empty.pem: no certificate found"),
        ("words.pem", "words.pem: no certificate found"),
        (
            "der.pem",
            "der.pem: no certificate found; the text seems to be DER, and PEM is needed",
        ),
        ("cut.pem", cut),
        ("start.pem", start),
        ("base64.pem", "base64.pem: bad PEM: invalid base64"),
    ] {
        assert_eq!(files.pair(certificate, "good.key"), line);
        if line.contains("bad PEM") {
            assert_eq!(files.pair("good.pem", certificate), line);
        }
    }
    let damaged = files.pair("junk.pem", "good.key");
    assert!(
        damaged.starts_with("junk.pem: the certificate is damaged: "),
        "{damaged}"
    );
    for (key, line) in [
        ("empty.pem", "empty.pem: no private key found"),
        (
            "der.pem",
            "der.pem: no private key found; the text seems to be DER, and PEM is needed",
        ),
    ] {
        assert_eq!(files.pair("good.pem", key), line);
    }
}

#[test]
fn a_key_that_cannot_be_used_is_described() {
    let files = Files::new();
    let key = files.read("good.key");
    files.write("two.key", format!("{key}{key}"));
    files.write(
        "encrypted.key",
        key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY"),
    );
    let header = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\
                  DEK-Info: AES-128-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
    files.write("old.key", header);
    files.write(
        "junk.key",
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
    );
    let unsupported = "junk.key: the private key is damaged or of an unsupported kind; supported \
                       are RSA of 2048 to 4096 bits, ECDSA with P-256 or P-384, and Ed25519";
    for (key, line) in [
        ("two.key", "two.key: 2 private keys found; expected one"),
        (
            "encrypted.key",
            "encrypted.key: the private key is encrypted; decrypt it with 'openssl pkey'",
        ),
        (
            "old.key",
            "old.key: the private key is encrypted; decrypt it with 'openssl pkey'",
        ),
        ("junk.key", unsupported),
        ("ca.pem", "ca.pem: a certificate, and no private key"),
    ] {
        assert_eq!(files.pair("good.pem", key), line);
    }
}

#[test]
fn a_certificate_and_a_key_that_do_not_belong_together_are_both_named() {
    let files = Files::new();
    files.add("other", &files.authority.server(&["localhost"]));
    files.write(
        "reversed.pem",
        files.read("ca.pem") + &files.read("good.pem"),
    );
    assert_eq!(
        files.pair("good.pem", "other.key"),
        "other.key: the private key does not match good.pem"
    );
    assert_eq!(
        files.pair("reversed.pem", "good.key"),
        "good.key: the private key matches certificate 2 of reversed.pem, which must be the first"
    );
    assert_eq!(
        files.pair("good.key", "good.pem"),
        "good.key: a private key, and good.pem is a certificate: they are swapped"
    );
    assert_eq!(
        files.pair("good.key", "good.key"),
        "good.key: a private key, and no certificate"
    );
    assert_eq!(
        files.pair("good.key", "nosuch"),
        "good.key: a private key, and no certificate"
    );
    let in_memory = ServerSettings::new()
        .certificate_pem(files.read("good.pem"), files.read("other.key"))
        .load();
    assert_eq!(
        in_memory.expect_err("another key").to_string(),
        "key in memory: the private key does not match certificate in memory"
    );
}

#[test]
fn one_file_may_hold_both() {
    let files = Files::new();
    let both = files.read("good.key") + &files.read("good.pem") + &files.read("ca.pem");
    files.write("both.pem", both.replace('\n', "\r\n"));
    let both = files.path("both.pem");
    Acceptor::from_files(&both, &both).expect("one file");
}

#[test]
fn a_certificate_out_of_its_time_is_refused_with_the_date() {
    let files = Files::new();
    files.add("old", &files.authority.expired_server(&["localhost"]));
    files.add("new", &files.authority.future_server(&["localhost"]));
    let line = "old.pem: the certificate expired at 2020-02-01T00:00:00Z";
    assert_eq!(files.pair("old.pem", "old.key"), line);
    let client = ClientSettings::new()
        .ca(files.path("ca.pem"))
        .certificate(files.path("old.pem"), files.path("old.key"));
    assert_eq!(files.line(client.load()), line);
    assert_eq!(
        files.pair("new.pem", "new.key"),
        "new.pem: the certificate is not valid before 4000-01-01T00:00:00Z"
    );
}

/// Made by `openssl x509 -req`.
const VERSION_1: &str = "\
-----BEGIN CERTIFICATE-----
MIIBFjCBvQIUSM/nsSpEfq9sppfmDEMS3rNIbwswCgYIKoZIzj0EAwIwDTELMAkG
A1UEAwwCdjEwIBcNMjYxMTI2MTYwMzI0WhgPMjEyNjExMDIxNjAzMjRaMA0xCzAJ
BgNVBAMMAnYxMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEZMs2Gy9YYtQcCMFm
38BsL3nPvqDS4CCEw9TzTd4IsBsQZSKYC4yr/zDYu4o/4LRylAXleyj0rdYGVx0I
2QYcrzAKBggqhkjOPQQDAgNIADBFAiBjpZOVr348LhYS+eCq/U5Bbi9jbSrW9yo7
XsbaW2yoWAIhANhKphfqylQfPIEttvmF0imfuDbKJl9FBb1VbZO0S8mT
-----END CERTIFICATE-----
";
const VERSION_1_KEY: &str = "\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgtb4qqyX6pfzX5qOS
IEhldtsjBXXIkLeYRCXebMDvIq6hRANCAARkyzYbL1hi1BwIwWbfwGwvec++oNLg
IITD1PNN3giwGxBlIpgLjKv/MNi7ij/gtHKUBeV7KPSt1gZXHQjZBhyv
-----END PRIVATE KEY-----
";

#[test]
fn a_certificate_of_version_1_is_refused() {
    let pair = ServerSettings::new().certificate_pem(VERSION_1, VERSION_1_KEY);
    assert_eq!(
        pair.load().expect_err("version 1").to_string(),
        "certificate in memory: the certificate has X.509 version 1, which is refused by clients; \
         make one of version 3, with the extension subjectAltName"
    );
}

#[test]
fn a_file_without_usable_cas_is_refused() {
    let files = Files::new();
    let expired = Authority::expired("Old CA").pem();
    files.write("old.pem", &expired);
    files.write("older.pem", expired.repeat(2));
    files.write("rotated.pem", expired + &files.read("ca.pem"));
    files.write(
        "junk.pem",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    );
    let server = |ca: &str| {
        let settings = ServerSettings::new().client_ca(files.path(ca));
        settings.certificate(files.path("good.pem"), files.path("good.key"))
    };
    let client = |ca: &str| {
        ClientSettings::new()
            .ca(files.path("ca.pem"))
            .ca(files.path(ca))
    };
    for (ca, line) in [
        (
            "nosuch.pem",
            "nosuch.pem: No such file or directory (os error 2)",
        ),
        ("good.key", "good.key: a private key, and no certificate"),
        (
            "old.pem",
            "old.pem: the certificate expired at 2020-02-01T00:00:00Z",
        ),
        (
            "older.pem",
            "older.pem: no certificate is valid now: the first expired at 2020-02-01T00:00:00Z",
        ),
        (
            "junk.pem",
            "junk.pem: certificate 1 is damaged: invalid peer certificate: BadEncoding",
        ),
    ] {
        assert_eq!(files.line(server(ca).load()), line);
        assert_eq!(files.line(client(ca).load()), line);
    }
    server("rotated.pem").load().expect("one CA is valid");
    client("rotated.pem").load().expect("one CA is valid");
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let files = Files::new();
    let server =
        || ServerSettings::new().certificate(files.path("good.pem"), files.path("good.key"));
    let client = || ClientSettings::new().ca(files.path("ca.pem"));
    let line = |error: LoadError| {
        assert_eq!(error.file(), None);
        error.to_string()
    };
    assert_eq!(
        line(ServerSettings::new().load().expect_err("no certificate")),
        "a TLS server needs a certificate and its private key"
    );
    for auth in [ClientAuth::Required, ClientAuth::Optional] {
        assert_eq!(
            line(server().client_auth(auth).load().expect_err("no CA")),
            "client certificates are asked for, but no CA for clients is set"
        );
    }
    let long = "x".repeat(256);
    for name in ["", &long] {
        let expected = format!("bad ALPN protocol '{name}': its length must be 1 to 255 bytes");
        assert_eq!(
            line(server().alpn(["h2", name]).load().expect_err("ALPN")),
            expected
        );
        assert_eq!(
            line(client().alpn(["h2", name]).load().expect_err("ALPN")),
            expected
        );
    }
    for name in ["", "a b", "[::1]", "a..b"] {
        let error = client().server_name(name).load().expect_err("a bad name");
        assert_eq!(
            line(error),
            format!("bad server name '{name}': invalid dns name")
        );
    }
}
