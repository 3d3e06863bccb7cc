//! The page: one file, which loads nothing from elsewhere.

use super::http::{Response, Status};

const PAGE: &str = include_str!("page.html");

/// Nothing but the style and the script of the page is applied, by their hashes, and the page may
/// ask only this listener. No site can show it in a frame.
const POLICY: &str = concat!(
    "default-src 'none'; connect-src 'self'; img-src data:; ",
    "style-src 'sha256-jizYCbSh7KwoDSCTU+0GmnGQ6lEGMrLxE4+Ipaw7UgA='; ",
    "script-src 'sha256-V0vbaV5al6MQrpfZJeypreBUhH0BRk42MIQT0tU+hE0='; ",
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

pub(super) fn response() -> Response {
    Response::new(Status::OK, "text/html; charset=utf-8", PAGE)
        .with("Content-Security-Policy", POLICY)
}

#[cfg(test)]
mod tests {
    use base64::prelude::{BASE64_STANDARD, Engine};
    use ring::digest::{SHA256, digest};

    use super::*;

    #[test]
    fn the_policy_has_the_hashes_of_the_page() {
        for element in ["style", "script"] {
            let (_, rest) = PAGE
                .split_once(&format!("<{element}>"))
                .expect("it is there");
            let (text, rest) = rest.split_once(&format!("</{element}>")).expect("an end");
            let hash = BASE64_STANDARD.encode(digest(&SHA256, text.as_bytes()));
            let source = format!("{element}-src 'sha256-{hash}';");
            assert!(POLICY.contains(&source), "set {source}");
            assert!(!rest.contains(&format!("<{element}")), "a second {element}");
        }
    }

    #[test]
    fn the_page_loads_nothing_and_makes_no_markup_of_text() {
        let unfit = [
            "//",
            "innerHTML",
            "outerHTML",
            "insertAdjacent",
            "document.write",
            "eval(",
            "style=",
            "onclick=",
            "@import",
        ];
        for text in unfit {
            assert!(!PAGE.contains(text), "{text}");
        }
    }
}
