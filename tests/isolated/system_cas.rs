//! The CAs of the system, which `SSL_CERT_FILE` replaces.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use halves::tls::{Connector, ServerSettings};

use crate::support::pki::Authority;
use crate::support::rustls_ends::Ends;

const FILE: &str = "SSL_CERT_FILE";
/// Set in the process that has the variable from its start.
const INSIDE_VARIABLE: &str = "HALVES_TEST_INSIDE";

pub(crate) fn the_cas_of_the_system_are_read_once_and_only_if_there_are_any() {
    if env::var_os(INSIDE_VARIABLE).is_some() {
        return inside(Path::new(&env::var_os(FILE).expect("it is set")));
    }
    let dir = tempfile::tempdir().expect("a directory");
    let status = Command::new(env::current_exe().expect("a path"))
        .env(INSIDE_VARIABLE, "1")
        .env_remove("SSL_CERT_DIR")
        .env(FILE, dir.path().join("ca.pem"))
        .status();
    assert!(status.expect("it starts").success());
}

fn inside(file: &Path) {
    let error = Connector::new().expect_err("no file").to_string();
    assert!(
        error.starts_with("the system has no CA certificates (") && error.contains("No such file"),
        "{error}"
    );
    fs::write(file, "").expect("a file");
    let error = Connector::new().expect_err("an empty file").to_string();
    assert!(
        error.starts_with("the system has no CA certificates"),
        "{error}"
    );
    let authority = Authority::new("Test CA");
    fs::write(file, authority.pem()).expect("a file");
    Connector::new().expect("a CA");
    fs::remove_file(file).expect("it exists");
    let server = authority.server(&["localhost"]);
    let settings = ServerSettings::new().certificate_pem(server.certificate, server.key);
    let acceptor = settings.load().expect("good settings");
    let connector = Connector::new().expect("it has been read");
    Ends::new(acceptor.config(), connector.config(), "localhost").expect("it is trusted");
}
