//! TLS, as the clients of others use it.

mod curl;
mod endings;
mod exempt;
mod handshakes;
mod load_errors;
pub(crate) mod openssl;
mod python;
mod refusals;
mod reload;
mod transfer;

use std::fs;

use tempfile::TempDir;

use crate::common::{Halves, serve};
use crate::support::pki::{Authority, Leaf};
use crate::support::place;

/// A CA, and a directory with its certificate and those of its servers and clients.
pub(crate) struct Files {
    pub(crate) dir: TempDir,
    pub(crate) authority: Authority,
}

impl Files {
    pub(crate) fn new() -> Self {
        let files = Self {
            dir: place::dir(),
            authority: Authority::new("Test CA"),
        };
        files.write("ca.pem", &files.authority.pem());
        files
    }

    /// The path of a file.
    pub(crate) fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    /// The path of the certificate of the CA.
    pub(crate) fn ca(&self) -> String {
        self.path("ca.pem")
    }

    /// Writes a file, and returns its path.
    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        fs::write(&path, text).expect("a file");
        path
    }

    /// Writes a certificate and its key into `NAME.pem` and `NAME.key`, and returns the paths.
    pub(crate) fn leaf(&self, name: &str, leaf: &Leaf) -> [String; 2] {
        let paths = leaf.write(self.dir.path(), name);
        paths.map(|path| path.display().to_string())
    }

    /// The options of a server that has these names, with files called `name`.
    pub(crate) fn options(&self, name: &str, names: &[&str]) -> [String; 4] {
        let [cert, key] = self.leaf(name, &self.authority.server(names));
        ["--tls-cert".to_owned(), cert, "--tls-key".to_owned(), key]
    }

    /// Starts `serve` over TLS for localhost, with these arguments.
    pub(crate) fn serve(&self, args: &[&str]) -> Halves {
        let options = self.options("server", &["localhost", "127.0.0.1"]);
        serve(&[args, &options.each_ref().map(String::as_str)].concat())
    }
}
