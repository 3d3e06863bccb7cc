//! The services that the command has.

use std::str::FromStr;

use super::nearest::{did_you_mean, nearest};

/// A service of the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Service {
    Upper,
    Echo,
    Discard,
}

impl Service {
    const ALL: [Self; 3] = [Self::Upper, Self::Echo, Self::Discard];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Upper => "upper",
            Self::Echo => "echo",
            Self::Discard => "discard",
        }
    }

    /// The error where none is named.
    pub(super) fn none_given() -> String {
        "no service given; there are upper (answers in capital letters), echo (sends back what it \
         reads) and discard (reads and sends nothing): halves serve upper"
            .to_owned()
    }
}

impl FromStr for Service {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|it| it.as_str() == text);
        found.ok_or_else(|| {
            let problem = "not a service; there are upper, echo and discard";
            did_you_mean(problem, nearest(text, Self::ALL.map(Self::as_str)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_service_is_read_and_listed() {
        for service in Service::ALL {
            assert_eq!(service.as_str().parse(), Ok(service));
            assert!(Service::none_given().contains(&format!(" {} (", service.as_str())));
        }
    }
}
