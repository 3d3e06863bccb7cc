//! Checks that hold for any PEM text.

use halves::escape::is_unfit;
use halves::tls::{ClientSettings, ServerSettings};

/// Loads the text in each role. An error is one line.
pub(crate) fn check(text: &[u8]) {
    let server = ServerSettings::new().certificate_pem(text, text).load();
    let client = ClientSettings::new().ca_pem(text).load();
    for error in server.err().into_iter().chain(client.err()) {
        let line = error.to_string();
        assert!(!line.chars().any(is_unfit), "{line:?}");
    }
}
