//! Files that cannot be used: one line, and exit 1, before the command listens.

use std::fs;

use super::Files;
use crate::common::run;
use crate::support::pki::{Authority, Leaf};

/// Asserts that the command ends with 1, and with one line that begins with `problem`. Its address
/// cannot be listened on, so that it would fail later with another line.
fn fails(args: &[&str], problem: &str) {
    let listen = ["serve", "upper", "--listen", "192.0.2.1:50007"];
    let output = run(&[&listen[..], args].concat());
    let message = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(
        message.starts_with(&format!("halves: {problem}")),
        "{message}"
    );
    assert_eq!(message.lines().count(), 1, "{message}");
    assert!(output.stdout.is_empty());
}

/// A key that is encrypted, in one of the two forms.
const ENCRYPTED: [&str; 2] = [
    "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
    "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA\n\
     -----END EC PRIVATE KEY-----\n",
];

#[test]
fn a_bad_certificate_is_named_before_it_listens() {
    let files = Files::new();
    let leaf = files.authority.server(&["localhost"]);
    let key = files.write("good.key", &leaf.key);
    let missing = files.path("missing.pem");
    let (good, ca) = (leaf.certificate.clone(), files.authority.pem());
    let damaged = good.replacen("MII", "MAI", 1);
    let cut = good.replace("-----END CERTIFICATE-----", "");
    fails(
        &["--tls-cert", &missing, "--tls-key", &key],
        &format!("{missing}: No such file or directory"),
    );
    let dir = files.dir.path().display().to_string();
    fails(
        &["--tls-cert", &dir, "--tls-key", &key],
        &format!("{dir}: not a regular file"),
    );
    for (text, problem) in [
        (String::new(), "no certificate found\n"),
        ("hello\n".to_owned(), "no certificate found\n"),
        (leaf.key.clone(), "a private key, and no certificate\n"),
        (cut, "bad PEM: no line '-----END CERTIFICATE-----'\n"),
        (damaged, "the certificate is damaged: "),
        (
            files.authority.expired_server(&["x"]).certificate,
            "the certificate expired at ",
        ),
        (
            files.authority.future_server(&["x"]).certificate,
            "the certificate is not valid before ",
        ),
    ] {
        let cert = files.write("bad.pem", &text);
        let args = ["--tls-cert", &cert, "--tls-key", &key];
        fails(&args, &format!("{cert}: {problem}"));
    }
    let cert = files.path("bad.der");
    fs::write(&cert, &leaf.der).expect("a file");
    fails(
        &["--tls-cert", &cert, "--tls-key", &key],
        &format!("{cert}: no certificate found; the text seems to be DER, and PEM is needed"),
    );
    let chain = files.write("chain.pem", &(ca + &good));
    fails(
        &["--tls-cert", &chain, "--tls-key", &key],
        &format!(
            "{key}: the private key matches certificate 2 of {chain}, which must be the first"
        ),
    );
}

#[test]
fn a_bad_key_is_named_before_it_listens() {
    let files = Files::new();
    let leaf = files.authority.server(&["localhost"]);
    let [cert, good] = files.leaf("good", &leaf);
    let foreign = Leaf::self_signed(&["localhost"]).key;
    let mismatch = format!("the private key does not match {cert}");
    let encrypted = "the private key is encrypted; decrypt it with 'openssl pkey'\n";
    for (text, problem) in [
        ("", "no private key found\n"),
        (&leaf.certificate, "a certificate, and no private key\n"),
        (ENCRYPTED[0], encrypted),
        (ENCRYPTED[1], encrypted),
        (&foreign, &mismatch),
        (
            &(leaf.key.clone() + &foreign),
            "2 private keys found; expected one\n",
        ),
        (
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
            "the private key is damaged or of an unsupported kind; ",
        ),
    ] {
        let key = files.write("bad.key", text);
        let args = ["--tls-cert", &cert, "--tls-key", &key];
        fails(&args, &format!("{key}: {problem}"));
    }
    fails(
        &["--tls-cert", &good, "--tls-key", &cert],
        &format!("{good}: a private key, and {cert} is a certificate: they are swapped\n"),
    );
    // The second pair is as bad as the first would be.
    let pair = ["--tls-cert", &cert, "--tls-key", &good];
    let second = ["--tls-cert", &cert, "--tls-key", &files.path("missing.key")];
    let problem = format!("{}: No such file or directory", files.path("missing.key"));
    fails(&[pair, second].concat(), &problem);
}

#[test]
fn a_bad_ca_of_clients_is_named_before_it_listens() {
    let files = Files::new();
    let pair = files.options("server", &["localhost"]);
    for (text, problem) in [
        (String::new(), "no certificate found\n"),
        (
            Leaf::self_signed(&["x"]).key,
            "a private key, and no certificate\n",
        ),
        (
            Authority::expired("Old CA").pem(),
            "the certificate expired at ",
        ),
    ] {
        let ca = files.write("clients.pem", &text);
        let args = [
            &pair.each_ref().map(String::as_str)[..],
            &["--tls-client-ca", &ca],
        ]
        .concat();
        fails(&args, &format!("{ca}: {problem}"));
    }
}

#[test]
fn a_bad_file_is_an_object_in_a_json_log() {
    let files = Files::new();
    let missing = files.path("missing.pem");
    let args = [
        "serve",
        "upper",
        "--log=json",
        "--tls-cert",
        &missing,
        "--tls-key",
        &missing,
    ];
    let output = run(&args);
    let message = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(1), "{message}");
    let error = format!(r#""event":"failed","error":"{missing}: No such file"#);
    assert!(
        message.contains(&error) && message.lines().count() == 1,
        "{message}"
    );
}
